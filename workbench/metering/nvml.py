"""NVIDIA GPUs: the driver's energy counter, by `nvidia-ml-py` (the extra `gpu`).

A GPU belongs to the windows of a process tree while the tree holds its device file open; then its
whole energy is charged, idle power included (exclusive ownership). If others compute on it at the
same time nothing below is certain: lo stays, and the reading is marked `modelled`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.metering.sources import Domain, Reading, Source

if TYPE_CHECKING:
    from workbench.core.records import Provenance
    from workbench.metering.probe import Probe

SENSOR_ERROR = 0.05
"""NVIDIA states +-5 % for its power sensor."""


def open_gpus(probe: Probe) -> Source | None:
    """Return the source for this machine's NVIDIA GPUs, None where there is none.

    Where there are GPUs but no counter can be read, the source says "not measured".
    """
    devices = sorted(str(path) for path in Path("/dev").glob("nvidia[0-9]*"))
    if not devices:
        return None
    try:
        import pynvml
    except ImportError:
        return NoCounter(probe, devices)
    try:
        pynvml.nvmlInit()
        return NvmlCounter(probe, pynvml)
    except pynvml.NVMLError:
        return NoCounter(probe, devices)


@dataclass
class _Gpu:
    """One device and what was charged so far (millijoules of the counter, joules charged)."""

    domain: Domain
    device: str
    handle: Any
    counter_mj: int
    seen_ns: int
    charged: bool = False
    joules: float = 0.0
    lo: float = 0.0
    hi: float = 0.0
    covered_s: float = 0.0
    provenance: Provenance = "counter"


class NvmlCounter:
    """`nvmlDeviceGetTotalEnergyConsumption`: millijoules since the driver was loaded (Volta on).

    A GPU without that counter raises NVMLError in the constructor.
    """

    fast = False

    def __init__(self, probe: Probe, nvml: Any) -> None:
        self._probe = probe
        self._nvml = nvml
        self._gpus = [self._open(index) for index in range(nvml.nvmlDeviceGetCount())]
        self.domains = tuple(gpu.domain for gpu in self._gpus)

    def _open(self, index: int) -> _Gpu:
        handle = self._nvml.nvmlDeviceGetHandleByIndex(index)
        return _Gpu(
            domain=Domain(f"gpu{index}", "gpu"),
            device=f"/dev/nvidia{self._nvml.nvmlDeviceGetMinorNumber(handle)}",
            handle=handle,
            counter_mj=self._nvml.nvmlDeviceGetTotalEnergyConsumption(handle),
            seen_ns=time.monotonic_ns(),
        )

    def read(self) -> list[Reading]:
        """Return a reading for each GPU that the scope has held open so far."""
        for gpu in self._gpus:
            self._advance(gpu)
        return [
            Reading(
                gpu.domain.id,
                gpu.seen_ns,
                gpu.joules,
                gpu.lo,
                gpu.hi,
                gpu.provenance,
                gpu.covered_s,
            )
            for gpu in self._gpus
            if gpu.charged
        ]

    def _advance(self, gpu: _Gpu) -> None:
        counter_mj = self._nvml.nvmlDeviceGetTotalEnergyConsumption(gpu.handle)
        now_ns = time.monotonic_ns()
        duration_s = (now_ns - gpu.seen_ns) / 1e9
        # the counter starts at zero again when the driver is reloaded: that slice is not seen
        reset = counter_mj < gpu.counter_mj
        joules = 0.0 if reset else (counter_mj - gpu.counter_mj) / 1000
        gpu.counter_mj, gpu.seen_ns = counter_mj, now_ns
        holders = self._probe.holds(gpu.device)
        if holders == 0:
            return
        gpu.charged = True
        gpu.joules += joules
        gpu.hi += joules * (1 + SENSOR_ERROR)
        gpu.covered_s += 0.0 if reset else duration_s
        if holders is not None and self._computing(gpu) > holders:
            gpu.provenance = "modelled"
        else:
            gpu.lo += joules * (1 - SENSOR_ERROR)

    def _computing(self, gpu: _Gpu) -> int:
        return len(self._nvml.nvmlDeviceGetComputeRunningProcesses(gpu.handle))


class NoCounter:
    """GPUs whose energy cannot be read: a device in use is "not measured", never zero."""

    fast = False

    def __init__(self, probe: Probe, devices: list[str]) -> None:
        self._probe = probe
        self._devices = devices
        self.domains = tuple(
            Domain(device.removeprefix("/dev/").replace("nvidia", "gpu"), "gpu")
            for device in devices
        )

    def read(self) -> list[Reading]:
        """Return "not measured" for each GPU that the scope holds open."""
        now_ns = time.monotonic_ns()
        return [
            Reading(domain.id, now_ns, None, None, None, "default", 0.0)
            for domain, device in zip(self.domains, self._devices, strict=True)
            if self._probe.holds(device) != 0
        ]
