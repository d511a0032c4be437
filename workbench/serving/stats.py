"""What the server counts: an observer of answers, a line a second for whoever watches.

Counting costs about a microsecond a request; sums, energy and files are made once a second.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from workbench.execution.lock import is_alive
from workbench.metering.probe import PROCESS_TREE, open_probe
from workbench.metering.sources import CpuModel, MemoryModel
from workbench.serving.models import Model
from workbench.serving.request import LOCAL, Caller
from workbench.serving.service import Answered
from workbench.storage.windows import BOUNDS_MS, ServingWindow, append_windows, bin_of

WINDOW_S, IDLE_S = 1.0, 60.0
"""Length of a window while somebody asks, and while nobody does."""

Key = tuple[str, str, int, str, bool]
"""Pipeline, alias, release, digest of the bundle, whether it was a rehearsal."""


@dataclass(slots=True)
class Counts:
    """What was counted of one release."""

    requests: int = 0
    rows: int = 0
    errors: int = 0
    refused: int = 0
    latency_sum_s: float = 0.0
    latency: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_MS) + 1))
    batches: int = 0
    warnings: int = 0
    cpu_s: float = 0.0
    energy_j: float = 0.0

    def add(self, other: Counts) -> None:
        """Add what `other` counted."""
        for name in ("requests", "rows", "errors", "refused", "batches", "warnings"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.latency_sum_s += other.latency_sum_s
        self.cpu_s += other.cpu_s
        self.energy_j += other.energy_j
        self.latency = [a + b for a, b in zip(self.latency, other.latency, strict=True)]


class Total(msgspec.Struct, frozen=True):
    """Counts of one release in one process since it started, as other workers read them."""

    key: Key
    counts: Counts


class Stats:
    """Counts answers and refusals, and writes a window a second.

    folder: of windows and totals. served: what is loaded now, to share what nobody asked for.
    charge: told at the end of each window what a caller's answers took of the machine's time, in
    seconds.
    """

    def __init__(
        self,
        folder: Path,
        served: Callable[[], Iterable[Model]],
        charge: Callable[[Caller, float], None] | None = None,
    ) -> None:
        self.folder = folder
        self.served = served
        self.charge = charge
        self._callers: dict[Caller, int] = {}
        self.trouble = ""
        self.totals: dict[Key, Counts] = {}
        self._open: dict[Key, Counts] = {}
        self._began_s = time.time()
        self._probe = open_probe(PROCESS_TREE)
        self._sources = (CpuModel(self._probe), MemoryModel(self._probe))
        self._cpu_s = self._probe.cpu.used_s
        self._joules = (0.0, 0.0, 0.0)
        for path in folder.glob("totals-*.json"):
            if not is_alive(int(path.stem.rpartition("-")[2])):
                path.unlink(missing_ok=True)  # of a server that has ended

    def answered(self, answer: Answered) -> None:
        counts = self._of(answer.model, answer.rehearsal)
        counts.requests += 1
        counts.rows += answer.rows
        counts.latency_sum_s += answer.latency_s
        counts.latency[bin_of(answer.latency_s * 1000)] += 1
        if answer.warnings:
            counts.warnings += len(answer.warnings)
        if answer.caller is not LOCAL:
            self._callers[answer.caller] = self._callers.get(answer.caller, 0) + 1

    def refused(self, model: Model | None, status: int, latency_s: float, rehearsal: bool) -> None:
        counts = self._of(model, rehearsal)
        counts.requests += 1
        if status >= 500:
            counts.errors += 1
        else:
            counts.refused += 1
        counts.latency_sum_s += latency_s
        counts.latency[bin_of(latency_s * 1000)] += 1

    def batched(self, model: Model) -> None:
        """One run of the model's graph."""
        self._of(model, False).batches += 1

    def _of(self, model: Model | None, rehearsal: bool) -> Counts:
        key = (
            ("", "", 0, "", rehearsal)
            if model is None
            else (
                model.pipeline,
                model.alias,
                model.target.release,
                model.target.digest,
                rehearsal,
            )
        )
        counts = self._open.get(key)
        if counts is None:
            counts = self._open[key] = Counts()
        return counts

    @property
    def due(self) -> bool:
        """Whether a window is to be written: something was asked, or it was quiet for long."""
        open_s = time.time() - self._began_s
        return open_s >= IDLE_S or (bool(self._open) and open_s >= WINDOW_S)

    def flush(self) -> None:
        """End the window: share out what was used, write its lines, begin the next."""
        counted, self._open = self._open, {}
        began_s, self._began_s = self._began_s, time.time()
        cpu_s, joules = self._used()
        for model in self.served() if not any(c.requests for c in counted.values()) else ():
            key = (model.pipeline, model.alias, model.target.release, model.target.digest, False)
            counted.setdefault(key, Counts())
        asked = sum(counts.requests for counts in counted.values())
        callers, self._callers = self._callers, {}
        if self.charge is not None:
            for caller, answers in callers.items():
                self.charge(caller, (self._began_s - began_s) * answers / asked)
        windows: list[ServingWindow] = []
        for key, counts in counted.items():
            share = counts.requests / asked if asked else 1 / len(counted)
            counts.cpu_s, counts.energy_j = cpu_s * share, joules[0] * share
            self.totals.setdefault(key, Counts()).add(counts)
            windows.append(self._window(key, counts, began_s, joules, share))
        try:
            append_windows(self.folder, windows)
            own = [Total(key, counts) for key, counts in self.totals.items()]
            # No fsync: it stops the event loop for tens of milliseconds, and totals die with it.
            aside = self.folder / f".totals-{os.getpid()}.part"
            aside.write_bytes(msgspec.json.encode(own))
            aside.replace(self.folder / f"totals-{os.getpid()}.json")
            self.trouble = ""
        except OSError as error:
            self.trouble = f"what was served cannot be written to {self.folder}: {error.strerror}"

    def _window(
        self,
        key: Key,
        counts: Counts,
        began_s: float,
        joules: tuple[float, float, float],
        share: float,
    ) -> ServingWindow:
        pipeline, alias, release, digest, rehearsal = key
        return ServingWindow(
            start_s=began_s,
            end_s=self._began_s,
            pid=os.getpid(),
            pipeline=pipeline,
            alias=alias,
            release=release,
            digest=digest,
            rehearsal=rehearsal,
            requests=counts.requests,
            rows=counts.rows,
            errors=counts.errors,
            refused=counts.refused,
            latency_sum_s=counts.latency_sum_s,
            latency=tuple(counts.latency),
            batches=counts.batches,
            cpu_s=counts.cpu_s,
            energy_j=joules[0] * share,
            energy_lo_j=joules[1] * share,
            energy_hi_j=joules[2] * share,
            memory_bytes=self._probe.memory.resident_bytes or 0,
            warnings=counts.warnings,
        )

    def _used(self) -> tuple[float, tuple[float, float, float]]:
        """Processor time and joules (value, lo, hi) of this process since the last look."""
        self._probe.observe_cpu()
        self._probe.observe_memory()
        readings = [reading for source in self._sources for reading in source.read()]
        now = tuple(
            sum(getattr(reading, name) or 0.0 for reading in readings)
            for name in ("joules", "lo", "hi")
        )
        before, self._joules = self._joules, (now[0], now[1], now[2])
        cpu_s, self._cpu_s = self._probe.cpu.used_s - self._cpu_s, self._probe.cpu.used_s
        used = (now[0] - before[0], now[1] - before[1], now[2] - before[2])
        return cpu_s, used

    def everywhere(self) -> dict[Key, Counts]:
        """Totals of all workers: this one's own as they are, the others' as they last wrote."""
        found: dict[Key, Counts] = {}
        own = f"totals-{os.getpid()}.json"
        parts = [Total(key, counts) for key, counts in self.totals.items()]
        parts += [Total(key, counts) for key, counts in self._open.items()]
        for path in self.folder.glob("totals-*.json"):
            if path.name != own:
                try:
                    parts += msgspec.json.decode(path.read_bytes(), type=list[Total])
                except (OSError, msgspec.DecodeError):
                    continue  # another server's, of another version
        for part in parts:
            found.setdefault(part.key, Counts()).add(part.counts)
        return found
