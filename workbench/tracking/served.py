"""Usage of serving: an hour of a release is a row of the ledger, idle time included.

The server writes what it did each second (`workbench.storage.windows`); once an hour is over, its
windows are added up by release. Hours are told apart by their place in time, so that telling one
again adds nothing.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import msgspec

from workbench.core.files import digest_values
from workbench.core.records import VERSION, Commit, RunRecord, Usage, Window
from workbench.core.secrets import private
from workbench.metering.ledger import SERVE
from workbench.metering.sources import JOULES_PER_KWH
from workbench.storage.origin import Origin, read_origin
from workbench.storage.windows import ServingWindow, read_windows

HOUR_S = 3600
KEEP_DAYS = 3
_SETTLED_S = 120
"""After an hour's end: until then a server may still write a window of it."""

Hour = tuple[int, str, int, str, bool]
"""Number of the hour since 1970, pipeline, release, digest of the bundle, rehearsal."""


def serving_records(folder: Path, bundles: Path, now_s: float) -> list[RunRecord]:
    """One record for each hour that is over and each release that was served in it.

    folder: of the windows. bundles: where a release's origin says which commit it comes from.
    What was told once is kept in a file of its own, from which a lost ledger is made again; the
    windows behind it, thousands of lines a busy hour, are removed after some days.
    """
    kept = folder / "hours.jsonl"
    told = _read(kept)
    known = {record.id for record in told}
    new = [r for r in _settled(folder, bundles, now_s) if r.id not in known]
    if new:
        with open(kept, "ab", buffering=0, opener=private) as file:
            file.write(b"".join(msgspec.json.encode(record) + b"\n" for record in new))
    last = dt.datetime.fromtimestamp(now_s, dt.UTC).date() - dt.timedelta(days=KEEP_DAYS)
    for path in folder.glob("????-??-??-*.jsonl"):
        if path.name[:10] < last.isoformat():
            path.unlink(missing_ok=True)
    return told + new


def _read(kept: Path) -> list[RunRecord]:
    """Hours that were told; without a line that a crash tore."""
    if not kept.is_file():
        return []
    found: list[RunRecord] = []
    for line in kept.read_bytes().splitlines():
        try:
            found.append(msgspec.json.decode(line, type=RunRecord))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return found


def _settled(folder: Path, bundles: Path, now_s: float) -> list[RunRecord]:
    """Records of the hours that are over, from their windows."""
    hours: dict[Hour, list[tuple[ServingWindow, float]]] = defaultdict(list)
    for window, share in shares(read_windows(folder)):
        hour = int(window.end_s // HOUR_S)
        if (hour + 1) * HOUR_S + _SETTLED_S <= now_s and window.pipeline:
            key = hour, window.pipeline, window.release, window.digest, window.rehearsal
            hours[key].append((window, share))
    return [_record(hour, parts, bundles) for hour, parts in sorted(hours.items())]


def shares(windows: Iterable[ServingWindow]) -> list[tuple[ServingWindow, float]]:
    """Each window with its share of the process's time in it, 0 to 1."""
    together: dict[tuple[int, float], list[ServingWindow]] = defaultdict(list)
    for window in windows:
        together[window.pid, window.end_s].append(window)
    found: list[tuple[ServingWindow, float]] = []
    for parts in together.values():
        asked = sum(part.requests for part in parts)
        found += [(p, p.requests / asked if asked else 1 / len(parts)) for p in parts]
    return found


def _record(hour: Hour, parts: list[tuple[ServingWindow, float]], bundles: Path) -> RunRecord:
    number, pipeline, _, digest, _ = hour
    start_s = float(number * HOUR_S)
    origin = read_origin(bundles, digest)
    occupied_s = sum((window.end_s - window.start_s) * share for window, share in parts)
    measured = [window for window, _ in parts if window.energy_j is not None]
    usage = Usage(
        domain="server",
        energy_kwh=_kwh(measured, "energy_j"),
        lo=_kwh(measured, "energy_lo_j"),
        hi=_kwh(measured, "energy_hi_j"),
        provenance="modelled",
        coverage=len(measured) / len(parts),
    )
    window = Window(
        name=f"{SERVE}@{pipeline}",
        start_s=start_s,
        end_s=start_s + HOUR_S,
        duration_s=occupied_s,
        cpu_s=sum(part.cpu_s for part, _ in parts),
        peak_memory_bytes=max(part.memory_bytes for part, _ in parts),
        usages=(usage,),
    )
    return _described(hour, window, [part for part, _ in parts], origin)


def _described(
    hour: Hour, window: Window, parts: list[ServingWindow], origin: Origin | None
) -> RunRecord:
    number, pipeline, release, digest, rehearsal = hour
    moment = dt.datetime.fromtimestamp(number * HOUR_S, dt.UTC)
    what = digest_values(pipeline, release, digest, rehearsal)[:8]
    return RunRecord(
        version=VERSION,
        id=f"{moment:%Y%m%dT%H%M%S%f}Z-{SERVE}-{what}",
        pipeline=pipeline,
        stage=SERVE,
        key=digest,
        fingerprint=origin.fingerprint if origin else "",
        state="finished",
        window=window,
        commit=origin.commit if origin else Commit(sha=None, branch=None, dirty=False),
        notebook=origin.notebook if origin else "",
        function=origin.function if origin else "",
        params={"release": release, "rehearsal": rehearsal},
        metrics={
            "requests": float(sum(part.requests for part in parts)),
            "rows": float(sum(part.rows for part in parts)),
            "errors": float(sum(part.errors for part in parts)),
        },
    )


def _kwh(parts: list[ServingWindow], name: str) -> float | None:
    """The sum of what was measured; None where nothing was."""
    return sum(getattr(part, name) for part in parts) / JOULES_PER_KWH if parts else None
