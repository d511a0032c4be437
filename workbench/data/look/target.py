"""What is to be predicted: whether it can be learnt, as which task, from how many rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workbench.core.errors import DataError, did_you_mean
from workbench.core.records import Task
from workbench.data.kinds import Date, Kind, Number, Word, typed, written
from workbench.data.look.beliefs import Class, Corrections
from workbench.data.look.names import CODE, COUNT, words_of
from workbench.data.look.reading import Reading
from workbench.data.look.sample import Sample

MIN_ROWS = 20
FEW_ROWS = 200
MIN_CLASS_ROWS = 5
MAX_CLASSES = 1_000
MAX_NUMBER_CLASSES = 10
"""Whole numbers with more values than this are quantities."""
YES = frozenset(
    {"yes", "y", "true", "t", "1", "1.0", "ja", "j", "oui", "o", "si", "sí", "s", "sim", "tak"}
) | {"да", "positive", "pos", "+", "on", "はい", "是"}


@dataclass(frozen=True)
class Target:
    """kind: how it is read; None of the classes is rare. missing, unread: rows that leave."""

    name: str
    kind: Kind
    task: Task
    why: str
    positive: str | None
    classes: tuple[Class, ...]
    rare: tuple[Class, ...]
    missing: int
    unread: int
    rows: int


def check_name(target: str, columns: Sequence[str]) -> None:
    """Raise DataError when the table has no such column, and list what it has."""
    if target in columns:
        return
    near = did_you_mean(target, columns)
    shown = ", ".join(f"'{name}'" for name in columns[:20])
    more = f" and {len(columns) - 20} more" if len(columns) > 20 else ""
    raise DataError(
        f"The table has no column '{target}' to predict."
        + (near if near.startswith(" Did") else f" It has {shown}{more}."),
        fix="name one of its columns",
    )


def judge(table: Any, target: str, sample: Sample, reading: Reading, said: Corrections) -> Target:
    """Decide the task and count its classes over the whole table; DataError if nothing is learnt.

    reading: of the sample, in which the target's kind is guessed as that of any other column.
    """
    if target not in reading.guesses:
        what = (
            "is a list, a record or bytes" if sample.present[target] else "has no value in any row"
        )
        raise DataError(
            f"The target '{target}' {what}.",
            fix="choose another target, or mend the source",
        )
    found = reading.guesses[target].kind
    kind = said.kinds.get(target)
    task, why = _task(target, found, reading, said)
    if kind is None:
        kind = found if task == "regression" else Word(found.missing)
    if task == "regression":
        return _quantity(table, target, kind, why)
    return _classes(table, target, kind, task, why, said)


def _task(name: str, kind: Kind, reading: Reading, said: Corrections) -> tuple[Task, str]:
    import numpy as np

    if said.task is not None:
        return said.task, "you said so"
    if isinstance(kind, Date):
        raise DataError(
            f"The target '{name}' is a date, and a model answers with a number or a class.",
            fix="compute a number from it, such as the days until then, and predict that",
        )
    distinct = reading.distinct[name]
    if distinct == 2:
        return "binary", f"'{name}' has two values"
    if not isinstance(kind, Number):
        return "multiclass", f"'{name}' has {distinct:,} different words"
    number = reading.typed[name].drop_null().to_numpy()
    whole = bool(np.all(number == np.floor(number)))
    names_classes = bool(words_of(name) & CODE)
    counts = bool(words_of(name) & COUNT)
    if (
        distinct > 2
        and whole
        and (names_classes or (distinct <= MAX_NUMBER_CLASSES and not counts))
    ):
        return "multiclass", f"'{name}' has only {distinct} whole numbers, taken as classes"
    return "regression", f"'{name}' is a quantity with {distinct:,} different values"


def _quantity(table: Any, name: str, kind: Kind, why: str) -> Target:
    if not isinstance(kind, Number):
        raise DataError(
            f"The target '{name}' is read by `{written(kind)}`, and a regression needs numbers.",
            fix="say how its numbers are written, or choose task multiclass",
        )
    value, raw = typed(table[name], kind), table[name]
    words = raw.cast("string").strip().nullif("")
    absent = words.isnull() | words.isin((*kind.missing, "nan", "NaN"))
    counted = table.aggregate(
        rows=value.count(),
        distinct=value.approx_nunique(),
        missing=absent.sum(),
        unread=(value.isnull() & ~absent).sum(),
    )
    found = counted.to_pyarrow().to_pylist()[0]
    if not found["rows"]:
        raise DataError(f"The target '{name}' has no number in any row.", fix="choose another")
    if found["distinct"] < 2:
        raise DataError(f"The target '{name}' has one value in all rows: nothing is to be learnt.")
    return Target(
        name,
        kind,
        "regression",
        why,
        None,
        (),
        (),
        found["missing"] or 0,
        found["unread"] or 0,
        _enough(name, found["rows"]),
    )


def _classes(table: Any, name: str, kind: Kind, task: Task, why: str, said: Corrections) -> Target:
    import ibis

    value = typed(table[name], kind).cast("string")
    counts = table.select(value=value).group_by("value").agg(rows=ibis._.count())
    # A little more than what is allowed is enough to refuse it; ties are settled by the value.
    top = counts.order_by(ibis.desc("rows"), "value").limit(MAX_CLASSES + 2)
    pairs = [(row["value"], row["rows"]) for row in top.to_pyarrow().to_pylist()]
    missing = sum(rows for one, rows in pairs if one is None)
    every = [Class(one, rows) for one, rows in pairs if one is not None]
    rows = sum(one.rows for one in every)
    if not every:
        raise DataError(
            f"The target '{name}' has no value in any row.", fix="choose another target"
        )
    if len(every) == 1:
        raise DataError(
            f"The target '{name}' is '{every[0].value}' in all {rows:,} rows that have it: nothing "
            "is to be learnt.",
            fix="add rows with another value, or choose another target",
        )
    if len(every) > MAX_CLASSES or (len(every) > 20 and rows < 2 * len(every)):
        many = f"more than {MAX_CLASSES:,}" if len(every) > MAX_CLASSES else f"{len(every):,}"
        raise DataError(
            f"The target '{name}' has {many} different words, too many to be classes.",
            fix="choose a target whose values repeat, or join rare ones into one",
        )
    rare = tuple(one for one in every if one.rows < MIN_CLASS_ROWS)
    if task == "multiclass":
        kept = tuple(one for one in every if one not in rare)
    else:
        kept, rare = tuple(every), ()
        if len(kept) > 2:
            raise DataError(
                f"The target '{name}' has {len(kept)} values, and task binary needs two.",
                fix="choose task multiclass",
            )
    if len(kept) < 2:
        raise DataError(
            f"Only {len(kept)} class of '{name}' has {MIN_CLASS_ROWS} rows or more.",
            fix="add rows, or join rare classes into one",
        )
    return Target(
        name,
        kind,
        task,
        why,
        _positive(name, kept, said) if task == "binary" else None,
        kept,
        rare,
        missing,
        0,
        _enough(name, sum(one.rows for one in kept)),
    )


def _positive(name: str, classes: tuple[Class, ...], said: Corrections) -> str:
    """The value that counts as 1: a person's word, a usual word for yes, else the rarer."""
    values = [one.value for one in classes]
    if said.positive is not None:
        if said.positive not in values:
            raise DataError(
                f"'{said.positive}' is no value of '{name}'.{did_you_mean(said.positive, values)}"
            )
        return said.positive
    yes = [value for value in values if value.lower() in YES]
    return yes[0] if len(yes) == 1 else min(classes, key=lambda one: (one.rows, one.value)).value


def _enough(name: str, rows: int) -> int:
    if rows < MIN_ROWS:
        raise DataError(
            f"{rows} rows have a '{name}' to learn from, and {MIN_ROWS} are needed: less cannot be "
            "divided into training, validation and test.",
            fix="add rows to the source",
        )
    return rows


def warnings(target: Target) -> list[str]:
    """What a person should know of the target, in sentences."""
    said: list[str] = []
    if target.missing:
        said.append(f"{target.missing:,} rows have no '{target.name}': they leave.")
    if target.unread:
        said.append(f"{target.unread:,} rows have a '{target.name}' that is no number: they leave.")
    if target.rare:
        gone = sum(one.rows for one in target.rare)
        named = ", ".join(f"'{one.value}'" for one in target.rare[:5])
        said.append(
            f"{len(target.rare)} classes have fewer than {MIN_CLASS_ROWS} rows ({named}): their "
            f"{gone:,} rows leave."
        )
    if target.rows < FEW_ROWS:
        said.append(f"Only {target.rows} rows to learn from: figures will be uncertain.")
    if target.classes:
        least = min(target.classes, key=lambda one: one.rows)
        if least.rows < 0.05 * target.rows and target.task == "binary":
            said.append(
                f"'{target.name}' is uneven: {least.rows / target.rows:.1%} of rows are "
                f"'{least.value}'."
            )
    return said
