"""Read the prediction log: one passport, all of a time, or those that a person looks for.

Parquet is read with libraries that a server does not load; whoever looks into the log does.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.core.errors import StateError
from workbench.core.paths import Paths
from workbench.storage.predictions.lookup import Place, locate
from workbench.storage.predictions.passport import (
    Passport,
    date_of,
    is_id,
    read_line,
    time_of,
)
from workbench.storage.predictions.places import LAST_DAY, Partition, Segment, partitions, segments
from workbench.storage.predictions.table import passports_of

if TYPE_CHECKING:
    import pyarrow as pa


def find_passport(paths: Paths, id: str) -> Passport:
    """Return the passport of prediction `id`; StateError when there is none."""
    if not is_id(id):
        raise StateError(
            f"'{id}' is no prediction id.", fix="take the `id` of an answer, or its x-prediction-id"
        )
    place = locate(paths.predictions, id)
    found = place and _at(place, id)
    if not found:
        raise StateError(
            f"No prediction {id} is on file for {date_of(time_of(id))}.",
            fix="look for it where the server that answered keeps its state",
        )
    return found


def scan(
    paths: Paths, pipeline: str, since_s: float = 0.0, until_s: float = math.inf
) -> Iterator[Passport]:
    """Yield the passports of `pipeline` with since_s <= time_s < until_s, segment by segment.

    Oldest segments first; those of several processes overlap.
    """
    last = date_of(until_s) if until_s < math.inf else LAST_DAY
    for partition in partitions(paths.predictions, pipeline, date_of(since_s), last):
        yield from read_partition(partition, since_s=since_s, until_s=until_s)


def read_partition(
    partition: Partition,
    *,
    since_s: float = 0.0,
    until_s: float = math.inf,
    ids: Collection[str] | None = None,
) -> Iterator[Passport]:
    """Yield passports of one day and pipeline: of a time, or only those with `ids`."""
    for segment in segments(partition):
        for passport in _read_segment(segment, ids):
            if since_s <= passport.time_s < until_s:
                yield passport


def read_passports(path: Path) -> Iterator[Passport]:
    """Yield the passports of one file of lines, as they stand, without a line a crash tore."""
    with path.open("rb") as file:
        for line in file:
            if passport := read_line(line):
                yield passport


def _read_segment(segment: Segment, ids: Collection[str] | None) -> Iterator[Passport]:
    if not segment.is_closed:
        try:
            with segment.hot.open("rb") as file:
                for line in file:
                    if ids is not None and line[7:35].decode(errors="replace") not in ids:
                        continue
                    if passport := read_line(line):
                        yield passport
            return
        except FileNotFoundError:
            pass  # it has become Parquet since
    yield from passports_of(_read_parquet(segment.parquet, ids))


def _at(place: Place, id: str) -> Passport | None:
    if place.line is not None:
        return read_line(place.line)
    return next(passports_of(_read_parquet(place.segment.parquet, [id])), None)


def _read_parquet(path: Path, ids: Collection[str] | None) -> pa.Table:
    """A closed segment, or its rows with `ids`; nothing where its days are over."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from workbench.storage.predictions.table import schema

    wanted = None if ids is None else pc.field("id").isin(list(ids))
    try:
        with path.open("rb") as file:
            return pq.read_table(file, schema=schema(), filters=wanted)
    except FileNotFoundError:
        return schema().empty_table()
