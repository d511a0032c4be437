"""Old and new data side by side: rows that came, went or stayed, and columns that moved."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.data.sources import COPY, ROW

MOVED = 0.2
"""Population stability index from which a column counts as moved (the usual reading)."""

BINS, MOST_WORDS = 10, 20
_FLOOR = 1e-4


@dataclass(frozen=True)
class ColumnChange:
    """One column of both: its missing share, mean (numbers) and how far its values moved.

    stability: population stability index over the old deciles or most frequent words; None where
    there is nothing to compare.
    """

    name: str
    missing_before: float
    missing_now: float
    mean_before: float | None = None
    mean_now: float | None = None
    stability: float | None = None

    @property
    def moved(self) -> bool:
        """Whether a person should look at it."""
        gap = abs(self.missing_now - self.missing_before)
        return gap > 0.05 or (self.stability is not None and self.stability > MOVED)


@dataclass(frozen=True)
class TableChange:
    """One table of both. same: rows equal in every column that both have."""

    name: str
    rows_before: int
    rows_now: int
    same: int
    columns_new: tuple[str, ...]
    columns_gone: tuple[str, ...]
    columns: tuple[ColumnChange, ...]

    @property
    def came(self) -> int:
        """Rows of now that were not there."""
        return self.rows_now - self.same

    @property
    def went(self) -> int:
        """Rows of before that are not there any more."""
        return self.rows_before - self.same


def compare(
    before: Mapping[str, Path], now: Mapping[str, Path], backend: Any
) -> tuple[TableChange, ...]:
    """Compare tables by name, given as Parquet files; those that only one side has are left out.

    backend: an Ibis DuckDB connection, whose memory limit holds.
    """
    return tuple(
        _table(name, backend.read_parquet(before[name]), backend.read_parquet(now[name]))
        for name in before
        if name in now
    )


def _table(name: str, before: Any, now: Any) -> TableChange:
    # A hash of a whole row would differ in every row when a column comes or goes.
    both = [c for c in before.columns if c in now.columns and c not in (ROW, COPY)]
    return TableChange(
        name=name,
        rows_before=int(before.count().execute()),
        rows_now=int(now.count().execute()),
        same=_same(before.select(both), now.select(both)) if both else 0,
        columns_new=tuple(c for c in now.columns if c not in before.columns),
        columns_gone=tuple(c for c in before.columns if c not in now.columns),
        columns=tuple(found for c in both if (found := _column(c, before, now, name)) is not None),
    )


def _same(before: Any, now: Any) -> int:
    """How many rows both have, repeated ones as often as in the one that has fewer."""
    import ibis

    def counted(table: Any, into: str) -> Any:
        words = [table[c].cast("string").fill_null("\x1e") for c in sorted(table.columns)]
        separator: Any = ibis.literal("\x1f")
        row = separator.join(words).hexdigest("md5")
        return table.select(row=row).group_by("row").agg(**{into: ibis._.count()})

    first, second = counted(before, "old"), counted(now, "new")
    joined = first.join(second, "row")
    shared: Any = ibis.least(joined["old"], joined["new"])
    return int(joined.aggregate(rows=shared.sum()).to_pyarrow()["rows"][0].as_py() or 0)


def _column(name: str, before: Any, now: Any, table: str) -> ColumnChange | None:
    kind = before[name].type()
    gone = [float(t[name].isnull().mean().execute() or 0.0) for t in (before, now)]
    if kind.is_numeric() and now[name].type().is_numeric():
        means = [_number(t[name].cast("float64").mean().execute()) for t in (before, now)]
        return ColumnChange(name, *gone, *means, stability=_of_numbers(before[name], now[name]))
    if kind.is_string() and now[name].type().is_string():
        return ColumnChange(name, *gone, stability=_of_words(before, now, name))
    if kind.is_nested() or kind.is_binary():
        return None
    return ColumnChange(name, *gone)


def _of_numbers(before: Any, now: Any) -> float | None:
    """Stability over the deciles of before."""
    import numpy as np

    first, second = (
        column.cast("float64").to_pyarrow().drop_null().to_numpy(zero_copy_only=False)
        for column in (before, now)
    )
    if not len(first) or not len(second):
        return None
    borders = np.unique(np.quantile(first, np.linspace(0, 1, BINS + 1)[1:-1]))
    shares = [
        np.bincount(np.searchsorted(borders, part, side="right"), minlength=len(borders) + 1)
        / len(part)
        for part in (first, second)
    ]
    return _index(shares[0].tolist(), shares[1].tolist())


def _of_words(before: Any, now: Any, name: str) -> float | None:
    """Stability over the most frequent words of before and all others; None for free text."""
    import ibis

    counts = []
    for table in (before, now):
        tally = table.filter(table[name].notnull()).group_by(name).agg(n=ibis._.count())
        total = int(tally.n.sum().execute() or 0)
        ranked = tally.order_by(ibis.desc("n"), name).limit(MOST_WORDS * 50).to_pyarrow()
        words = dict(zip(ranked[name].to_pylist(), ranked["n"].to_pylist(), strict=True))
        counts.append((total, words))
    (total, old), (total_now, _) = counts
    frequent = list(old)[:MOST_WORDS]
    if not total or not total_now or sum(old[w] for w in frequent) < total / 2:
        return None
    shares = []
    for whole, words in counts:
        listed = [words.get(word, 0) / whole for word in frequent]
        shares.append([*listed, max(0.0, 1 - sum(listed))])
    return _index(*shares)


def _index(old: list[float], new: list[float]) -> float:
    """Population stability index: sum of (new - old) ln(new / old)."""
    pairs = [(max(a, _FLOOR), max(b, _FLOOR)) for a, b in zip(old, new, strict=True)]
    return sum((b - a) * math.log(b / a) for a, b in pairs)


def _number(value: Any) -> float | None:
    return None if value is None or value != value else float(value)
