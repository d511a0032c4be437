"""Passports: one record behind each answer, appended by day, found again by its id.

Lines of JSON, because an append-only line survives a crash and needs no heavy library in the
server. Columnar files, sampling and the masking of personal fields come with the full prediction
log; readers go through `find_passport`, so that they need not know.
"""

from __future__ import annotations

import datetime as dt
import itertools
import logging
import os
import re
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from workbench.core.errors import StateError
from workbench.core.paths import Paths
from workbench.core.records import VERSION
from workbench.core.secrets import private, private_folder

FLUSH_S = 0.5
LIMIT_BYTES = 32 << 20
"""Of records not yet written: beyond it they are dropped and counted, the server answers on."""

DAY_S = 86_400
_END_S = 253_402_300_800  # of the year 9999: no date lies beyond
_ID = re.compile(r"[0-9a-f]{12}-[0-9a-f]{6}-[0-9a-f]{8}")
_logger = logging.getLogger(__name__)


class Passport(msgspec.Struct, frozen=True, kw_only=True):
    """What one answer was made of. A Struct: it is built and encoded for every request.

    time_s: seconds since 1970-01-01 UTC. inputs: values by column, as the client gave them.
    outputs: of the graph by name, [rows, ...], before look-up tables and threshold. notice: what
    the pipeline says with every answer, such as "Not for clinical use."
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

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The inputs as rows of named fields."""
        names, columns = self.inputs.keys(), self.inputs.values()
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


class PassportLog:
    """Appends passports to `<folder>/<pipeline>/<day>.jsonl` from a thread of its own.

    A record is on file at most about half a second after `append`, also if the process is killed
    then. Encoding happens in `append`, so that the writing thread holds the interpreter for
    moments only and no answer waits for it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dropped = 0
        self.trouble = ""
        self._process = secrets.token_hex(4)
        self._count = itertools.count()
        self._last_ms = 0
        self._encode = msgspec.json.Encoder(enc_hook=_listed).encode
        self._waiting: dict[tuple[str, int], list[bytes]] = {}
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._some = threading.Event()
        self._closing = threading.Event()
        self._writer = threading.Thread(target=self._write_on, name="passports", daemon=True)
        self._writer.start()

    def next_id(self) -> str:
        """A new id: sorts by time, and by order of issue within one log."""
        self._last_ms = max(self._last_ms, time.time_ns() // 1_000_000)
        return f"{self._last_ms:012x}-{next(self._count) & 0xFFFFFF:06x}-{self._process}"

    def append(self, passport: Passport) -> None:
        """Hand one passport over; when too many wait to be written, it is dropped and counted."""
        line = self._encode(passport)
        with self._lock:
            if self._waiting_bytes + len(line) > LIMIT_BYTES:
                self.dropped += 1
                return
            file = passport.pipeline, int(passport.time_s // DAY_S)
            self._waiting.setdefault(file, []).append(line)
            self._waiting_bytes += len(line)
        if not self._some.is_set():
            self._some.set()

    def close(self) -> None:
        """Write what waits and end the thread."""
        self._closing.set()
        self._some.set()
        self._writer.join()

    def _write_on(self) -> None:
        while not self._closing.is_set():
            self._some.wait()
            self._closing.wait(FLUSH_S)
            self._some.clear()
            self._flush()
        self._flush()  # what came while the last batch was being written
        self.dropped += sum(map(len, self._waiting.values()))

    def _flush(self) -> None:
        """Write what waits; what cannot be written stays, within the limit, for the next time."""
        with self._lock:
            batch, self._waiting = self._waiting, {}
        trouble = ""
        for (pipeline, day), lines in batch.items():
            path = self.folder / pipeline / f"{_date(day)}.jsonl"
            try:
                _append(path, lines)
            except OSError as error:
                trouble = f"passports cannot be written to {path}: {error.strerror}"
                with self._lock:
                    self._waiting[pipeline, day] = lines + self._waiting.get((pipeline, day), [])
                self._some.set()
            else:
                with self._lock:
                    self._waiting_bytes -= sum(map(len, lines))
        if trouble and trouble != self.trouble:
            _logger.warning("%s", trouble)
        self.trouble = trouble


def find_passport(paths: Paths, id: str) -> Passport:
    """Return the passport of prediction `id`; StateError when there is none.

    The id says when it was issued, so only that day's files are read.
    """
    time_s = time_of(id) if _ID.fullmatch(id) else _END_S
    if time_s >= _END_S:
        raise StateError(
            f"'{id}' is no prediction id.", fix="take the `id` of an answer, or its x-prediction-id"
        )
    day, start = _date(int(time_s // DAY_S)), f'{{"id":"{id}"'.encode()
    for path in sorted(paths.predictions.glob(f"*/{day}.jsonl")):
        with path.open("rb") as file:
            for line in file:
                if line.startswith(start) and (passport := _read(line)):
                    return passport
    raise StateError(
        f"No prediction {id} is on file for {day}.",
        fix="look for it where the server that answered keeps its state",
    )


def time_of(id: str) -> float:
    """When an id was issued, in seconds since 1970-01-01 UTC, to the millisecond."""
    return int(id[:12], 16) / 1000


def read_passports(path: Path) -> Iterator[Passport]:
    """Yield the passports of one file, oldest first, without a line that a crash tore."""
    with path.open("rb") as file:
        for line in file:
            if passport := _read(line):
                yield passport


def _read(line: bytes) -> Passport | None:
    try:
        return msgspec.json.decode(line, type=Passport)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None  # torn when the server was killed; its neighbours are whole


def _append(path: Path, lines: list[bytes]) -> None:
    """Append whole lines; after a torn one, begin on a line of its own.

    They hold what people asked: only the server's own user may read them.
    """
    private_folder(path.parent)
    with open(path, "a+b", buffering=0, opener=private) as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            if file.read(1) != b"\n":
                lines = [b"", *lines]
        rest = memoryview(b"\n".join([*lines, b""]))
        while rest:
            rest = rest[file.write(rest) :]


def _date(day: int) -> str:
    return (dt.date(1970, 1, 1) + dt.timedelta(days=day)).isoformat()


def _listed(value: Any) -> Any:
    """Arrays as lists: images come as arrays."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"cannot write {type(value).__name__} into a passport")
