"""The server's log: a line of JSON on standard error for what is not as usual.

A line for each request that was refused or failed and for each release that was loaded; for good
answers only with an access log, since passports tell of them already. Never an input: sentences
that may quote one are for the client alone, and of an error that nobody foresaw only its kind and
place are told.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import logging
import re
import secrets
import sys
import threading
import time
import traceback
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TextIO

from workbench.core.errors import DataError, WorkbenchError
from workbench.serving.models import Model, Models
from workbench.serving.request import Request
from workbench.serving.service import Answered

MOST_A_SECOND = 100
"""Refusals that are told one by one; a flood of them is counted, lest it becomes one of lines."""

MOST_WAITING = 10_000
CLOSE_S = 2.0

_ID = re.compile(rb"[\w.:-]{1,64}", re.ASCII)
_TRACE = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_INPUT = re.compile(r"(?:Input|Unknown input) '([^']*)'")
_logger = logging.getLogger(__name__)


class JsonLines(logging.Formatter):
    """Records as JSON, one a line; `extra={"fields": {...}}` adds fields."""

    def format(self, record: logging.LogRecord) -> str:
        """One record; never raises for what is in it."""
        moment = dt.datetime.fromtimestamp(record.created, dt.UTC)
        line: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            line["error"] = type(error).__name__
            if isinstance(error, WorkbenchError) and not isinstance(error, DataError):
                line["reason"] = error.problem
            frames = traceback.extract_tb(error.__traceback__)
            line["trace"] = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames]
        return json.dumps(line, default=str)


class Aside(logging.Handler):
    """Writes lines from a thread of its own: who reads the log slowly, or not, stops no answer.

    Beyond MOST_WAITING lines that nobody reads, further ones are dropped.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lines: SimpleQueue[str | threading.Event | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        if self._lines.qsize() < MOST_WAITING:
            self._lines.put(self.format(record))

    def flush(self) -> None:
        """Wait until what was said is written, for a moment at most."""
        written = threading.Event()
        self._lines.put(written)
        written.wait(CLOSE_S)

    def close(self) -> None:
        self._lines.put(None)
        self._thread.join(CLOSE_S)
        super().close()

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            if isinstance(line, threading.Event):
                line.set()
                continue
            with contextlib.suppress(OSError, ValueError):  # nobody is there to be told
                self._stream.write(line + "\n")
                self._stream.flush()


class Repeated(logging.Filter):
    """Leaves out what a library said in the same words within the last second.

    uvicorn warns of each connection beyond the limit: a flood of them is a flood of lines.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last: tuple[str, str, int] = ("", "", 0)

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("workbench"):
            return True
        said = record.name, record.getMessage(), int(record.created)
        new, self._last = said != self._last, said
        return new


def log_as_json(stream: TextIO | None = None) -> logging.Handler:
    """Let this process log lines of JSON; ours from `info` on, those of libraries from `warning`.

    stream: standard error, where none is given. Returns what writes them, to be flushed at the end.
    """
    handler = Aside(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    handler.addFilter(Repeated())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("workbench").setLevel(logging.INFO)
    return handler


class Refusals:
    """Tells of requests that got no answer, up to MOST_A_SECOND of them in each second."""

    def __init__(self) -> None:
        self._second = 0
        self._told = 0
        self._untold = 0

    def tell(self, request: Request, status: int, model: Model | None, error: Exception) -> bytes:
        """Log one refusal; the request's id, for the header `x-request-id` of the reply."""
        given = request.header(b"x-request-id")
        id = given if given and _ID.fullmatch(given) else secrets.token_hex(8).encode()
        second = int(time.monotonic())
        if second != self._second:
            if self._untold:
                _logger.warning("%d more requests were refused", self._untold, extra={"fields": {}})
            self._second, self._told, self._untold = second, 0, 0
        if self._told >= MOST_A_SECOND and status != 500:
            self._untold += 1
            return id
        self._told += 1
        level = logging.WARNING if status >= 500 else logging.INFO
        if _logger.isEnabledFor(level):
            fields = _fields(request, status, model, error) | {"request_id": id.decode()}
            _logger.log(level, "%s", _said(status, error), extra={"fields": fields})
        return id


class AccessLog:
    """An observer that tells of each answer as well."""

    def answered(self, answer: Answered) -> None:
        fields = {
            "prediction_id": answer.id,
            "pipeline": answer.model.pipeline,
            "release": answer.model.target.release,
            "alias": answer.model.alias,
            "rows": answer.rows,
            "latency_ms": round(answer.latency_s * 1000, 3),
            "caller": answer.caller.name,
            "rehearsal": answer.rehearsal,
        }
        _logger.info("answered", extra={"fields": fields})

    def refused(self, model: Model | None, status: int, latency_s: float, rehearsal: bool) -> None:
        """Told by `Refusals`, which knows more."""


def tell_loaded(before: Models, after: Models) -> None:
    """A line for each release that answers now and did not before, and for each that is gone."""
    old, new = (_targets(models) for models in (before, after))
    for (pipeline, alias), (release, digest) in sorted(new.items()):
        if old.get((pipeline, alias)) != (release, digest):
            _tell_model("loaded", pipeline, alias, release, digest)
    for (pipeline, alias), (release, digest) in sorted(old.items()):
        if (pipeline, alias) not in new:
            _tell_model("let go", pipeline, alias, release, digest)


def _tell_model(what: str, pipeline: str, alias: str, release: int, digest: str) -> None:
    fields = {"pipeline": pipeline, "alias": alias, "release": release, "digest": digest}
    _logger.info(what, extra={"fields": fields})


def _targets(models: Models) -> dict[tuple[str, str], tuple[int, str]]:
    return {
        (model.pipeline, model.alias): (model.target.release, model.target.digest)
        for model in models.all
    }


def _fields(request: Request, status: int, model: Model | None, error: Exception) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "status": status,
        "method": request.method[:20],
        "path": request.path[:200],
        "caller": request.caller.name,
        "latency_ms": round((time.perf_counter() - request.begun_s) * 1000, 3),
    }
    if model is not None:
        fields |= {"pipeline": model.pipeline, "release": model.target.release}
        named = _INPUT.match(str(error))
        if named and named[1] in model.bundle.inputs:
            fields["input"] = named[1]
    if request.is_rehearsal:
        fields["rehearsal"] = True
    traced = _TRACE.fullmatch(request.header(b"traceparent") or b"")
    if traced:
        fields["trace_id"] = traced[1].decode()
    return fields


def _said(status: int, error: Exception) -> str:
    """The error's sentence where it cannot quote what was asked."""
    if status in (400, 413, 422) or isinstance(error, DataError):
        return "the request does not fit"
    if status == 500:
        return f"the request failed ({type(error).__name__})"
    return str(error)
