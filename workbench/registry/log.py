"""The release log: one JSON line for each event, only ever added to, kept in Git.

Databases and stores are made from it. An append is one write and one fsync; a last line that a
crash cut in two is ignored by readers and cleared away by the next append.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from workbench.core.errors import StateError
from workbench.core.records import VERSION
from workbench.registry.gates import Gate
from workbench.storage.pointer import Traffic

if TYPE_CHECKING:
    from workbench.core.paths import Paths


@dataclass(frozen=True)
class Event:
    """One line of the log.

    release: a bundle got a number. alias: `alias` moved to a release; `rollback` if backwards.
    withdrawn: the release lost `alias` (challenger), for `reason`. refused: gates did not hold
    against `champion`. digest: of the bundle. traffic: of a challenger; None: it waits for some.
    evidence: the numbers that spoke for a move. time: ISO 8601, UTC.
    """

    event: Literal["release", "alias", "withdrawn", "refused"]
    pipeline: str
    digest: str
    run_id: str = ""
    release: int | None = None
    alias: str | None = None
    rollback: bool = False
    gates: tuple[Gate, ...] = ()
    override: str | None = None
    reason: str | None = None
    champion: str | None = None
    traffic: Traffic | None = None
    evidence: dict[str, Any] = field(default_factory=dict[str, Any])
    commit: str | None = None
    user: str = ""
    version: int = VERSION
    time: str = field(default_factory=lambda: dt.datetime.now(dt.UTC).isoformat("T", "seconds"))


def read_log(paths: Paths, pipeline: str) -> list[Event]:
    """Return all events in order; StateError names a line in the middle that cannot be read."""
    path = paths.release_log(pipeline)
    content = path.read_bytes() if path.is_file() else b""
    events = []
    for number, line in enumerate(lines := _lines(content), start=1):
        try:
            event = msgspec.json.decode(line, type=Event)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StateError(
                f"Line {number} of {len(lines)} in {path.name} cannot be read: {error}.",
                kept="the champion and all bundles",
                fix=f"mend it, or take the file from Git: `git checkout {_shown(paths, path)}`",
            ) from None
        if event.version > VERSION:
            raise StateError(
                f"Line {number} of {path.name} was written by a newer workbench.",
                fix="update the workbench",
            )
        events.append(event)
    return events


def append(paths: Paths, pipeline: str, events: Sequence[Event]) -> None:
    """Add events in one write that is on disk when this returns."""
    path = paths.release_log(pipeline)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = b"".join(msgspec.json.encode(event) + b"\n" for event in events)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        content = path.read_bytes()
        torn = content.rpartition(b"\n")[2]
        if _whole(torn):  # a last line that only lost its line feed
            lines = b"\n" + lines
        elif torn:
            os.ftruncate(file, len(content) - len(torn))
        os.lseek(file, 0, os.SEEK_END)
        os.write(file, lines)
        os.fsync(file)
    finally:
        os.close(file)


def _lines(content: bytes) -> list[bytes]:
    """The lines that were written whole: the last one only if it ends, or can be read."""
    *lines, last = content.split(b"\n")
    return [*lines, last] if _whole(last) else lines


def _whole(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def _shown(paths: Paths, path: Path) -> str:
    return path.relative_to(paths.root).as_posix()
