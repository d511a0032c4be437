"""Where joules come from: the interface, and the models for machines without counters.

A source gives cumulative joules, attributed to its probe's scope, since it was made. A window is
the difference of two readings, so windows may nest and overlap and no joule is used up by one.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from workbench.core.records import Provenance
    from workbench.metering.probe import Probe

JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True)
class Domain:
    """One piece of hardware that uses energy; a parent is never added to its child."""

    id: str
    kind: Literal["cpu", "memory", "gpu"]
    parent: str | None = None


@dataclass(frozen=True)
class Reading:
    """Cumulative energy of one domain, within [lo, hi]; None: not measured, which is no zero.

    covered_s: cumulative seconds that the source has seen.
    """

    domain: str
    t_monotonic_ns: int
    joules: float | None
    lo: float | None
    hi: float | None
    provenance: Provenance
    covered_s: float


class Source(Protocol):
    """Gives the energy of some domains.

    fast: wants to be read at every tick; others are read each second and at window edges.
    """

    @property
    def domains(self) -> tuple[Domain, ...]: ...

    @property
    def fast(self) -> bool: ...

    def read(self) -> Sequence[Reading]: ...


CCF_WATTS = (0.74, 3.5)
"""Watts per vCPU idle and busy, average over server CPUs (Cloud Carbon Footprint)."""

CCF_WATTS_LOW = (0.47, 1.69)
"""The same for the thriftiest generation of servers that the source lists (AMD EPYC 2nd)."""

CCF_WATTS_HIGH = (0.65, 4.26)
"""The same for the hungriest generation still usual in clouds (Intel Skylake)."""

TDP_CURVE = ((0.0, 0.12), (0.1, 0.32), (0.5, 0.75), (1.0, 1.02))
"""Share of a CPU's TDP by its load, after Teads' measurements."""

TDP_WATTS_PER_VCPU = 4.0
"""TDP for each logical CPU where the CPU is not known, as codecarbon assumes."""

MEMORY_KWH_PER_GB_H = (0.000375, 0.000392, 0.000408)
"""Low (Crucial), average and high (Micron) of the figures behind Cloud Carbon Footprint."""

_UNSEEN_AFTER_S = 0.5


class CpuModel:
    """CPU energy from CPU seconds, by two models whose spread is the interval.

    Value: Cloud Carbon Footprint's line. A busy vCPU second costs its dynamic joules and the idle
    joules of the vCPU it occupies; the idle power of vCPUs that nobody uses is charged to no
    process, only to the host. The value depends on nothing but CPU seconds, so that a neighbour
    cannot change it. Other model: the TDP curve at the machine's load, its dynamic part split by
    CPU-time share; the curve is concave, so a lone busy vCPU on a large machine costs more.
    The interval is the envelope of both and of the line's thriftiest and hungriest generation,
    for two averages that agree by chance are not certainty.
    """

    domains = (Domain("cpu", "cpu"),)
    fast = False

    def __init__(self, probe: Probe, *, tdp_watts_per_vcpu: float = TDP_WATTS_PER_VCPU) -> None:
        self._probe = probe
        self._tdp_watts = tdp_watts_per_vcpu
        self._last = probe.cpu
        self._joules = self._lo = self._hi = self._covered_s = 0.0

    def read(self) -> list[Reading]:
        """Return the energy up to the probe's latest look at the CPU."""
        if self._probe.cpu.t_ns > self._last.t_ns:
            self._advance()
        return [
            Reading(
                domain="cpu",
                t_monotonic_ns=self._last.t_ns,
                joules=self._joules,
                lo=self._lo,
                hi=self._hi,
                provenance="modelled",
                covered_s=self._covered_s,
            )
        ]

    def _advance(self) -> None:
        before, now = self._last, self._probe.cpu
        duration_s = (now.t_ns - before.t_ns) / 1e9
        used_s = now.used_s - before.used_s
        charged_s = now.charged_s - before.charged_s
        # /proc/stat counts in ticks of 10 ms: never let everybody seem to do less than the scope
        busy_s = max(now.busy_s - before.busy_s, used_s)

        def line(watts: tuple[float, float]) -> float:
            idle, full = watts
            return idle * charged_s + (full - idle) * used_s

        value = line(CCF_WATTS)
        other = [line(CCF_WATTS_LOW), line(CCF_WATTS_HIGH)]
        other.append(
            tdp_joules(used_s, charged_s, busy_s, duration_s * now.vcpus) * self._tdp_watts
        )
        self._joules += value
        self._lo += min(value, *other)
        self._hi += max(value, *other)
        self._covered_s += duration_s
        self._last = now


def tdp_joules(used_s: float, charged_s: float, busy_s: float, vcpu_s: float) -> float:
    """Joules for each watt of TDP per vCPU, by the TDP curve.

    used_s: CPU seconds of the scope; charged_s: vCPU seconds whose idle power it carries; busy_s:
    CPU seconds of everybody; vcpu_s: seconds times vCPUs of the machine. Summed over all scopes
    and the uncharged idle rest, this is the machine's total.
    """
    idle = load_share(0.0)
    if vcpu_s <= 0 or busy_s <= 0:
        return idle * charged_s
    dynamic = (load_share(min(1.0, busy_s / vcpu_s)) - idle) * vcpu_s
    return idle * charged_s + dynamic * used_s / busy_s


def load_share(load: float) -> float:
    """Share of TDP that a CPU draws at `load` (0 to 1), by the TDP curve."""
    for (x0, y0), (x1, y1) in itertools.pairwise(TDP_CURVE):
        if load <= x1:
            return y0 + (y1 - y0) * (load - x0) / (x1 - x0)
    return TDP_CURVE[-1][1]


class MemoryModel:
    """Memory energy: Cloud Carbon Footprint's kWh per GB-hour times resident memory over time.

    The interval spans the makers' figures and, below, the largest single process instead of the
    sum (see `MemoryActivity`).
    """

    domains = (Domain("memory", "memory"),)
    fast = True

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._last = probe.memory
        self._joules = self._lo = self._hi = self._covered_s = 0.0

    def read(self) -> list[Reading]:
        """Return the energy up to the probe's latest look at memory."""
        if self._probe.memory.t_ns > self._last.t_ns:
            self._advance()
        known = self._last.resident_bytes is not None
        return [
            Reading(
                domain="memory",
                t_monotonic_ns=self._last.t_ns,
                joules=self._joules if known else None,
                lo=self._lo if known else None,
                hi=self._hi if known else None,
                provenance="modelled" if known else "default",
                covered_s=self._covered_s,
            )
        ]

    def _advance(self) -> None:
        before, now = self._last, self._probe.memory
        self._last = now
        duration_s = (now.t_ns - before.t_ns) / 1e9
        if now.resident_bytes is None or before.resident_bytes is None:
            return
        low, average, high = (kwh * 1000 / 1e9 for kwh in MEMORY_KWH_PER_GB_H)  # W per byte
        total = (now.resident_bytes + before.resident_bytes) / 2 * duration_s
        largest = ((now.largest_bytes or 0) + (before.largest_bytes or 0)) / 2 * duration_s
        self._joules += average * total
        self._lo += low * largest
        self._hi += high * total
        # a gap (one long call that kept the interpreter busy) is bridged by a line, not seen
        self._covered_s += min(duration_s, _UNSEEN_AFTER_S)
