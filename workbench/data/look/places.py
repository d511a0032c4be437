"""Which columns name a row, the moment of the decision, and the thing that rows are about."""

from __future__ import annotations

from typing import Any

from workbench.data.kinds import Date, Number, Word
from workbench.data.look.beliefs import Corrections
from workbench.data.look.columns import Guess
from workbench.data.look.names import (
    BIRTH,
    ENTITY,
    LATER,
    TIME,
    is_identifier,
    may_name_rows,
    names_entities,
    words_of,
)
from workbench.data.look.reading import Reading
from workbench.data.look.sample import Sample

MAX_CANDIDATES = 4
MIN_NUMBERED = 50
MIN_GROUPS = 10
_NAMELESS = {"unnamed", "column", "row", "rownum", "x", "index"}
MAX_CATEGORY = 1_000
"""An identifier with so few values, each in many rows, is better a word than a group."""


def key(
    table: Any, sample: Sample, reading: Reading, said: Corrections, target: str
) -> tuple[str, ...]:
    """Columns that name each row of the whole table once and are never missing; () if none do."""
    if said.keys is not None:
        return said.keys
    nearly = 0.9 * sample.rows  # counts of different values are near, not exact
    candidates = [
        name
        for name, found in reading.guesses.items()
        if name != target
        and name not in said.drop
        and sample.present[name] == sample.rows
        and sample.distinct[name] >= nearly
        and not isinstance(found.kind, Date)
        and (
            names_things(name, found, sample)
            or may_name_rows(name)
            or is_numbering(reading.typed[name], sample.rows)
            or _is_row_number(reading.typed[name], name, sample.rows)
        )
    ]
    candidates.sort(key=lambda name: (not is_identifier(name), len(name)))
    for name in candidates[:MAX_CANDIDATES]:
        # What was counted before is near, and a key must be exact; one at a time, as each is dear.
        if int(table[name].nunique().to_pyarrow().as_py()) == sample.rows:
            return (name,)
    return ()


def names_things(name: str, found: Guess, sample: Sample) -> bool:
    """Whether the values of a column only name things; a few that repeat are a category."""
    if found.identifier:
        return True
    distinct = sample.distinct[name]
    few = distinct <= MAX_CATEGORY and sample.present[name] >= 20 * distinct
    return is_identifier(name) and isinstance(found.kind, Number | Word) and not few


def is_numbering(values: Any, rows: int, gaps: float = 0.05) -> bool:
    """Whole numbers that all differ and leave hardly any out: tickets from 1000 on, say.

    values: of the sample. gaps: the fraction that may be left out. Few rows show nothing.
    """
    import pyarrow.compute as pc
    import pyarrow.types as kinds

    if not kinds.is_floating(values.type) or values.null_count or rows < MIN_NUMBERED:
        return False
    call: Any = pc
    if call.count_distinct(values).as_py() < len(values):
        return False
    if call.any(call.not_equal(values, call.floor(values))).as_py():
        return False
    ends = call.min_max(values).as_py()
    return ends["max"] - ends["min"] < (1 + gaps) * rows


def _is_row_number(values: Any, name: str, rows: int) -> bool:
    """Whole numbers from 0 or 1 to the number of rows, under a name that says nothing else."""
    import pyarrow.compute as pc
    import pyarrow.types as kinds

    says_nothing = all(word in _NAMELESS or word.isdecimal() for word in words_of(name))
    if not says_nothing or not kinds.is_floating(values.type):
        return False
    ends = pc.min_max(values).as_py()  # type: ignore[attr-defined]
    return ends["min"] is not None and ends["min"] >= 0 and ends["max"] <= rows


def time(reading: Reading, said: Corrections, target: str) -> str | None:
    """The date at which the decision was taken: never missing, and not one of what came later."""
    if said.time is not None:
        return said.time or None
    moments = [
        name
        for name, found in reading.guesses.items()
        if isinstance(found.kind, Date)
        and name != target
        and name not in said.drop
        and reading.typed[name].null_count <= 0.02 * len(reading.typed)
        and not words_of(name) & BIRTH
        and not _glued(name, BIRTH)
    ]
    known = [name for name in moments if not words_of(name) & LATER] or moments
    known.sort(key=lambda name: (not words_of(name) & TIME, list(reading.guesses).index(name)))
    return known[0] if known else None


def _glued(name: str, ends: set[str]) -> bool:
    return any(word in name.lower() for word in ends if len(word) > 4)


def group(
    sample: Sample, reading: Reading, said: Corrections, taken: tuple[str, ...]
) -> str | None:
    """The thing that several rows are about, such as a customer; None if rows stand alone."""
    if said.group is not None:
        return said.group or None
    scored: list[tuple[bool, int, str]] = []
    for name, found in reading.guesses.items():
        distinct, present = sample.distinct[name], sample.present[name]
        repeats = distinct >= MIN_GROUPS and present >= 1.2 * distinct
        if name in (*taken, *said.drop, *said.keep) or not repeats:
            continue
        if not names_entities(name) or not isinstance(found.kind, Number | Word):
            continue
        entity = bool(words_of(name) & ENTITY)
        # A shop or a device among a few is better a word that the model learns.
        few = distinct <= MAX_CATEGORY and present >= 20 * distinct
        if not few or (entity and is_identifier(name)):
            scored.append((not entity, -distinct, name))
    return min(scored)[2] if scored else None
