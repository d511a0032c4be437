"""The meter: any number of windows at once over one series of readings.

    meter = Meter()
    with meter.window("train") as metered:
        train()
    metered.window  # a Window: duration, CPU seconds, peak memory, energy by domain

Metered code does not know that it is metered. One daemon thread looks ten times a second while a
window is open; no socket is opened.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from workbench.core.records import Usage, Window
from workbench.metering.probe import PROCESS_TREE, Probe, Scope, open_probe
from workbench.metering.sources import (
    JOULES_PER_KWH,
    CpuModel,
    MemoryModel,
    Reading,
    Source,
)


def standard_sources(probe: Probe) -> tuple[Source, ...]:
    """Return the best sources for this machine: models for CPU and memory, counters for GPUs."""
    from workbench.metering.nvml import open_gpus  # keeps the import of the meter short

    gpus = open_gpus(probe)
    return (CpuModel(probe), MemoryModel(probe), *([gpus] if gpus else []))


class Metered:
    """A window under way; `window` is there once the block has ended, well or not."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._window: Window | None = None
        self._peak_bytes = 0

    @property
    def window(self) -> Window:
        """What was used; RuntimeError inside the block."""
        if self._window is None:
            raise RuntimeError(f"window '{self.name}' is still open")
        return self._window


class Meter:
    """Makes windows; one for each process is enough.

    sources: makes the sources for a probe. rate_hz: how often memory is looked at.
    A process that was forked inside a window starts its own series: it inherits no open window
    and no peak.
    """

    def __init__(
        self,
        sources: Callable[[Probe], Sequence[Source]] = standard_sources,
        *,
        rate_hz: float = 10.0,
    ) -> None:
        self._sources = sources
        self._rate_hz = rate_hz
        self._lock = threading.Lock()
        self._series: dict[Scope, Series] = {}
        self._pid = os.getpid()

    @contextlib.contextmanager
    def window(self, name: str, *, scope: Scope = PROCESS_TREE) -> Iterator[Metered]:
        """Meter the block: this process with its children, or with HOST the whole machine.

        Peak memory is the highest sum over the processes that a sample saw; where this process
        reached a new high inside the window, the kernel's own figure (VmHWM), which no sample can
        miss. Memory of a child that lives less than a tenth of a second may be missed.
        """
        series = self._at(scope)
        metered, pid = Metered(name), os.getpid()
        close = series.open(metered)
        try:
            yield metered
        finally:
            if os.getpid() == pid:  # a forked child that leaves the block has nothing to close
                close()

    def _at(self, scope: Scope) -> Series:
        if self._pid != os.getpid():
            # forked: the lock may be held and the threads are gone, so nothing of it is used
            self._lock, self._series, self._pid = threading.Lock(), {}, os.getpid()
        with self._lock:
            if scope not in self._series:
                self._series[scope] = Series(open_probe(scope), self._sources, self._rate_hz)
            return self._series[scope]


class Series:
    """Readings of one scope in one process, and the thread that takes them."""

    def __init__(
        self, probe: Probe, sources: Callable[[Probe], Sequence[Source]], rate_hz: float
    ) -> None:
        self._probe = probe
        self._sources = sources(probe)
        self._period_s = 1 / rate_hz
        self._ticks_per_s = max(1, round(rate_hz))
        self._lock = threading.Lock()
        self._readings: dict[str, Reading] = {}
        self._open: list[Metered] = []
        self._stop = threading.Event()

    def open(self, metered: Metered) -> Callable[[], None]:
        """Begin a window; the returned function ends it."""
        with self._lock:
            high_water = self._probe.high_water_bytes()
            self._tick(full=True)
            first = dict(self._readings)
            used_s = self._probe.cpu.used_s
            self._open.append(metered)
            metered._peak_bytes = self._probe.memory.resident_bytes or 0
            if len(self._open) == 1:
                self._start()
            start_s, start_ns = time.time(), time.monotonic_ns()

        def close() -> None:
            end_ns = time.monotonic_ns()
            with self._lock:
                self._tick(full=True)
                self._open.remove(metered)
                if not self._open:
                    self._stop.set()
                highest = self._probe.high_water_bytes()
                if highest and high_water and highest > high_water:
                    metered._peak_bytes = max(metered._peak_bytes, highest)
                duration_s = (end_ns - start_ns) / 1e9
                metered._window = Window(
                    name=metered.name,
                    start_s=start_s,
                    end_s=start_s + duration_s,
                    duration_s=duration_s,
                    cpu_s=self._probe.cpu.used_s - used_s,
                    peak_memory_bytes=metered._peak_bytes,
                    usages=tuple(
                        _usage(first.get(domain), last, duration_s)
                        for domain, last in self._readings.items()
                    ),
                )

        return close

    def _start(self) -> None:
        self._stop = threading.Event()
        threading.Thread(
            target=self._watch, args=(self._stop,), name="workbench-meter", daemon=True
        ).start()

    def _watch(self, stop: threading.Event) -> None:
        ticks = 0
        while not stop.wait(self._period_s):
            ticks += 1
            with self._lock:
                if not stop.is_set():
                    self._tick(full=ticks % self._ticks_per_s == 0)

    def _tick(self, *, full: bool) -> None:
        """Look once; `full` reads also what is slow to read: CPU seconds, devices."""
        self._probe.observe_memory()
        if full:
            self._probe.observe_cpu()
        for source in self._sources:
            if full or source.fast:
                self._readings.update({reading.domain: reading for reading in source.read()})
        for metered in self._open:
            resident = self._probe.memory.resident_bytes or 0
            metered._peak_bytes = max(metered._peak_bytes, resident)


def _usage(first: Reading | None, last: Reading, duration_s: float) -> Usage:
    """Difference of two readings, kept in order: lo <= energy <= hi."""
    covered_s = last.covered_s - (first.covered_s if first else 0.0)
    coverage = min(1.0, covered_s / duration_s) if duration_s > 0 else 1.0
    if last.joules is None or last.lo is None or last.hi is None:
        return Usage(last.domain, None, None, None, last.provenance, coverage)
    kwh = (last.joules - ((first and first.joules) or 0.0)) / JOULES_PER_KWH
    lo = (last.lo - ((first and first.lo) or 0.0)) / JOULES_PER_KWH
    hi = (last.hi - ((first and first.hi) or 0.0)) / JOULES_PER_KWH
    return Usage(last.domain, kwh, min(lo, kwh), max(hi, kwh), last.provenance, coverage)
