"""One pass over a file, in pieces: its digest, and whether it is text that can be read."""

from __future__ import annotations

import codecs
import contextlib
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workbench.core.errors import DataError
from workbench.core.progress import progress
from workbench.data.sources.magic import GZIP

PIECE_BYTES = 4 << 20
HEAD_BYTES = 1 << 20
FOREIGN_BYTES = 1 << 17
"""How much text beyond ASCII is kept to guess the encoding from."""


@dataclass(frozen=True)
class Survey:
    """What one pass over the (unpacked) bytes of a file found.

    head: the first HEAD_BYTES. not_utf8: line of the first byte that is not UTF-8, or None.
    nul: line of the first NUL byte, or None. foreign: lines that hold bytes beyond ASCII.
    """

    sha256: str
    head: bytes
    not_utf8: int | None
    nul: int | None
    foreign: bytes


def digest(path: Path) -> str:
    """SHA-256 of a file of any size, hex, with progress."""
    total = hashlib.sha256()
    for piece in _pieces(path, path.open("rb"), f"Hash {path.name}"):
        total.update(piece)
    return total.hexdigest()


def open_bytes(path: Path) -> gzip.GzipFile | io.BufferedReader:
    """Open a file for reading, unpacked if it is gzip."""
    return gzip.open(path, "rb") if is_gzip(path) else path.open("rb")


def is_gzip(path: Path) -> bool:
    """Whether the bytes of a file are packed, whatever its name says."""
    with path.open("rb") as file:
        return file.read(2) == GZIP


def head_of(path: Path, size: int = HEAD_BYTES) -> bytes:
    """The first bytes, unpacked."""
    with _unpacking(path), open_bytes(path) as file:
        return file.read(size)


def survey(path: Path) -> Survey:
    """Read all of a text file once; DataError where a gzip archive is damaged."""
    packed = is_gzip(path)
    total = hashlib.sha256()
    decoder = codecs.getincrementaldecoder("utf-8")()
    head, foreign = b"", b""
    not_utf8: int | None = None
    nul: int | None = None
    lines = 1
    for piece in _pieces(path, open_bytes(path), f"Read {path.name}"):
        if not packed:
            total.update(piece)
        if len(head) < HEAD_BYTES:
            head += piece[: HEAD_BYTES - len(head)]
        if nul is None and (at := piece.find(0)) >= 0:
            nul = lines + piece.count(b"\n", 0, at)
        if not piece.isascii() or decoder.getstate()[0]:
            if len(foreign) < FOREIGN_BYTES:
                foreign += _beyond_ascii(piece)
            if not_utf8 is None:
                try:
                    decoder.decode(piece)
                except UnicodeDecodeError as error:
                    not_utf8 = lines + error.object.count(b"\n", 0, error.start)
        lines += piece.count(b"\n")
    if not_utf8 is None and decoder.getstate()[0]:
        not_utf8 = lines  # the file ends within a character
    return Survey(
        sha256=digest(path) if packed else total.hexdigest(),
        head=head,
        not_utf8=not_utf8,
        nul=nul,
        foreign=foreign[:FOREIGN_BYTES],
    )


def _beyond_ascii(piece: bytes) -> bytes:
    wanted, size = [], 0
    for line in piece.splitlines(keepends=True):
        if not line.isascii():
            wanted.append(line[:1000])
            size += len(wanted[-1])
            if size >= FOREIGN_BYTES:
                break
    return b"".join(wanted)


def _pieces(path: Path, file: gzip.GzipFile | io.BufferedReader, what: str) -> Iterator[bytes]:
    total = -(-path.stat().st_size // PIECE_BYTES)
    with _unpacking(path), file:
        yield from progress(iter(lambda: file.read(PIECE_BYTES), b""), what, total)


@contextlib.contextmanager
def _unpacking(path: Path) -> Iterator[None]:
    """Turn what gzip says of a damaged archive into a sentence."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise DataError(
            f"{path.name} is a damaged or cut-off gzip archive.",
            fix="download or copy it again",
        ) from None
