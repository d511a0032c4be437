"""Run records on disk: what a stage leaves behind, one folder each below `.workbench/runs`.

    run = open_run(paths, pipeline="fraud", stage="train", ...)
    run.log(step, {"loss": 0.3})
    run.close("finished", window=metered.window, outputs=..., metrics=...)

The folder appears whole with a record that says `running`; closing replaces the record whole.
Tracking and ledger are made true from these records afterwards, so either can be lost.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
import os
import platform
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from workbench.core.files import folder_aside, read_json, write_json
from workbench.core.records import VERSION, RunRecord, Window
from workbench.core.secrets import private_folder
from workbench.metering import facts

if TYPE_CHECKING:
    from workbench.core.paths import Paths

RECORD, METRICS, OWNER = "record.json", "metrics.jsonl", "owner.json"

_ID = re.compile(r"[0-9]{8}T[0-9]{12}Z-[0-9a-f]{8}")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_END_S = 253_402_300_800
"""The end of the year 9999: no date lies beyond."""

_FLUSH_LINES = 200
_FLUSH_S = 1.0


@dataclass(frozen=True)
class Owner:
    """The process that writes a run; `started` tells it from a later one with the same number."""

    host: str
    pid: int
    started: str


class Run:
    """A run under way; made by `open_run`, for one process and one thread."""

    def __init__(self, folder: Path, record: RunRecord) -> None:
        self.folder = folder
        self.record = record
        self._encoder = msgspec.json.Encoder(enc_hook=_plain)
        self._lines = bytearray()
        self._count = 0
        self._flushed_s = 0.0
        self._last: dict[str, float] = {}

    @property
    def id(self) -> str:
        return self.record.id

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add one line to the metric series: `{"step", "time_s", "values"}`.

        Lines reach the file at most a second or 200 lines later, and at close; a value that is
        not a number reads as null.
        """
        now = time.time()
        line = {"step": step, "time_s": now, "values": values}
        self._encoder.encode_into(line, self._lines, -1)
        self._lines += b"\n"
        self._count += 1
        self._last.update(values)
        if self._count >= _FLUSH_LINES or now - self._flushed_s >= _FLUSH_S:
            self._flush(now)

    def close(
        self,
        state: Literal["finished", "failed"],
        *,
        window: Window | None,
        outputs: Mapping[str, str] | None = None,
        metrics: Mapping[str, float] | None = None,
        error: str = "",
    ) -> RunRecord:
        """Write the record whole and return it.

        metrics: final values; they go before the last logged ones. What is not a finite number
        has no last value and is left out (the series keeps it as null).
        """
        self._flush(time.time())
        last = {name: float(value) for name, value in {**self._last, **(metrics or {})}.items()}
        self.record = dataclasses.replace(
            self.record,
            state=state,
            window=window,
            outputs=dict(outputs or {}),
            metrics={name: value for name, value in last.items() if math.isfinite(value)},
            error=error,
        )
        write_json(self.folder / RECORD, self.record)
        (self.folder / OWNER).unlink(missing_ok=True)
        return self.record

    def _flush(self, now: float) -> None:
        self._flushed_s, self._count = now, 0
        if self._lines:
            with (self.folder / METRICS).open("ab", buffering=0) as file:
                file.write(self._lines)
            self._lines.clear()


def open_run(
    paths: Paths,
    *,
    pipeline: str,
    stage: str,
    key: str,
    fingerprint: str,
    notebook: str,
    function: str,
    params: Mapping[str, Any] | None = None,
    inputs: Mapping[str, str] | None = None,
    packages: Mapping[str, str] | None = None,
) -> Run:
    """Begin a run: its folder with a record in state `running`.

    The id begins with the time in UTC, so that ids sort by time. Commit, hardware and user are
    looked up here (some milliseconds of Git).
    """
    now = dt.datetime.now(dt.UTC)
    record = RunRecord(
        version=VERSION,
        id=f"{now:%Y%m%dT%H%M%S%f}Z-{secrets.token_hex(4)}",
        pipeline=pipeline,
        stage=stage,
        key=key,
        fingerprint=fingerprint,
        state="running",
        window=None,
        commit=facts.commit(paths.root),
        notebook=notebook,
        function=function,
        params=dict(params or {}),
        inputs=dict(inputs or {}),
        packages=dict(packages or {}),
        hardware=facts.hardware(),
        user=facts.user(),
    )
    folder = paths.runs / record.id
    private_folder(paths.runs)
    with folder_aside(folder) as aside:
        write_json(aside / RECORD, record)
        write_json(aside / OWNER, Owner(platform.node(), os.getpid(), _started(os.getpid())))
    return Run(folder, record)


def opened_s(run_id: str) -> float:
    """When a run was opened, from its id, in seconds since 1970 UTC."""
    moment = dt.datetime.strptime(run_id.partition("-")[0], "%Y%m%dT%H%M%S%fZ")
    return moment.replace(tzinfo=dt.UTC).timestamp()


def read_runs(paths: Paths) -> list[RunRecord]:
    """Return all readable records, oldest first; `damaged` names the others."""
    return [record for _, record in _records(paths) if isinstance(record, RunRecord)]


def read_run(paths: Paths, run_id: str) -> RunRecord | None:
    """Return one record, None if there is no such run or its record is damaged."""
    record = _read(paths.runs / run_id) if run_id and "/" not in run_id else None
    return record if isinstance(record, RunRecord) else None


def damaged(paths: Paths) -> list[tuple[Path, str]]:
    """Return the folders whose record cannot be read, each with the reason."""
    return [(folder, record) for folder, record in _records(paths) if isinstance(record, str)]


def read_series(paths: Paths, run_id: str) -> list[dict[str, Any]]:
    """Return the logged lines of a run, `{"step", "time_s", "values"}` each, in order.

    A last line that was cut by a crash is left out.
    """
    path = paths.runs / run_id / METRICS
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    return msgspec.json.Decoder().decode_lines(whole)


def reap(paths: Paths) -> list[RunRecord]:
    """Mark runs whose process is gone as failed and return them.

    Runs of another machine that shares this home are left alone: their processes are not seen
    from here.
    """
    reaped = []
    for folder, record in _records(paths):
        if not isinstance(record, RunRecord) or record.state != "running":
            continue
        owner = _owner(folder)
        if owner and (owner.host != platform.node() or _started(owner.pid) == owner.started):
            continue
        who = f"its process {owner.pid} is gone" if owner else "it has no owner"
        failed = dataclasses.replace(
            record, state="failed", error=f"stopped without closing: {who}"
        )
        write_json(folder / RECORD, failed)
        (folder / OWNER).unlink(missing_ok=True)
        reaped.append(failed)
    return reaped


def _records(paths: Paths) -> list[tuple[Path, RunRecord | str]]:
    """Every run folder in order of its id, with its record or the reason why it has none."""
    if not paths.runs.is_dir():
        return []
    folders = [path for path in paths.runs.iterdir() if path.is_dir() and path.name[0] != "."]
    return [(folder, _read(folder)) for folder in sorted(folders)]


def _read(folder: Path) -> RunRecord | str:
    try:
        record = read_json(folder / RECORD, RunRecord)
    except FileNotFoundError:
        return "no record.json"
    except (msgspec.DecodeError, ValueError, OSError, RecursionError) as error:
        return f"record.json cannot be read: {error}"
    if record.version > VERSION:
        return f"made by a newer workbench (version {record.version}, this one reads {VERSION})"
    return _flaw(record, folder.name) or record


def _flaw(record: RunRecord, folder: str) -> str:
    """What no stage writes; "" for none. Ids and names become paths, times become dates."""
    if record.id != folder:
        return f"record.json is of run '{record.id[:60]}'"
    if not _ID.fullmatch(record.id) or not _is_date(record.id):
        return "its id is none"
    if not _NAME.fullmatch(record.pipeline):
        return f"'{record.pipeline[:60]}' is no name of a pipeline"
    window = record.window
    if window and not (
        0 <= window.start_s < _END_S
        and 0 <= window.end_s < _END_S
        and 0 <= window.duration_s < _END_S
    ):
        return "its times are none"
    return ""


def _is_date(id: str) -> bool:
    try:
        return opened_s(id) >= 0
    except ValueError:
        return False


def _owner(folder: Path) -> Owner | None:
    try:
        return read_json(folder / OWNER, Owner)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _started(pid: int) -> str:
    """What tells a process from others that had or will have its number; empty when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return "" if Path("/proc/self/stat").exists() else _alive(pid)
    # a zombie has ended, though its parent has not asked yet
    return "" if stat[0] in (b"Z", b"X") else f"{boot} {stat[19].decode()}"


def _alive(pid: int) -> str:
    """Without /proc a process is known by its number alone."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "alive"


def _plain(value: Any) -> Any:
    """Take numpy's and torch's scalars for the numbers that they hold."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"cannot log a {type(value).__name__}")
