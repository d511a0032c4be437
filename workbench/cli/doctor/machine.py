"""Processor, memory, disk and clock."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from workbench.cli.doctor.finding import Finding, size
from workbench.cli.doctor.limits import memory_limit, usable_cores
from workbench.core.paths import Paths

LOW_BYTES, OUT_BYTES = 5e9, 0.5e9
"""Free disk below which a run may fail, and below which it will."""

LITTLE_BYTES = 4e9
"""Memory below which the engine needs a lower limit than its usual 2 GB."""

WRONG_CLOCK_S = 3600.0


def processor() -> Iterator[Finding]:
    """Cores that may be used, which in a container are fewer than the machine has."""
    there, usable = os.cpu_count() or 1, usable_cores()
    cores = f"{usable} core{'s' if usable > 1 else ''}"
    limited = f"{cores} of the machine's {there}: this container or user gets no more"
    yield Finding(
        "processor",
        "good",
        f"{cores if usable == there else limited} ({platform.machine()})",
        matters="how fast everything runs; more threads than that make it slower",
    )


def memory() -> Iterator[Finding]:
    """Memory of the machine or of its container, and what of it is free now."""
    there = _physical()
    if there is None:
        yield Finding("memory", "note", "this system does not say how much there is")
        return
    bound = memory_limit()
    usable = min(there, bound or there)
    low = usable < LITTLE_BYTES
    limited = f" of the machine's {size(there)}: this container gets no more"
    free = _available()
    now = f", {size(min(free, usable))} of it free" if free is not None else ""
    yield Finding(
        "memory",
        "note" if low else "good",
        f"{size(usable)}{limited if usable < there else ''}{now}",
        "edit params.yaml: engine: {memory_limit: 1GB}" if low else "",
        "data larger than memory works too: the engine writes what does not fit to disk",
    )


def disk(paths: Paths | None) -> Iterator[Finding]:
    """Free space of each disk that is written to, and what stands on it."""
    from workbench.execution.dvcfiles import Cache

    places = {"/tmp" if os.name == "posix" else "temporary files": Path(tempfile.gettempdir())}
    if paths:
        own = {"data": paths.root, "DVC cache": Cache(paths.root).folder, ".workbench": paths.home}
        places = own | places
    disks: dict[int, tuple[list[str], Path]] = {}
    for name, path in places.items():
        there = next((p for p in (path, *path.parents) if p.exists()), Path("/"))
        disks.setdefault(there.stat().st_dev, ([], there))[0].append(name)
    for names, there in disks.values():
        free = shutil.disk_usage(there).free
        fix = "workbench tidy" if paths and "data" in names else ""
        if names == ["/tmp"]:
            fix = "export TMPDIR=$HOME"
        yield Finding(
            f"disk ({', '.join(names)})",
            "bad" if free < OUT_BYTES else "note" if free < LOW_BYTES else "good",
            f"{size(free)} free",
            fix if free < LOW_BYTES else "",
            "data, models and what DVC keeps of earlier runs; a full disk stops a run, and what "
            "was whole before stays whole",
        )


def clock(paths: Paths | None) -> Iterator[Finding]:
    """A clock that lies behind what was written already is wrong."""
    known = [Path(__file__)]
    if paths:
        known += [paths.params, paths.dvc_lock, paths.root / ".git" / "index"]
    newest = max(file.stat().st_mtime for file in known if file.exists())
    behind_s = newest - time.time()
    wrong = behind_s > WRONG_CLOCK_S
    now = time.strftime("%Y-%m-%d %H:%M %Z")
    managed = shutil.which("timedatectl") and Path("/run/systemd/system").exists()
    mend = "sudo timedatectl set-ntp true" if managed else "sudo date -s 'YYYY-MM-DD hh:mm'"
    yield Finding(
        "clock",
        "note" if wrong else "good",
        f"{now}: files here were written {behind_s / 3600:.0f} hours later" if wrong else now,
        mend if wrong else "",
        "runs are put in order by time, and object stores refuse a clock that is wrong",
    )


def _physical() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _available() -> int | None:
    """Bytes that a program can have without pushing others out; None where Linux is not."""
    file = Path("/proc/meminfo")
    if not file.exists():
        return None
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None
