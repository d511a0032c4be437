"""An open segment: the file that one process appends to, and nobody else."""

from __future__ import annotations

import fcntl
import os
import secrets

from workbench.core.secrets import private, private_folder
from workbench.storage.predictions.lines import last_id
from workbench.storage.predictions.places import Partition, Segment, is_due, segments


class OpenSegment:
    """Holds a segment by a lock that the kernel drops when the process dies, however it dies.

    last: the last id on file. OSError from `append` leaves the file as it was.
    """

    def __init__(self, descriptor: int, where: Segment, day: str, last: str) -> None:
        self._descriptor = descriptor
        self.where = where
        self.day = day
        self.last = last
        self.size = os.fstat(descriptor).st_size

    def append(self, lines: list[bytes], last: str) -> None:
        """Add whole lines, of which the last one has the id `last`."""
        rest = memoryview(b"\n".join([*lines, b""]))
        added = len(rest)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            os.ftruncate(self._descriptor, self.size)  # or the next try would double what it wrote
            raise
        self.size += added
        self.last = last

    def takes(self, first: str, now_s: float) -> bool:
        """Whether lines from id `first` on belong into it, still, at `now_s`."""
        due = self.is_due(now_s)
        return not due and self.last < first and _is_at(self._descriptor, self.where)

    def is_due(self, now_s: float) -> bool:
        """Whether it takes no more and is to become Parquet."""
        return is_due(self.where.stem, self.day, self.size, now_s)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)


def open_segment(partition: Partition, first: str, now_s: float) -> OpenSegment:
    """Go on with a segment that nobody holds, or begin one for lines from id `first` on.

    So each `workbench predict`, and a server after a crash, adds to what is there.
    """
    private_folder(partition.place)
    for there in reversed(segments(partition)):
        if there.stem and (found := _adopted(partition, there)):
            if found.takes(first, now_s):
                return found
            found.close()
    while True:
        stem = f"{first[:19]}-{secrets.token_hex(4)}"
        if found := _held(Segment(partition.place, stem), partition.day, os.O_CREAT | os.O_EXCL):
            return found


def lock(descriptor: int) -> bool:
    """Lock an open file, if nobody has."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _adopted(partition: Partition, there: Segment) -> OpenSegment | None:
    """A segment that another process left, its last line ended; None when it is held or gone."""
    try:
        found = _held(there, partition.day, 0)
    except FileNotFoundError:
        return None
    if found is None:
        return None
    with there.hot.open("rb") as file:
        found.last = last_id(file)
        if found.size:
            file.seek(found.size - 1)
            if file.read(1) != b"\n":  # torn by a kill: what follows begins on a line of its own
                found.append([b""], found.last)
    return found


def _held(there: Segment, day: str, flags: int) -> OpenSegment | None:
    descriptor = private(str(there.hot), flags | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    if lock(descriptor) and _is_at(descriptor, there):
        return OpenSegment(descriptor, there, day, "")
    os.close(descriptor)
    return None


def _is_at(descriptor: int, there: Segment) -> bool:
    """Whether an open file is still the hot one there, and not one that became Parquet."""
    try:
        found = os.stat(there.hot)
    except OSError:
        return False
    ours = os.fstat(descriptor)
    return (found.st_ino, found.st_dev) == (ours.st_ino, ours.st_dev) and not there.is_closed
