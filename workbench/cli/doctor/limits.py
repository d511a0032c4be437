"""What a container lets this process have of the machine: cores and memory, from its cgroup."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
CGROUP = Path("/sys/fs/cgroup")


def usable_cores(proc: Path = PROC, cgroup: Path = CGROUP) -> int:
    """Cores that may be busy at once, at least 1: affinity, and the quota of the cgroup."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min([cores, *(math.ceil(quota) for quota in _quotas(proc, cgroup))]))


def memory_limit(proc: Path = PROC, cgroup: Path = CGROUP) -> int | None:
    """Bytes that the cgroup may use; None where nothing bounds it."""
    bounds: list[int] = []
    for folder in (*_groups("", proc, cgroup), *_groups("memory", proc, cgroup)):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = _text(folder / name)
            # Version 1 says a number of about 8 EB where it means that there is none.
            if text.isdecimal() and int(text) < 2**60:
                bounds.append(int(text))
    return min(bounds, default=None)


def _quotas(proc: Path, cgroup: Path) -> Iterator[float]:
    """Cores that each group above this process allows."""
    for folder in _groups("", proc, cgroup):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        if quota.isdecimal() and period.isdecimal():
            yield int(quota) / int(period)
    for folder in _groups("cpu", proc, cgroup):
        quota = _text(folder / "cpu.cfs_quota_us")
        period = _text(folder / "cpu.cfs_period_us")
        if quota.isdecimal() and period.isdecimal():  # -1 is no quota
            yield int(quota) / int(period)


def _groups(controller: str, proc: Path, cgroup: Path) -> Iterator[Path]:
    """Folders of this process's group and of those above it; "" is the one tree of version 2.

    In a container the path may be the host's while the folder is the container's own: the top is
    always looked at.
    """
    for line in _text(proc / "self" / "cgroup").splitlines():
        _, names, path = (*line.split(":", 2), "", "")[:3]
        if controller not in names.split(","):
            continue
        top = cgroup / controller if controller else cgroup
        inside = Path(path.lstrip("/"))
        for part in (inside, *inside.parents):
            if ".." not in part.parts:
                yield top / part


def _text(file: Path) -> str:
    """Content of a small system file; empty where there is none for us."""
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""
