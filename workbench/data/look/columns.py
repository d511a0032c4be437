"""Which kind a column has: from how its values are spelt, how often they repeat, its name."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from workbench.data.kinds import Date, Kind, Number, Text, Word
from workbench.data.look.dates import dates
from workbench.data.look.names import CODE, is_identifier, words_of
from workbench.data.look.spellings import MISSING, MISSING_NUMBER, missing_codes, numbers

FIRST_ROWS = 1_000
MOSTLY = 0.9
"""Fraction of values that a kind must read to be believed."""
MAX_WORDS = 20_000
MAX_CODES = 1_000

_IDENTIFIERS = {
    "UUIDs": re.compile(r"\{?[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\}?"),
    "e-mail addresses": re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+"),
    "web addresses": re.compile(r"(https?|ftp)://\S+|www\.\S+"),
    "hashes": re.compile(r"(?=.*\d)[0-9a-fA-F]{32,128}"),
    "phone numbers": re.compile(r"\+\d[\d\s()/.-]{6,18}\d|\(\d{2,5}\)[\d\s-]{5,12}"),
}


@dataclass(frozen=True)
class Guess:
    """A kind and why. identifier: its values name rows or things, and mean nothing by themselves.

    doubt: a sentence for the person, where the values would allow another reading.
    """

    kind: Kind
    why: str
    identifier: bool = False
    doubt: str = ""


def counted(values: Any, limit: int = FIRST_ROWS) -> Counter[str]:
    """Values (Arrow, text or not) without blanks around them, and in how many rows they stand."""
    first = values.slice(0, limit).cast("string").drop_null().to_pylist()
    counts = Counter(value.strip() for value in first)
    counts.pop("", None)
    return counts


def guess(name: str, values: Any, rows: int, distinct: int) -> Guess:
    """Say what a column of text is; `values` from the sample (Arrow).

    rows, distinct: values that are there in the whole table, and about how many differ.
    """
    counts = counted(values)
    if not counts:
        counts = counted(values.drop_null())
    if not counts:
        return Guess(Word(), "it has no values")
    for what, shape in _IDENTIFIERS.items():
        if sum(n for v, n in counts.items() if shape.fullmatch(v)) >= MOSTLY * counts.total():
            return Guess(Word(), f"its values are {what}", identifier=True)
    return (
        moment(name, counts)
        or _number(name, counts, rows, distinct)
        or _words(name, counts, values)
    )


def moment(name: str, counts: Counter[str]) -> Guess | None:
    """Dates and times, also those that are written as whole numbers; None if they are neither."""
    found = dates(counts, name)
    if not found or found.fraction < MOSTLY:
        return None
    digits = all(form == "%Y%m%d" or form.startswith("epoch") for form in found.kind.formats)
    if digits and found.fraction < 0.99:
        return None
    many = len(found.kind.formats)
    how = f"dates in {many} formats" if many > 1 else f"dates such as {next(iter(counts))}"
    doubt = "day and month cannot be told apart" if found.ambiguous else ""
    return Guess(found.kind, f"its values are {how}", doubt=doubt)


def _number(name: str, counts: Counter[str], rows: int, distinct: int) -> Guess | None:
    found = numbers(counts)
    if not found or found.fraction < MOSTLY:
        return None
    digits = [value for value in counts if value.isdecimal()]
    if len(digits) >= MOSTLY * (len(counts) - len(found.kind.missing)):
        missing = missing_codes(counts, MISSING)
        if sum(v[0] == "0" and len(v) > 1 for v in digits) > 0.01 * len(digits):
            many = distinct > MAX_WORDS and rows < 5 * distinct
            names = many or (_is_unique(counts) and is_identifier(name))
            return Guess(Word(missing), "its numbers begin with zeros: a code", identifier=names)
        if sum(len(v) > 15 for v in digits) > 0.5 * len(digits):
            return Guess(Word(missing), "its numbers are too long to count with", identifier=True)
    why = f"{_share(found.fraction)} of its values are numbers"
    if found.kind.decimal != "." or found.kind.thousands or found.kind.affixes:
        why += f", written like {next(v for v in counts if v not in found.kind.missing)}"
    doubt = ""
    if found.ambiguous:
        mark = found.kind.thousands or "."
        doubt = f"the '{mark}' of its numbers could mean thousands or decimals"
    coded = coded_number(name, found.kind, rows, distinct, whole=_is_whole(counts, found.kind))
    return coded or Guess(found.kind, why, doubt=doubt)


def coded_number(name: str, kind: Number, rows: int, distinct: int, *, whole: bool) -> Guess | None:
    """Whole numbers that only name things, such as a postcode or a class; None for quantities.

    rows, distinct: of the values in the whole table.
    """
    if not whole:
        return None
    few = distinct <= MAX_CODES and rows >= 20 * distinct
    if is_identifier(name):
        why = "its name says that its numbers name things"
        return Guess(Word(kind.missing), why, identifier=not few)
    said = sorted(words_of(name) & CODE)
    if said and distinct <= MAX_CODES:
        return Guess(Word(kind.missing), f"its name says '{said[0]}': its numbers are codes")
    return None


def _words(name: str, counts: Counter[str], values: Any) -> Guess:
    import pyarrow.compute as pc

    missing = missing_codes(counts, MISSING)
    there = len(values) - values.null_count
    distinct = pc.count_distinct(values).as_py()  # type: ignore[attr-defined]
    ratio = distinct / max(there, 1)
    rows = counts.total()
    spaces = sum(len(value.split()) * n for value, n in counts.items()) / rows
    letters = sum(len(value) * n for value, n in counts.items()) / rows
    if ratio > 0.5 and distinct > 5 and (spaces > 3 or (letters > 60 and spaces > 1.5)):
        return Guess(Text(missing), f"it is free text, about {spaces:.0f} words a row")
    if there >= 20 and ratio >= 0.95:
        return Guess(Word(missing), "nearly every row has its own value", identifier=True)
    if distinct > MAX_WORDS or (there > 1_000 and ratio > 0.5):
        if spaces > 1.5:
            return Guess(Text(missing), f"it has {distinct:,} different texts")
        return Guess(Word(missing), f"it has {distinct:,} different values", identifier=True)
    how = "one word, or none" if distinct == 1 else f"{distinct:,} different words that repeat"
    return Guess(Word(missing), f"it has {how}")


def widened(kind: Kind, unread: Counter[str], name: str) -> Kind | None:
    """The kind with what `unread`, values that it could not read, teach; None if nothing."""
    if isinstance(kind, Number):
        found = numbers(unread)
        if not found:
            missing = missing_codes(unread, MISSING_NUMBER)
            return replace(kind, missing=_both(kind.missing, missing)) if missing else None
        wider = found.kind
        plain = kind.decimal == "." and not kind.thousands
        return replace(
            wider if plain else kind,
            thousands=kind.thousands or wider.thousands,
            missing=_both(kind.missing, wider.missing),
            affixes=_both(kind.affixes, wider.affixes),
        )
    if isinstance(kind, Date):
        more = dates(unread, name)
        missing = missing_codes(unread, MISSING_NUMBER)
        formats = tuple(f for f in (more.kind.formats if more else ()) if f not in kind.formats)
        if not formats and not missing:
            return None
        ranked = sorted((*kind.formats, *formats), key=lambda form: "%y" not in form)
        return Date(tuple(ranked), _both(kind.missing, missing))
    return None


def _both(some: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({*some, *more}))


def _is_unique(counts: Counter[str]) -> bool:
    return len(counts) >= 0.95 * counts.total()


def _is_whole(counts: Counter[str], kind: Number) -> bool:
    return all(v.lstrip("+-").isdecimal() for v in counts if v not in kind.missing)


def _share(fraction: float) -> str:
    return "all" if fraction == 1 else f"{fraction:.1%}"
