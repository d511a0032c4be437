"""What servers noted each second, added up by minute and by hour.

The windows of a month are gigabytes; what pages and service levels need of them is kept here, and
of each file only what is new is read.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from workbench.storage.windows import BOUNDS_MS, ServingWindow, quantile_ms

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
MINUTES, DAYS = 7 * 60, 31
"""How many minutes, and days of hours, are kept at least."""

_CHUNK = 8 << 20
_SUMS = ("requests", "rows", "errors", "refused", "latency_sum_s", "cpu_s", "energy_j", "warnings")
_NO_LATENCY = (0,) * (len(BOUNDS_MS) + 1)
_values = attrgetter(*_SUMS)
_decode = msgspec.json.Decoder(ServingWindow).decode
Row = NDArray[np.float64]


class Key(NamedTuple):
    """Whose requests: of one release under one alias, in life or in rehearsal."""

    pipeline: str
    alias: str
    release: int
    digest: str
    rehearsal: bool


@dataclass(frozen=True)
class Tally:
    """Sums over some time. latency: counts by bin of `BOUNDS_MS`. energy_j: None: not measured."""

    requests: int = 0
    rows: int = 0
    errors: int = 0
    refused: int = 0
    latency_sum_s: float = 0.0
    cpu_s: float = 0.0
    energy_j: float | None = None
    warnings: int = 0
    latency: tuple[int, ...] = ()

    def quantile_ms(self, q: float) -> float | None:
        """Latency below which a fraction `q` of the requests stays; None without any."""
        return quantile_ms(self.latency, q) if self.latency else None

    def slower_than(self, bound_ms: float) -> float:
        """How many took longer than `bound_ms`, evenly spread within its bin."""
        slower, low = 0.0, 0.0
        for count, high in zip(self.latency, (*BOUNDS_MS, float("inf")), strict=False):
            if bound_ms <= low:
                slower += count
            elif bound_ms < high:
                # Of what is beyond the last bound nothing more is known than that.
                slower += count * (high - bound_ms) / (high - low) if high < 1e9 else count
            low = high
        return slower


class Series:
    """One key's sums by minute and by hour (numbers of them since 1970)."""

    def __init__(self) -> None:
        self.minutes: dict[int, Row] = {}
        self.hours: dict[int, Row] = {}

    def add(self, minute: int, row: Row) -> None:
        """Add what happened in one minute."""
        hour = minute * MINUTE_S // HOUR_S
        for sums, at in ((self.minutes, minute), (self.hours, hour)):
            sums[at] = sums[at] + row if at in sums else row

    def forget(self, now: float, days: float) -> None:
        """Drop what is older than is kept."""
        for sums, first in (
            (self.minutes, now // MINUTE_S - MINUTES),
            (self.hours, (now - days * DAY_S) // HOUR_S - 1),
        ):
            for at in [at for at in sums if at < first]:
                del sums[at]

    def last(self, seconds: float, now: float) -> Tally:
        """Sums of the last `seconds`: to the minute up to MINUTES of them, else to the hour."""
        is_short = seconds <= MINUTES * MINUTE_S
        sums, length = (self.minutes, MINUTE_S) if is_short else (self.hours, HOUR_S)
        first = int((now - seconds) // length)
        return tally(row for at, row in sums.items() if at > first)


@dataclass
class Rollups:
    """All series, and how far each file of windows was read (bytes)."""

    series: dict[Key, Series] = field(default_factory=dict[Key, Series])
    read: dict[str, int] = field(default_factory=dict[str, int])

    def update(self, folder: Path, now: float, days: float = DAYS) -> None:
        """Add what is new in `folder`, of the last `days`, and forget what is older."""
        first = dt.datetime.fromtimestamp(max(now - days * DAY_S, 0), dt.UTC).date().isoformat()
        paths = [p for p in sorted(folder.glob("*.jsonl")) if p.name[:10] >= first]
        for path in paths:
            for lines in self._new_lines(path):
                self.add(_windows(lines), now - days * DAY_S)
        self.read = {p.name: self.read[p.name] for p in paths if p.name in self.read}
        for key, series in list(self.series.items()):
            series.forget(now, days)
            if not series.hours:
                del self.series[key]

    def add(self, windows: Iterable[ServingWindow], since_s: float = 0.0) -> None:
        """Add windows of pipelines that end after `since_s`."""
        places: dict[tuple[Key, int], list[tuple[float | None, ...]]] = {}
        for window in windows:
            if window.pipeline and window.end_s > since_s:
                key = Key(
                    window.pipeline, window.alias, window.release, window.digest, window.rehearsal
                )
                rows = places.setdefault((key, int(window.end_s // MINUTE_S)), [])
                rows.append(_row(window))
        for (key, minute), rows in places.items():  # a minute at once: arrays cost more than sums
            self.series.setdefault(key, Series()).add(minute, np.array(rows, np.float64).sum(0))

    def _new_lines(self, path: Path) -> Iterator[list[bytes]]:
        """Whole lines that were not read yet, many at a time.

        A file that became shorter is taken as read.
        """
        at = self.read.get(path.name, 0)
        size = path.stat().st_size
        if size <= at:
            self.read[path.name] = size
            return
        with path.open("rb") as file:
            file.seek(at)
            while chunk := file.read(_CHUNK):
                whole = chunk[: chunk.rfind(b"\n") + 1]
                if not whole:
                    break
                at += len(whole)
                self.read[path.name] = at
                file.seek(at)
                yield whole.splitlines()

    def of(self, pipeline: str) -> dict[Key, Series]:
        """The series of one pipeline."""
        return {key: series for key, series in self.series.items() if key.pipeline == pipeline}

    def saved(self) -> Any:
        """All of it as plain values, to go on from after a restart."""
        series = [
            (key, [{at: row.tolist() for at, row in sums.items()} for sums in (s.minutes, s.hours)])
            for key, s in self.series.items()
        ]
        return {"bounds": BOUNDS_MS, "sums": _SUMS, "read": self.read, "series": series}

    @classmethod
    def restored(cls, saved: Any) -> Rollups:
        """What `saved` gave; empty where other sums were kept then: files are read again."""
        found = cls()
        if tuple(saved.get("bounds", ())) != BOUNDS_MS or tuple(saved.get("sums", ())) != _SUMS:
            return found
        found.read = dict(saved["read"])
        for key, parts in saved["series"]:
            series = found.series[Key(*key)] = Series()
            series.minutes, series.hours = (
                {int(at): np.array(row, np.float64) for at, row in part.items()} for part in parts
            )
        return found


def tally(rows: Iterable[Row]) -> Tally:
    """Add up rows of sums."""
    listed = list(rows)
    if not listed:
        return Tally()
    sums = np.sum(listed, axis=0)
    requests, of_rows, errors, refused, latency_sum_s, cpu_s, energy_j, warnings = sums[
        : len(_SUMS)
    ].tolist()
    return Tally(
        requests=int(requests),
        rows=int(of_rows),
        errors=int(errors),
        refused=int(refused),
        latency_sum_s=latency_sum_s,
        cpu_s=cpu_s,
        energy_j=None if np.isnan(energy_j) else energy_j,
        warnings=int(warnings),
        latency=tuple(sums[len(_SUMS) :].astype(int).tolist()),
    )


def together(tallies: Iterable[Tally]) -> Tally:
    """One tally of several keys; energy is measured only if it was for all that were asked."""
    return tally(
        np.array((*_values(one), *one.latency), np.float64) for one in tallies if one.latency
    )


def _windows(lines: Iterable[bytes]) -> Iterator[ServingWindow]:
    for line in lines:
        try:
            window = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # torn by a crash
        if len(window.latency) in (0, len(BOUNDS_MS) + 1):  # else of an older workbench
            yield window


def _row(window: ServingWindow) -> tuple[float | None, ...]:
    """Numbers of a window; numpy takes None, of energy that was not measured, for NaN."""
    return (*_values(window), *(window.latency or _NO_LATENCY))
