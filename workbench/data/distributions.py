"""How values are spread, so that those of training and those of life can be compared.

Every kind of column is looked at as numbers or as words: a time by its hour of the day (that it
grows is no drift), a text by its number of characters, an image by its mean brightness.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.core.errors import DataError
from workbench.core.records import Role
from workbench.data.images import pixels
from workbench.storage.reference import Distribution

BINS = 20
RARE = 0.01
"""A word with a smaller share counts among all others."""

ROWS, IMAGES = 50_000, 500
"""Of the training side that are looked at, evenly spread: more would not move a share."""

_BATCH = 4096
_IN_WORDS = ("word", "list")


@dataclass(frozen=True)
class Seen:
    """Values of one column as they are compared.

    numbers: [rows there] of all roles but words and lists, whose words are in `words`.
    """

    rows: int
    missing: int
    numbers: NDArray[np.float64]
    words: Mapping[str, int]


def seen(role: Role, values: Sequence[Any]) -> Seen:
    """Look at raw values, of a table or as clients write them; what cannot be read is missing."""
    rows = len(values)
    if role in _IN_WORDS:
        words: Counter[str] = Counter()
        missing = 0
        for value in values:
            found = [str(v) for v in _listed(role, value) if v not in (None, "")]
            missing += not found
            words.update(found)
        return Seen(rows, missing, np.zeros(0), words)
    numbers = np.array([_number(role, value) for value in values], np.float64)
    there = numbers[np.isfinite(numbers)]
    return Seen(rows, rows - len(there), there, {})


def spread(role: Role, values: Seen) -> Distribution:
    """Cut values into bins: numbers into about BINS with equally many, words by name.

    Numbers get two more, empty ones, below and above all that was seen.
    """
    borders: tuple[float, ...] = ()
    words: tuple[str, ...] = ()
    if role in _IN_WORDS:
        total = sum(values.words.values())
        often = sorted(values.words.items(), key=lambda entry: (-entry[1], entry[0]))[:BINS]
        words = tuple(word for word, count in often if count >= RARE * total)
    elif len(values.numbers):
        inner = np.quantile(values.numbers, np.arange(1, BINS) / BINS, method="nearest")
        low, high = values.numbers.min(), values.numbers.max()
        borders = tuple(np.unique([np.nextafter(low, -np.inf), *inner, high]).tolist())
    empty = Distribution(role, values.rows, 0.0, (), borders, words)
    counts = counted(empty, values)
    shares = tuple((counts[:-1] / max(float(counts[:-1].sum()), 1.0)).tolist())
    missing_fraction = values.missing / max(values.rows, 1)
    return Distribution(role, values.rows, missing_fraction, shares, borders, words)


def counted(like: Distribution, values: Seen) -> NDArray[np.float64]:
    """Count values by the bins of `like`; the last number counts those that are missing.

    Words of a list are weighed so that a row counts once, however long its list.
    """
    if like.role in _IN_WORDS:
        named = [values.words.get(word, 0) for word in like.words]
        total = sum(values.words.values())
        scale = (values.rows - values.missing) / total if total else 0.0
        counts = np.array([*named, total - sum(named)], np.float64) * scale
    else:
        bins = np.searchsorted(np.array(like.borders), values.numbers, side="left")
        counts = np.bincount(bins, minlength=len(like.borders) + 1).astype(np.float64)
    return np.append(counts, float(values.missing))


def table_distributions(
    train: Path, test: Path, roles: Mapping[str, Role]
) -> dict[str, Distribution]:
    """How columns are spread on the training side and, by the same bins, on the test side.

    From at most ROWS rows of each Parquet file; of several columns those that both have.
    """
    trained, tested = (table_values(path, roles) for path in (train, test))
    found: dict[str, Distribution] = {}
    for name in trained.keys() & tested.keys():
        one = spread(roles[name], trained[name])
        counts = counted(one, tested[name])
        shares = tuple((counts / max(float(counts.sum()), 1.0)).tolist())
        found[name] = replace(one, tested=shares, tested_rows=tested[name].rows)
    return found


def table_values(path: Path, roles: Mapping[str, Role]) -> dict[str, Seen]:
    """The columns of a Parquet file as they are compared, from at most ROWS of its rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    there: dict[str, Role] = {n: r for n, r in roles.items() if n in file.schema_arrow.names}
    most = IMAGES if "image" in there.values() else ROWS
    step = max(1, -(-file.metadata.num_rows // most))
    parts: list[Any] = []
    at = 0
    for batch in file.iter_batches(_BATCH, columns=list(there)):
        some = range(-at % step, batch.num_rows, step)
        at += batch.num_rows
        if len(some):
            parts.append(batch.take(pa.array(some, pa.int64())))
    if not parts:
        return {}
    table = pa.Table.from_batches(parts)
    return {name: seen(role, table[name].to_pylist()) for name, role in there.items()}


def likeliest(classes: Sequence[str], scores: Sequence[Sequence[float]]) -> list[str]:
    """The class with the highest score of each row."""
    return [classes[max(range(len(row)), key=row.__getitem__)] for row in scores]


def _listed(role: Role, value: Any) -> Sequence[Any]:
    if role == "list":
        return value if isinstance(value, list | tuple) else ()
    return () if isinstance(value, list | dict) else (value,)


def _number(role: Role, value: Any) -> float:
    """One value as a number; NaN where it has none."""
    try:
        if value is None:
            return np.nan
        if role == "time":
            return _hour(value)
        if role == "text":
            return float(len(value))
        if role == "image":
            return float(pixels([value]).mean())
        return float(value)
    except (TypeError, ValueError, OverflowError, OSError, DataError):
        return np.nan


def _hour(value: Any) -> float:
    """The hour of the day, in UTC, of seconds since 1970 or of a date or time."""
    if isinstance(value, int | float):
        return float(value // 3600 % 24)
    if isinstance(value, str):
        value = dt.datetime.fromisoformat(value)
    if isinstance(value, dt.datetime):
        value = value.astimezone(dt.UTC) if value.tzinfo else value
        return float(value.hour)
    return 0.0  # a date
