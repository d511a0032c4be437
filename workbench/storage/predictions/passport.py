"""The record behind one answer, and the id that finds it."""

from __future__ import annotations

import datetime as dt
import re
import secrets
import time
from typing import Any, Literal

import msgspec

from workbench.core.records import VERSION

DAY_S = 86_400
ID = re.compile(r"[0-9a-f]{12}-[0-9a-f]{6}-[0-9a-f]{8}")
_END_S = 253_402_300_800  # of the year 9999: no date lies beyond
_COUNTS = 1 << 24

Logged = Literal["full", "sampled out"]


class Passport(msgspec.Struct, frozen=True, kw_only=True):
    """What one answer was made of. A Struct: it is built and encoded for every request.

    The id stands first: a line of the log begins with it. time_s: of the id, seconds since
    1970-01-01 UTC. inputs: values by column, as the client gave them; of those in `private`,
    hashes. outputs: of the graph by name, [rows, ...], before look-up tables and threshold.
    Neither is there when it was sampled out. notice: what the pipeline says with every answer,
    such as "Not for clinical use." caller: name of the key that asked. rehearsal: asked for by
    `workbench traffic`, not by life. warnings: inputs beyond what training saw.
    """

    id: str
    version: int = VERSION
    time_s: float
    pipeline: str
    alias: str
    digest: str
    release: int
    run_id: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    latency_ms: float
    notice: str = ""
    caller: str = "local"
    rehearsal: bool = False
    warnings: tuple[str, ...] = ()
    row_count: int = 0
    logged: Logged = "full"
    private: tuple[str, ...] = ()

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The inputs as rows of named fields."""
        names, columns = self.inputs.keys(), self.inputs.values()
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


class Ids:
    """Issues ids: unique, sorted by time, and by order of issue within one process."""

    def __init__(self) -> None:
        self._process = secrets.token_hex(4)
        self._count = -1
        self._last_ms = 0

    def next(self) -> str:
        """A new id; also when the clock went back it sorts behind the one before."""
        self._count += 1
        if self._count == _COUNTS:
            self._count = 0
            self._last_ms += 1  # the count begins again, so its millisecond must be another
        self._last_ms = max(self._last_ms, time.time_ns() // 1_000_000)
        return f"{self._last_ms:012x}-{self._count:06x}-{self._process}"


def time_of(id: str) -> float:
    """When an id was issued, in seconds since 1970-01-01 UTC, to the millisecond."""
    return int(id[:12], 16) / 1000


def is_id(text: str) -> bool:
    """Whether it is an id that can have been issued."""
    return ID.fullmatch(text) is not None and time_of(text) < _END_S


def date_of(time_s: float) -> str:
    """The day of a moment, in UTC, as it names a partition."""
    return (dt.date(1970, 1, 1) + dt.timedelta(days=int(time_s // DAY_S))).isoformat()


def read_line(line: bytes) -> Passport | None:
    """The passport of one line of the log; None for a line that a crash tore."""
    try:
        return msgspec.json.decode(line, type=Passport)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
