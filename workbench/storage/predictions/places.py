"""What stands where in the prediction log."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from workbench.storage.predictions.passport import date_of, time_of

LIMIT_BYTES = 32 << 20
"""Of a segment: what its compaction holds in memory, some times over."""
AGE_S = 3600.0
_NAME = re.compile(r"_?([0-9a-f]{12}-[0-9a-f]{6}-[0-9a-f]{8})\.(jsonl|parquet)")
_PIPELINE = re.compile(r"[a-z][a-z0-9_]*")
_PARTITION = re.compile(r"day=(\d{4}-\d\d-\d\d)/pipeline=([a-z][a-z0-9_]*)")
_OLD = re.compile(r"([a-z][a-z0-9_]*)/(\d{4}-\d\d-\d\d)\.jsonl")
LAST_DAY = "9999-12-31"


@dataclass(frozen=True, order=True)
class Partition:
    """All of one day (in UTC) and pipeline. folder: of the whole log."""

    day: str
    pipeline: str
    folder: Path

    @property
    def place(self) -> Path:
        return self.folder / f"day={self.day}" / f"pipeline={self.pipeline}"

    @property
    def outcomes(self) -> Path:
        return self.place / "_outcomes.jsonl"

    @property
    def old(self) -> Path:
        """The file that an earlier workbench wrote for this day, if it did."""
        return self.folder / self.pipeline / f"{self.day}.jsonl"


@dataclass(frozen=True, slots=True)
class Segment:
    """Passports that were written in a row, hot or closed, in the `place` of their partition.

    Their ids ascend. stem: the first of them, but for something random at its end; "" for a file of
    an earlier workbench, whose ids are in no order.
    """

    place: Path
    stem: str
    old: Path | None = None

    @property
    def hot(self) -> Path:
        """Its lines, until it is closed."""
        return self.old or self.place / f"_{self.stem}.jsonl"

    @property
    def parquet(self) -> Path:
        """Its columns, once it is closed."""
        return self.place / f"{self.stem}.parquet"

    @property
    def ids(self) -> Path:
        """Its ids in order, a line each, once it is closed."""
        return self.place / f"_{self.stem}.ids"

    @property
    def is_closed(self) -> bool:
        return self.old is None and self.parquet.exists()

    def may_hold(self, id: str) -> bool:
        """Whether an id can be in it, by when it began."""
        return self.stem[:19] <= id


def is_due(stem: str, day: str, size: int, now_s: float) -> bool:
    """Whether a segment of that size (bytes) takes no more lines and becomes Parquet."""
    return size >= LIMIT_BYTES or date_of(now_s) > day or now_s - time_of(stem) >= AGE_S


def segments(partition: Partition) -> list[Segment]:
    """Segments of a partition, oldest first.

    Hot ones are looked for first: one that becomes Parquet meanwhile is then seen twice and not
    never, and a stem stands for one segment.
    """
    place = partition.place
    stems = {*_stems(place, "jsonl")} | {*_stems(place, "parquet")}  # two looks, in this order
    found = [Segment(place, stem) for stem in sorted(stems)]
    if partition.old.is_file():
        found.insert(0, Segment(place, "", partition.old))
    return found


def partitions(
    folder: Path, pipeline: str | None = None, first: str = "", last: str = LAST_DAY
) -> list[Partition]:
    """Partitions from day `first` to day `last`, oldest first, of one pipeline or of all."""
    found: set[Partition] = set()
    for path in folder.glob(f"day=*/pipeline={pipeline or '*'}"):
        if match := _PARTITION.fullmatch(path.relative_to(folder).as_posix()):
            found.add(Partition(match[1], match[2], folder))
    for path in folder.glob(f"{pipeline or '*'}/*.jsonl"):
        if match := _OLD.fullmatch(path.relative_to(folder).as_posix()):
            found.add(Partition(match[2], match[1], folder))
    return sorted(one for one in found if first <= one.day <= last)


def day_partitions(folder: Path, day: str) -> list[Partition]:
    """Partitions of one day: what a look-up by id needs, without a look at other days."""
    names = {name.removeprefix("pipeline=") for name in _names(folder / f"day={day}")}
    old = (name for name in _names(folder) if _PIPELINE.fullmatch(name))
    names.update(name for name in old if (folder / name / f"{day}.jsonl").exists())
    return [Partition(day, name, folder) for name in sorted(names) if _PIPELINE.fullmatch(name)]


def _stems(place: Path, kind: str) -> list[str]:
    matches = (_NAME.fullmatch(name) for name in _names(place))
    return [match[1] for match in matches if match and match[2] == kind]


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
