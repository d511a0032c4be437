"""Where the passport of an id is, found without reading columns: a server can afford it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workbench.storage.predictions.lines import find_line
from workbench.storage.predictions.passport import date_of, is_id, time_of
from workbench.storage.predictions.places import Partition, Segment, day_partitions, segments


@dataclass(frozen=True)
class Place:
    """Where a passport is. line: its own, where its segment is hot; None in Parquet."""

    partition: Partition
    segment: Segment
    line: bytes | None


def locate(folder: Path, id: str) -> Place | None:
    """Find the passport of `id` in the log; None when it is not on file.

    The id says the day, and segments after it are passed over.
    """
    if not is_id(id):
        return None
    for partition in day_partitions(folder, date_of(time_of(id))):
        for segment in reversed(segments(partition)):  # the nearest first
            if segment.may_hold(id) and (place := _look(partition, segment, id)):
                return place
    return None


def _look(partition: Partition, segment: Segment, id: str) -> Place | None:
    try:
        with segment.hot.open("rb") as file:
            line = find_line(file, id) if segment.stem else _scan(file, id)
            return Place(partition, segment, line) if line else None
    except FileNotFoundError:  # closed, perhaps this very moment
        pass
    try:
        with segment.ids.open("rb") as file:
            return Place(partition, segment, None) if find_line(file, id) else None
    except FileNotFoundError:  # its days are over
        return None


def _scan(file, id: str) -> bytes | None:
    """The line of `id` in a file of no order."""
    start = b'{"id":"%b"' % id.encode()
    return next((line for line in file if line.startswith(start)), None)
