"""Kinds: how a raw column, as its source spells it, becomes one that a model can take.

A pipeline lists them once (`KINDS = {"age": wb.number(), "joined": wb.date("%d.%m.%Y")}`), where a
person reads and corrects them; `parsed` applies them, `roles` says what each is to the model.
What cannot be read as its kind says becomes null, never a guess.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from workbench.core.errors import DataError, did_you_mean
from workbench.core.records import Role

if TYPE_CHECKING:
    import ibis

ISO = "iso"
EPOCHS = {"epoch_s": 1000, "epoch_ms": 1}
"""Formats for times that are counted: milliseconds in one of their units."""

_YEARS = (1000, 9999)
_BLANKS = {" ": " \u00a0\u202f", "'": "'\u2019"}
"""What is typed for one separator of thousands: no-break spaces, the typographic apostrophe."""


@dataclass(frozen=True)
class Number:
    """A float. decimal and thousands: its marks; affixes: words or signs around it, such as "€".

    missing: spellings that stand for a missing value; those that are numbers (-999) become null.
    A percentage keeps its digits: "12 %" is 12.
    """

    decimal: str = "."
    thousands: str = ""
    missing: tuple[str, ...] = ()
    affixes: tuple[str, ...] = ()
    role: Literal["number"] = field(default_factory=lambda: "number", init=False, repr=False)


@dataclass(frozen=True)
class Date:
    """A moment, in UTC where it names a zone. formats: of strptime, or words, tried in order.

    The words are "iso" (2024-01-31, with or without time and zone), "epoch_s" and "epoch_ms".
    """

    formats: tuple[str, ...] = (ISO,)
    missing: tuple[str, ...] = ()
    role: Literal["time"] = field(default_factory=lambda: "time", init=False, repr=False)


@dataclass(frozen=True)
class Word:
    """One of a vocabulary that the training side teaches; also a code that is written in digits."""

    missing: tuple[str, ...] = ()
    role: Literal["word"] = field(default_factory=lambda: "word", init=False, repr=False)


@dataclass(frozen=True)
class Text:
    """Free text, which the bundle's tokenizer reads; it never becomes a vocabulary."""

    missing: tuple[str, ...] = ()
    role: Literal["text"] = field(default_factory=lambda: "text", init=False, repr=False)


Kind = Number | Date | Word | Text


def number(
    decimal: str = ".",
    thousands: str = "",
    missing: tuple[str, ...] = (),
    affixes: tuple[str, ...] = (),
) -> Number:
    """Return the kind of a number; DataError when the marks cannot be told apart."""
    if len(decimal) != 1 or len(thousands) > 1 or decimal == thousands or decimal.isalnum():
        raise DataError(
            f"A number cannot have decimal mark {decimal!r} with thousands mark {thousands!r}.",
            fix='write for example `wb.number(decimal=",", thousands=".")`',
        )
    return Number(decimal, thousands, tuple(missing), tuple(affixes))


def date(*formats: str, missing: tuple[str, ...] = ()) -> Date:
    """Return the kind of a date or time; ISO 8601 when no format is given."""
    for one in formats:
        if one != ISO and one not in EPOCHS and "%" not in one:
            raise DataError(
                f"'{one}' is no format of a date.{did_you_mean(one, (ISO, *EPOCHS))}",
                fix='write for example `wb.date("%d.%m.%Y")`',
            )
    return Date(formats or (ISO,), tuple(missing))


def word(missing: tuple[str, ...] = ()) -> Word:
    """Return the kind of a category or a code."""
    return Word(tuple(missing))


def text(missing: tuple[str, ...] = ()) -> Text:
    """Return the kind of free text."""
    return Text(tuple(missing))


def roles(kinds: Mapping[str, Kind]) -> dict[str, Role]:
    """Return what each column is to the model, by name."""
    return {name: kind.role for name, kind in kinds.items()}


def parsed(table: ibis.Table, kinds: Mapping[str, Kind]) -> ibis.Table:
    """Return `table` with the columns of `kinds` typed; the others stay as they are.

    number float64, date timestamp, word and text string; null where missing or unreadable.
    DataError names a column that the table does not have.
    """
    for name in kinds:
        if name not in table.columns:
            raise DataError(f"No column '{name}'.{did_you_mean(name, table.columns)}")
    return table.mutate(**{name: typed(table[name], kind) for name, kind in kinds.items()})


def typed(column: Any, kind: Kind) -> Any:
    """Return the Ibis column `column`, text or native, as its kind says."""
    if isinstance(kind, Number):
        return _number(column, kind)
    if isinstance(kind, Date):
        return _date(column, kind)
    return _words(column, kind.missing)


def written(kind: Kind) -> str:
    """Return the kind as a pipeline writes it: `wb.number(decimal=',')`."""
    given: list[str] = []
    formats = kind.formats if isinstance(kind, Date) else ()
    if formats != (ISO,):
        given += [repr(one) for one in formats]
    for part in fields(kind):
        value = getattr(kind, part.name)
        if part.init and part.name != "formats" and value != part.default:
            given.append(f"{part.name}={value!r}")
    name = {"number": "number", "time": "date", "word": "word", "text": "text"}[kind.role]
    return f"wb.{name}({', '.join(given)})"


def _words(column: Any, missing: tuple[str, ...]) -> Any:
    """The column as text without blanks around it; null where nothing is left."""
    words = column.cast("string").strip().nullif("")
    return words.isin(missing).ifelse(None, words) if missing else words


def _number(column: Any, kind: Number) -> Any:
    native = column.type()
    if native.is_numeric() or native.is_boolean():
        value = column.cast("float64")
    else:
        value = _spelt_number(column.cast("string").strip(), kind)
    # DuckDB puts NaN above all numbers; one too large for a double reads as infinite.
    value = (value.abs() < math.inf).ifelse(value, None)
    codes = [found for found in map(_float, kind.missing) if found is not None]
    return value.isin(codes).ifelse(None, value) if codes else value


def _spelt_number(words: Any, kind: Number) -> Any:
    """Text as float64: the whole must be one number in this spelling, groups of three included."""
    if kind.affixes:
        signs = "|".join(re.escape(affix) for affix in kind.affixes)
        words = words.re_replace(rf"^([+-]?)\s*(?:{signs})\s*|\s*(?:{signs})$", r"\1")
    # DuckDB also reads 1_000; and a point where the mark is a comma is no decimal point.
    for mark in {"_", "."} - {kind.decimal, kind.thousands}:
        words = words.contains(mark).ifelse(None, words)
    if kind.thousands:
        marks = "".join(re.escape(one) for one in _BLANKS.get(kind.thousands, kind.thousands))
        groups, decimal = rf"[1-9]\d{{0,2}}(?:[{marks}]\d{{3}})+", re.escape(kind.decimal)
        whole = rf"^[+-]?(?:{groups}|\d*)(?:{decimal}\d*)?(?:[eE][+-]?\d+)?$"
        plain = words.re_search(whole).ifelse(words.re_replace(f"[{marks}]", ""), None)
    else:
        plain = words
    if kind.decimal != ".":
        plain = plain.replace(kind.decimal, ".")
    return plain.try_cast("float64")


def _float(spelling: str) -> float | None:
    """A missing code as a number, or None for a word."""
    try:
        value = float(spelling)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _date(column: Any, kind: Date) -> Any:
    import ibis

    native = column.type()
    if native.is_timestamp() or native.is_date():
        return column.cast("timestamp")
    if native.is_floating():
        column = column.try_cast("int64")  # 20240131.0, as tables with gaps keep whole numbers
    words = _words(column, kind.missing)
    # DuckDB also reads words as moments: infinity, epoch.
    words = words.re_search("[0-9]").ifelse(words, None)
    return ibis.coalesce(*(_moment(words, one) for one in kind.formats))


def _moment(words: Any, form: str) -> Any:
    """Text as a timestamp by one format; null for a year that nobody means, such as 24."""
    import ibis

    if form in EPOCHS:
        count = words.try_cast("float64") * EPOCHS[form]
        return count.try_cast("int64").as_timestamp("ms")
    if form == ISO:
        moment = words.try_cast("timestamp('UTC')").cast("timestamp")
    else:
        # Its result has a zone only where the format reads one; the cast brings both to UTC.
        udf: Any = ibis.udf.scalar
        read = udf.builtin(
            _try_strptime, name="try_strptime", signature=((str, str), "timestamp('UTC')")
        )
        moment = read(words, form).cast("timestamp")
    return moment.year().between(*_YEARS).ifelse(moment, None)


def _try_strptime(words: str, form: str) -> None:
    """DuckDB's own function, of which Ibis needs to know the name and the types."""


ROW, COPY = "row", "copy"


def keyed(table: ibis.Table, *, row: str = ROW, copy: str = COPY) -> ibis.Table:
    """Return `table` with a key made of its content, for a table that has none of its own.

    row: MD5 of all values of a row as text, by column name, so that neither the order of rows nor
    that of columns matters and rows keep their side of the split when others come; null is not
    the empty text. copy: 0, 1, 2 among equal rows. DataError when the names are taken.
    """
    import ibis

    lower = {name.lower(): name for name in table.columns}
    for name in (row, copy):
        if name.lower() in lower:
            raise DataError(
                f"The table already has a column '{lower[name.lower()]}'.",
                fix='name the new ones, `wb.keyed(table, row="row_md5", copy="row_copy")`',
            )
    # Separators of ASCII, which no table spells: two rows that differ do not make the same text.
    columns: list[Any] = [table[name] for name in sorted(table.columns)]
    values = [column.cast("string").fill_null("\x1e") for column in columns]
    between: Any = ibis.literal("\x1f")
    made = table.mutate(**{row: between.join(values).hexdigest("md5")})
    return made.mutate(**{copy: ibis.row_number().over(group_by=row)})
