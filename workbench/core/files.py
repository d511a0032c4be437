"""Files appear whole or not at all: written aside, then renamed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from workbench.core.errors import StateError

T = TypeVar("T")


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically; an interrupted write leaves the old file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def write_text(path: Path, content: str) -> None:
    """Write text as UTF-8, atomically."""
    write_bytes(path, content.encode())


def json_bytes(value: Any) -> bytes:
    """Return `value` as JSON for people and Git: indented, keys in order, a last newline."""
    content = msgspec.json.encode(value, order="sorted", enc_hook=_plain)
    return msgspec.json.format(content, indent=2) + b"\n"


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, atomically."""
    write_bytes(path, json_bytes(value))


def _plain(value: Any) -> Any:
    """Turn numpy's scalars and arrays into plain ones without importing numpy."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"cannot write {type(value).__name__} as JSON")


def read_json(path: Path, kind: Any = Any) -> Any:
    """Read JSON as `kind` (a record type); msgspec says where it does not fit."""
    return msgspec.json.decode(path.read_bytes(), type=kind)


def read_kept(path: Path, kind: type[T], problem: str, *, kept: str, fix: str) -> T | None:
    """Read JSON of this checkout's state; None when there is none.

    StateError with `problem` and the reason when it is damaged.
    """
    try:
        return read_json(path, kind)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise StateError(f"{problem} cannot be read: {error}.", kept=kept, fix=fix) from None


@contextlib.contextmanager
def folder_aside(final: Path) -> Iterator[Path]:
    """Yield an empty folder beside `final`; rename it there if the block succeeds.

    What stood at `final` is replaced only then; after an error it is untouched. It steps aside
    whole before it is deleted, so that a process killed meanwhile leaves no half of it.
    """
    aside, before = (final.with_name(f".{final.name}.{end}") for end in ("part", "old"))
    for left in (aside, before):
        if left.exists():
            shutil.rmtree(left)
    aside.mkdir(parents=True)
    try:
        yield aside
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    if final.exists():
        final.rename(before)
    aside.rename(final)
    shutil.rmtree(before, ignore_errors=True)


def digest_file(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_folder(path: Path) -> str:
    """SHA-256 over the sorted relative names and digests of all files below `path`, hex."""
    total = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        total.update(f"{file.relative_to(path).as_posix()}\0{digest_file(file)}\n".encode())
    return total.hexdigest()


def digest_values(*values: Any) -> str:
    """SHA-256 of plain values, hex."""
    return hashlib.sha256(msgspec.json.encode(values, order="sorted")).hexdigest()
