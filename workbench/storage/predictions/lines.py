"""Look for an id in a file whose lines ascend by it, as segments and lists of ids do."""

from __future__ import annotations

import os
import re
from typing import BinaryIO

_ID = rb'(?:\{"id":")?([0-9a-f]{12}-[0-9a-f]{6}-[0-9a-f]{8})["\n]'
_FIRST, _NEXT = re.compile(_ID), re.compile(b"\n" + _ID)
_BLOCK, _OVERLAP = 4096, 64


def find_line(file: BinaryIO, id: str) -> bytes | None:
    """The line of `id`, by halving: some twenty short reads in a file of any size.

    A torn line is passed over: it is nobody's.
    """
    wanted, descriptor = id.encode(), file.fileno()
    low, high = 0, os.fstat(descriptor).st_size
    while low < high:  # it begins at or after `low` and before `high`
        middle = (low + high) // 2
        start, found = _id_after(descriptor, middle)
        if found == wanted:
            file.seek(start)
            return file.readline()
        if start >= high or found > wanted:
            high = middle
        else:
            low = start + 1
    return None


def last_id(file: BinaryIO) -> str:
    """The id of the last line; "" without one."""
    low, high, last = 0, os.fstat(file.fileno()).st_size, b""
    while low < high:  # it begins at or after `low` and before `high`, or is `last`
        middle = (low + high) // 2
        start, found = _id_after(file.fileno(), middle)
        if found:
            low, last = start + 1, found
        else:
            high = middle
    return last.decode()


def _id_after(descriptor: int, offset: int) -> tuple[int, bytes]:
    """Where the first whole line at or after `offset` begins, and its id; b"" at the end."""
    if offset == 0 and (found := _FIRST.match(os.pread(descriptor, _BLOCK, 0))):
        return 0, found[1]
    at, size = max(0, offset - 1), _BLOCK
    while True:
        block = os.pread(descriptor, size, at)
        if found := _NEXT.search(block):
            return at + found.start() + 1, found[1]
        if len(block) < size:
            return at + len(block), b""
        at, size = at + size - _OVERLAP, size * 4
