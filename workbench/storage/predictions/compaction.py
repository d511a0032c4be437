"""Segments that take no more lines become Parquet; what is too old is removed.

    python -m workbench.storage.predictions.compaction FOLDER [PIPELINE=DAYS ...]

It may be killed at any step. The list of ids is written first, then Parquet, both aside and
renamed; the lines go last. A segment counts as closed from the moment its Parquet is there.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from workbench.core.errors import StateError
from workbench.core.secrets import private
from workbench.storage.predictions.passport import DAY_S, date_of
from workbench.storage.predictions.places import (
    Partition,
    Segment,
    is_due,
    partitions,
    segments,
)
from workbench.storage.predictions.table import table_of
from workbench.storage.predictions.writer import lock

ROWS_AT_ONCE = 10_000
"""Of a row group: what is read to find one passport."""


def compact(
    folder: Path, keep_days: Mapping[str, int] | None = None, now_s: float | None = None
) -> int:
    """Close what is due in the log in `folder`, remove what is older than `keep_days` by pipeline.

    Returns how many segments became Parquet; 0 at once where another process is at it. StateError
    says what could not be closed, after all else was.
    """
    now_s = time.time() if now_s is None else now_s
    closed = 0
    failed: list[str] = []
    with _alone(folder) as alone:
        for partition in partitions(folder) if alone else ():
            try:
                if is_over(partition, keep_days or {}, now_s):
                    _remove(partition)
                else:
                    closed += _close_due(partition, now_s)
            except OSError as error:
                failed.append(f"{partition.pipeline}, {partition.day}: {error.strerror or error}")
    if failed:
        raise StateError(
            f"The prediction log is not all compact: {'; '.join(failed[:3])}.",
            kept="every passport, as lines of JSON",
        )
    return closed


def is_over(partition: Partition, keep_days: Mapping[str, int], now_s: float) -> bool:
    """Whether all of a partition is older than its pipeline keeps."""
    days = keep_days.get(partition.pipeline)
    return days is not None and partition.day < date_of(now_s - days * DAY_S)


def _close_due(partition: Partition, now_s: float) -> int:
    """Close what is due of one partition; say how many segments that were."""
    for path in partition.place.glob(".*.part"):
        path.unlink()  # of one that was killed: nobody else writes aside here
    return sum(_close_if_due(partition, segment, now_s) for segment in segments(partition))


def _close_if_due(partition: Partition, segment: Segment, now_s: float) -> bool:
    """Turn a segment that nobody writes to into Parquet; True if it did."""
    if not segment.stem:
        return False  # an earlier workbench may still write it; it stays as it is
    try:
        file = segment.hot.open("rb")
    except FileNotFoundError:
        return False
    with file:
        size = os.fstat(file.fileno()).st_size
        if not (segment.is_closed or is_due(segment.stem, partition.day, size, now_s)):
            return False
        if not lock(file.fileno()):
            return False  # its writer will let go of it
        if not segment.is_closed:
            _write(segment, file)
        segment.hot.unlink(missing_ok=True)
    return True


def _write(segment: Segment, file: io.BufferedReader) -> None:
    """Write list of ids and Parquet of the lines in `file`; neither where no line is whole."""
    import pyarrow.parquet as pq

    table = table_of(file)
    if not table.num_rows:
        return
    ids = "".join(f"{id}\n" for id in table.column("id").to_pylist())
    _write_aside(segment.ids, ids.encode())
    content = io.BytesIO()
    pq.write_table(table, content, compression="zstd", row_group_size=ROWS_AT_ONCE)
    _write_aside(segment.parquet, content.getbuffer())


def _write_aside(path: Path, content: bytes | memoryview) -> None:
    """Whole or not at all, also if the power fails, and for its owner alone."""
    aside = path.with_name(f".{path.name}.part")
    try:
        with open(aside, "wb", opener=private) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
    finally:
        aside.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _remove(partition: Partition) -> None:
    if partition.place.exists():
        shutil.rmtree(partition.place)
    partition.old.unlink(missing_ok=True)
    for folder in (partition.place.parent, partition.old.parent):
        with contextlib.suppress(OSError):  # not empty, or not there
            folder.rmdir()


@contextlib.contextmanager
def paused(folder: Path) -> Iterator[None]:
    """Keep the log in `folder` from being compacted for the block: a copy of it is then whole.

    Waits for the compaction that is under way, some seconds. Writers go on.
    """
    with _folder(folder) as descriptor:
        if descriptor is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether this is the only process that compacts the log, for the block."""
    with _folder(folder) as descriptor:
        yield descriptor is not None and lock(descriptor)


@contextlib.contextmanager
def _folder(folder: Path) -> Iterator[int | None]:
    """The open folder, whose lock says who compacts; None where there is no log."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def main(arguments: list[str]) -> None:
    """Compact at the lowest priority; a sentence on stderr and status 1 when it failed."""
    os.nice(19)
    folder, *kept = arguments
    pairs = (one.partition("=") for one in kept)
    try:
        compact(Path(folder), {name: int(days) for name, _, days in pairs})
    except StateError as error:
        sys.exit(error.problem)


if __name__ == "__main__":
    main(sys.argv[1:])
