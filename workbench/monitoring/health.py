"""What is known of the health of one pipeline's deployment: the files that pages read.

`.workbench/monitoring/<pipeline>.json` holds a `Health`, `<pipeline>.history.json` a `History`.
Both are replaced as a whole, so that a reader sees one look or the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from workbench.core.files import read_kept
from workbench.core.paths import Paths
from workbench.core.records import VERSION
from workbench.monitoring.alerts import Alert
from workbench.monitoring.drift import Drift
from workbench.monitoring.levels import Level
from workbench.monitoring.quality import Quality
from workbench.monitoring.rollups import DAY_S, HOUR_S, MINUTE_S, Key, Series, Tally, tally

WINDOWS_S = {"5m": 5 * MINUTE_S, "1h": HOUR_S, "24h": DAY_S}
SHOWN_MINUTES = 180
_T = TypeVar("_T")


@dataclass(frozen=True)
class Traffic:
    """Requests of one release under one alias within a window up to now.

    errors: of the server (5xx); refused: the client's (4xx). p50_ms, ...: None without requests.
    energy_j: modelled; None where it is not measured.
    """

    window: str
    alias: str
    release: int
    digest: str
    rehearsal: bool
    requests: int
    rows: int
    errors: int
    refused: int
    warnings: int
    per_s: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    cpu_s: float
    energy_j: float | None


@dataclass(frozen=True)
class Watched:
    """What was found in the answers of one release: drift, and quality where outcomes came.

    at_s: when it was looked at. notes: sentences on what could not be judged, and why.
    """

    alias: str
    release: int
    digest: str
    rehearsal: bool
    at_s: float
    drift: tuple[Drift, ...] = ()
    quality: tuple[Quality, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Deployed:
    """A release that is deployed now."""

    alias: str
    release: int
    digest: str


@dataclass(frozen=True)
class Health:
    """One look at one pipeline. levels: of life only; rehearsals are counted apart, in traffic.

    at_s: seconds since 1970-01-01 UTC. alerts: open now.
    """

    pipeline: str
    at_s: float
    deployed: tuple[Deployed, ...] = ()
    levels: tuple[Level, ...] = ()
    traffic: tuple[Traffic, ...] = ()
    answers: tuple[Watched, ...] = ()
    alerts: tuple[Alert, ...] = ()
    version: int = VERSION


@dataclass(frozen=True)
class Point:
    """Requests of one minute or hour that began at `start_s`."""

    start_s: int
    alias: str
    release: int
    rehearsal: bool
    requests: int
    errors: int
    refused: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    cpu_s: float
    energy_j: float | None


@dataclass(frozen=True)
class History:
    """Requests by minute for the last hours, and by hour for the last month, oldest first."""

    pipeline: str
    at_s: float
    minutes: tuple[Point, ...] = field(default=())
    hours: tuple[Point, ...] = field(default=())
    version: int = VERSION


def health_path(paths: Paths, pipeline: str) -> Path:
    """Where a pipeline's health stands."""
    return paths.monitoring / f"{pipeline}.json"


def history_path(paths: Paths, pipeline: str) -> Path:
    """Where its points by minute and by hour stand."""
    return paths.monitoring / f"{pipeline}.history.json"


def read_health(paths: Paths, pipeline: str) -> Health | None:
    """The last look at a pipeline; None before the first, StateError when it is damaged."""
    return _read(health_path(paths, pipeline), Health)


def read_history(paths: Paths, pipeline: str) -> History | None:
    """Its points by minute and by hour; None before the first look."""
    return _read(history_path(paths, pipeline), History)


def traffic_of(key: Key, series: Series, now: float) -> list[Traffic]:
    """Requests of one key by window; none where nobody asked."""
    found: list[Traffic] = []
    for window, seconds in WINDOWS_S.items():
        sums = series.last(seconds, now)
        if not sums.requests:
            continue
        p50, p95, p99 = _quantiles(sums)
        found.append(
            Traffic(
                window,
                key.alias,
                key.release,
                key.digest,
                key.rehearsal,
                sums.requests,
                sums.rows,
                sums.errors,
                sums.refused,
                sums.warnings,
                sums.requests / seconds,
                p50,
                p95,
                p99,
                sums.cpu_s,
                sums.energy_j,
            )
        )
    return found


def history_of(pipeline: str, every: dict[Key, Series], now: float) -> History:
    """Points of all keys of a pipeline."""
    minutes: list[Point] = []
    hours: list[Point] = []
    for key, series in every.items():
        first = now // MINUTE_S - SHOWN_MINUTES
        minutes += [_point(key, at, MINUTE_S, series) for at in series.minutes if at > first]
        hours += [_point(key, at, HOUR_S, series) for at in series.hours]
    by_time = [
        tuple(sorted((p for p in points if p.requests), key=lambda point: point.start_s))
        for points in (minutes, hours)
    ]
    return History(pipeline, now, by_time[0], by_time[1])


def _point(key: Key, at: int, length: int, series: Series) -> Point:
    sums = tally([(series.minutes if length == MINUTE_S else series.hours)[at]])
    return Point(
        at * length,
        key.alias,
        key.release,
        key.rehearsal,
        sums.requests,
        sums.errors,
        sums.refused,
        *_quantiles(sums),
        sums.cpu_s,
        sums.energy_j,
    )


def _quantiles(sums: Tally) -> tuple[float | None, float | None, float | None]:
    return sums.quantile_ms(0.5), sums.quantile_ms(0.95), sums.quantile_ms(0.99)


def _read(path: Path, kind: type[_T]) -> _T | None:
    return read_kept(
        path,
        kind,
        path.name,
        kept="all that it was made from",
        fix="remove it; the next look writes it again",
    )
