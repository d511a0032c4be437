"""The sample read by the very kinds that a pipeline will use, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from workbench.data.kinds import Date, Kind, Number, Word, parsed
from workbench.data.look.columns import (
    Guess,
    coded_number,
    counted,
    guess,
    moment,
    widened,
)
from workbench.data.look.sample import Sample, is_plain

MAX_EXAMPLE = 40
SENTINELS = (-1, -9, -99, -999, -9999, -99999, 99, 999, 9999, 99999, 999999)
SENTINEL_FRACTION = 0.005


@dataclass(frozen=True)
class Reading:
    """guesses: by column, for those of plain types. typed: Arrow, the sample read by them.

    unread: by column, values that are there and that its kind cannot read, with their rows.
    """

    guesses: dict[str, Guess]
    typed: Any
    unread: dict[str, Counter[str]]

    @cached_property
    def distinct(self) -> dict[str, int]:
        """How many values differ in the sample, by column, as read."""
        import pyarrow.compute as pc

        count = pc.count_distinct  # type: ignore[attr-defined]
        return {name: count(self.typed[name]).as_py() for name in self.guesses}

    def kinds(self) -> dict[str, Kind]:
        """Kinds by column."""
        return {name: found.kind for name, found in self.guesses.items()}


def read(backend: Any, schema: Any, sample: Sample, said: Mapping[str, Kind]) -> Reading:
    """Guess the kind of each column, read the sample by it, and learn from what was not read.

    said: kinds that a person gave, which stay.
    """
    guesses: dict[str, Guess] = {}
    for name, native in schema.items():
        if name in said:
            guesses[name] = Guess(said[name], "you said so")
        elif is_plain(native) and sample.present[name]:
            guesses[name] = _native(name, native, sample)
    reading = _typed(backend, sample.cells, guesses)
    free = {name for name in guesses if name not in said}
    wider = {
        name: kind
        for name, unread in reading.unread.items()
        if name in free and (kind := widened(guesses[name].kind, unread, name))
    }
    wider |= {
        name: replace(kind, missing=tuple(sorted({*kind.missing, *codes})))
        for name in free
        if isinstance(kind := wider.get(name, guesses[name].kind), Number)
        and (codes := _sentinels(reading.typed[name]))
    }
    if not wider:
        return reading
    again = _typed(
        backend,
        sample.cells.select(list(wider)),
        {name: replace(guesses[name], kind=kind) for name, kind in wider.items()},
    )
    return _better(reading, again)


def _native(name: str, native: Any, sample: Sample) -> Guess:
    """Guess from the type that the source gives, or from spelling where it gives only text."""
    values = sample.cells[name]
    there, distinct = sample.present[name], sample.distinct[name]
    if native.is_string() or native.is_uuid():
        return guess(name, values, there, distinct)
    if native.is_boolean():
        return Guess(Word(), "it is true or false")
    if native.is_timestamp() or native.is_date():
        return Guess(Date(), "the source says that it is a date")
    whole = native.is_integer()
    coded = coded_number(name, Number(), there, distinct, whole=whole)
    when = moment(name, counted(values)) if whole else None
    return coded or when or Guess(Number(), "the source says that it is a number")


def _typed(backend: Any, cells: Any, guesses: dict[str, Guess]) -> Reading:
    import ibis

    kinds = {name: found.kind for name, found in guesses.items()}
    held = cells.select(list(kinds))
    typed = backend.to_pyarrow(parsed(ibis.memtable(held), kinds)) if kinds else held
    unread = {
        name: missed
        for name, kind in kinds.items()
        if isinstance(kind, Number | Date) and (missed := _unread(held[name], typed[name], kind))
    }
    return Reading(guesses, typed, unread)


def _unread(raw: Any, typed: Any, kind: Kind) -> Counter[str]:
    """Values that are there, name no missing one, and became null."""
    import pyarrow.compute as pc

    if typed.null_count == raw.null_count:
        return Counter()
    lost = raw.filter(pc.and_(pc.is_null(typed), pc.is_valid(raw)))  # type: ignore[attr-defined]
    found = counted(lost, len(lost))
    for code in (*kind.missing, "nan"):
        found.pop(code, None)
    return found


def _better(before: Reading, after: Reading) -> Reading:
    """Take the second reading of each column that it reads no worse than the first."""
    guesses, typed, unread = dict(before.guesses), before.typed, dict(before.unread)
    for name, found in after.guesses.items():
        if after.unread.get(name, Counter()).total() > before.unread.get(name, Counter()).total():
            continue
        guesses[name] = found
        unread.pop(name, None)
        if name in after.unread:
            unread[name] = after.unread[name]
        typed = typed.set_column(typed.column_names.index(name), name, after.typed[name])
    return Reading(guesses, typed, unread)


def _sentinels(values: Any) -> tuple[str, ...]:
    """Numbers that stand for missing: at an end, frequent, and farther off than the rest is wide.

    Needs more than ten other values: -1, 0 and 1 may be three answers.
    """
    import numpy as np

    number = values.drop_null().to_numpy()
    codes: list[str] = []
    level, rows = np.unique(number, return_counts=True)
    enough = max(3, SENTINEL_FRACTION * len(number))
    for _ in range(3):
        if len(level) <= 11:
            break
        for place, rest in ((0, level[1:]), (-1, level[:-1])):
            far = np.min(np.abs(rest - level[place])) > rest[-1] - rest[0]
            if level[place] in SENTINELS and rows[place] >= enough and far:
                codes.append(f"{level[place]:.0f}")
                keep = slice(1, None) if place == 0 else slice(None, -1)
                level, rows = level[keep], rows[keep]
                break
    return tuple(codes)


def examples(values: Any) -> tuple[str, ...]:
    """Up to three values as they are written, the most frequent first, cut short."""
    top = sorted(counted(values).items(), key=lambda pair: (-pair[1], pair[0]))[:3]
    return tuple(v if len(v) <= MAX_EXAMPLE else f"{v[: MAX_EXAMPLE - 1]}…" for v, _ in top)
