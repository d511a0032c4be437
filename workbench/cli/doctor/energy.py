"""Energy counters, how they are opened, and what carbon and cost need."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from workbench.cli.doctor.finding import Finding
from workbench.cli.doctor.gpu import SYS
from workbench.cli.doctor.limits import PROC
from workbench.cli.doctor.software import here
from workbench.core.errors import WorkbenchError
from workbench.core.paths import Paths

OPEN = "sudo chmod o+r /sys/class/powercap/intel-rapl*/energy_uj"
"""Opens the counters until the next start of the machine."""

_MODELLED = "energy is modelled from processor time, with an interval; nothing else is missing"
# Lipp et al., "PLATYPUS: Software-based Power Side-Channel Attacks on x86", 2021.
_SECRETS = (
    "security: whoever reads these counters can guess at keys that others compute with (PLATYPUS); "
    "open them only where you trust everyone who has an account"
)


def processor_counter(sys_: Path = SYS, proc: Path = PROC) -> Iterator[Finding]:
    """RAPL: whether it is there, whether a user may read it, and what opens it."""
    what = "processor counter"
    counters = sorted((sys_ / "class" / "powercap").glob("intel-rapl*/energy_uj"))
    if not counters:
        kind = virtual(sys_, proc)
        if kind:
            said = f"none: this is {kind}, which does not see the counters of its host"
            yield Finding(what, "good", said, "", _MODELLED)
            return
        x86 = platform.machine() in ("x86_64", "AMD64") and platform.system() == "Linux"
        said = "none" if x86 else "none that a Linux on an Intel or AMD processor would have (RAPL)"
        fix = "sudo modprobe intel_rapl_msr" if x86 else ""
        yield Finding(what, "note" if x86 else "good", said, fix, _MODELLED)
        return
    try:
        for counter in counters:
            counter.read_bytes()
    except OSError as error:
        said = f"there (RAPL), but you may not read it ({error.strerror})"
        yield Finding(what, "note", said, OPEN, f"{_MODELLED}. {_SECRETS}")
        return
    said = "there (RAPL) and readable, but this version does not use it yet"
    yield Finding(what, "good", said, "", _MODELLED)


def gpu_counter() -> Iterator[Finding]:
    """The energy counter of NVIDIA GPUs; silent where there is none."""
    import importlib.util

    from workbench.metering.nvml import NvmlCounter, open_gpus
    from workbench.metering.probe import PROCESS_TREE, open_probe

    source = open_gpus(open_probe(PROCESS_TREE))
    if source is None:
        return
    what, matters = "GPU counter", "without it, the energy of GPU work is not measured"
    if isinstance(source, NvmlCounter):
        count = len(source.domains)
        yield Finding(
            what, "good", f"readable on {count} GPU{'s' if count > 1 else ''}", "", matters
        )
    elif importlib.util.find_spec("pynvml") is None:
        fix = f"{here('python')} -m pip install -c constraints.txt nvidia-ml-py"
        yield Finding(what, "note", "the package that reads it is not installed", fix, matters)
    else:
        said = "the driver does not give it (GPUs before Volta have none)"
        yield Finding(what, "note", said, "nvidia-smi", matters)


def site(paths: Paths) -> Iterator[Finding]:
    """Grid and prices: known only by who pays the bill."""
    from workbench.core.params import read_params

    try:
        here_ = read_params(paths.params).site
    except (WorkbenchError, OSError, ValueError):
        return  # said by who looks at params.yaml
    if here_.grid_g_per_kwh is None:
        yield Finding(
            "grid",
            "note",
            "not set: carbon is not computed",
            "edit params.yaml: site: {grid_g_per_kwh: NUMBER, grid_source: WHERE FROM}",
            "grams of CO2 for each kWh of your electricity; see docs/how-to/site.md",
        )
    else:
        yield Finding("grid", "good", f"{here_.grid_g_per_kwh:g} g/kWh")
    unset = [k for k in ("electricity_usd_per_kwh", "hardware_usd_per_hour") if _none(here_, k)]
    if unset:
        yield Finding(
            "prices",
            "note",
            "not set: cost is not computed",
            f"edit params.yaml: site: {{{', '.join(f'{key}: NUMBER' for key in unset)}}}",
            "what a run and 1,000 predictions cost; see docs/how-to/site.md",
        )
    else:
        yield Finding("prices", "good", "electricity and hardware are set")


def _none(settings: object, key: str) -> bool:
    return getattr(settings, key) is None


def virtual(sys_: Path = SYS, proc: Path = PROC) -> str:
    """`a virtual machine (kvm)`, `a container (docker)`; empty on a machine of its own."""
    if proc == PROC and (tool := shutil.which("systemd-detect-virt")):
        answer = subprocess.run(
            [tool, "--vm"], capture_output=True, text=True, timeout=2
        ).stdout.strip()
        if answer not in ("", "none"):
            return f"a virtual machine ({answer})"
    cpus = proc / "cpuinfo"
    text = cpus.read_text(errors="replace") if cpus.exists() else ""
    if "hypervisor" in text.partition("flags")[2].partition("\n")[0].split():
        return "a virtual machine"
    if (sys_ / "hypervisor" / "type").exists():
        return "a virtual machine"
    for mark, name in (("/.dockerenv", "docker"), ("/run/.containerenv", "podman")):
        if proc == PROC and Path(mark).exists():
            return f"a container ({name})"
    return ""
