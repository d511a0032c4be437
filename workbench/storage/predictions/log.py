"""The writer of the prediction log: what a server does for each answer it gives.

Lines of JSON, because an appended line survives a crash and needs no heavy library. Encoding
happens in `append`, so that the writing thread holds the interpreter for moments only and no
answer waits for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from workbench.core.errors import DataError
from workbench.storage.predictions.caretaker import Caretaker
from workbench.storage.predictions.outcomes import record_outcome
from workbench.storage.predictions.passport import DAY_S, Ids, Passport, date_of, is_id, time_of
from workbench.storage.predictions.places import Partition
from workbench.storage.predictions.privacy import Privacy
from workbench.storage.predictions.writer import OpenSegment, open_segment

if TYPE_CHECKING:
    from workbench.core.deploy import Log

FLUSH_S = 0.4
TURN_S = 30.0
LIMIT_BYTES = 32 << 20
"""Of records not yet written: beyond it they are dropped and counted, the server answers on."""

_ID = slice(7, 35)  # where a line has its id
_logger = logging.getLogger(__name__)

_File = tuple[str, int]


class PassportLog:
    """Appends passports to segments by day and pipeline, from a thread of its own.

    A record is on file at most half a second after `append`, also if the process is killed then.
    settings: of the log, by pipeline; asked for each answer, so it must be quick, know every name
    and never raise; without it all is logged in full and nothing removed. compacting: closed
    segments become Parquet while this log is open. dropped: records that found no room. trouble:
    why records wait or stay lines of JSON, in a sentence; "" while all is well.
    """

    def __init__(
        self,
        folder: Path,
        settings: Callable[[str], Log] | None = None,
        *,
        compacting: bool = False,
    ) -> None:
        self.folder = folder
        self.dropped = 0
        self._settings = settings
        self._privacy = Privacy(folder)
        self._ids = Ids()
        self._encode = msgspec.json.Encoder(enc_hook=_listed).encode
        self._waiting: dict[_File, list[bytes]] = {}
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._some = threading.Event()
        self._closing = threading.Event()
        self._open: dict[_File, OpenSegment] = {}
        self._writing = threading.Lock()
        self._unwritten = ""
        self._caretaker = Caretaker(folder, settings) if compacting else None
        self._writer = threading.Thread(target=self._write_on, name="passports", daemon=True)
        self._writer.start()

    @property
    def trouble(self) -> str:
        """Why records wait, or stay lines of JSON."""
        return self._unwritten or (self._caretaker.trouble if self._caretaker else "")

    def next_id(self) -> str:
        """A new id, for a passport that is appended at once: lines on file ascend by id."""
        return self._ids.next()

    def append(self, passport: Passport) -> None:
        """Hand one passport over; when too many wait to be written, it is dropped and counted."""
        if self._settings is not None:
            settings = self._settings(passport.pipeline)
            if settings.private or settings.fraction < 1:
                passport = self._privacy.kept(passport, settings)
        line = self._encode(passport)
        file = passport.pipeline, int(passport.time_s // DAY_S)
        with self._lock:
            if self._waiting_bytes + len(line) > LIMIT_BYTES:
                self.dropped += 1
                return
            self._waiting_bytes += len(line)
            waiting = self._waiting.get(file)
            if waiting is None:
                self._waiting[file] = [line]
            else:
                waiting.append(line)
        if not self._some.is_set():
            self._some.set()

    def feedback(self, id: str, outcome: Any, time_s: float) -> None:
        """Record what turned out to be true of an answer, also of one that is not on file yet.

        outcome: any JSON value of some kilobytes. time_s: when that was known, since 1970-01-01
        UTC. DataError for an id that is not known; StateError when it cannot be written.
        """
        try:
            record_outcome(self.folder, id, outcome, time_s)
        except DataError:
            if not is_id(id) or time.time() - time_of(id) > TURN_S:
                raise
            self.flush()  # it may be an answer of a moment ago that still waits
            record_outcome(self.folder, id, outcome, time_s)

    def flush(self) -> None:
        """Write what waits; what cannot be written stays, within the limit, for the next time."""
        with self._writing:
            self._flush()

    def close(self) -> None:
        """Write what waits and end the thread."""
        self._closing.set()
        self._some.set()
        self._writer.join()

    def _write_on(self) -> None:
        while not self._closing.is_set():
            self._some.wait(TURN_S)
            self._closing.wait(FLUSH_S)
            self._some.clear()
            self.flush()
            if self._caretaker:
                self._caretaker.turn()
        self.flush()  # what came while the last batch was being written
        self.dropped += sum(map(len, self._waiting.values()))
        self._waiting = {}
        for opened in self._open.values():
            opened.close()
        self._open = {}
        if self._caretaker:
            self._caretaker.close()

    def _flush(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting, {}
        trouble = ""
        for file, lines in batch.items():
            try:
                self._write(file, lines)
            except OSError as error:
                pipeline, day = file
                trouble = (
                    f"passports cannot be written to {self._partition(pipeline, day).place}: "
                    f"{error.strerror}"
                )
                with self._lock:
                    self._waiting[file] = lines + self._waiting.get(file, [])
                self._some.set()
            else:
                with self._lock:
                    self._waiting_bytes -= sum(map(len, lines))
        if trouble and trouble != self._unwritten:
            _logger.warning("%s", trouble)
        self._unwritten = trouble
        self._close_due()

    def _write(self, file: _File, lines: list[bytes]) -> None:
        """Append lines to the segment that takes them."""
        now_s = time.time()
        lines.sort()  # as good as sorted already; whoever looks for an id relies on it
        first, last = lines[0][_ID].decode(), lines[-1][_ID].decode()
        opened = self._open.get(file)
        if opened is not None and not opened.takes(first, now_s):
            self._let_go(file)
            opened = None
        if opened is None:
            opened = self._open[file] = open_segment(self._partition(*file), first, now_s)
        opened.append(lines, last)

    def _close_due(self) -> None:
        """Let go of segments that take no more, so that they can become Parquet."""
        now_s = time.time()
        for file, opened in list(self._open.items()):
            if opened.is_due(now_s):
                self._let_go(file)

    def _let_go(self, file: _File) -> None:
        self._open.pop(file).close()
        if self._caretaker:
            self._caretaker.want()

    def _partition(self, pipeline: str, day: int) -> Partition:
        return Partition(date_of(day * DAY_S), pipeline, self.folder)


def _listed(value: Any) -> Any:
    """Arrays as lists: images come as arrays."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"cannot write {type(value).__name__} into a passport")
