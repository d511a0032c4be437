"""What a process tree, or the whole machine, has done so far: CPU seconds and resident memory.

Read from /proc, without a library and without a socket. A process tree is a process and its
living descendants, plus the descendants that ended and were waited for. What is not seen: a child
that ended while SIGCHLD was ignored, and one that outlived its parent (it belongs to init then);
what such a child used until it was last seen stays counted.

`ru_maxrss` is never used on Linux: after fork and exec it starts at the parent's size.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from workbench.core.errors import MissingError

Scope = Literal["process_tree", "host"]
PROCESS_TREE: Scope = "process_tree"
HOST: Scope = "host"

_LOST_S = 0.05
"""A total that falls by more than this lost a process; by less, it was rounded to clock ticks."""


@dataclass(frozen=True)
class CpuActivity:
    """Cumulative CPU work at one instant.

    used_s: CPU seconds of the scope. charged_s: vCPU seconds whose idle power the scope carries:
    for a process tree the seconds it kept vCPUs busy, for the host all of them.
    busy_s: CPU seconds of everybody on the machine. vcpus: logical CPUs of the machine.
    """

    t_ns: int
    used_s: float
    charged_s: float
    busy_s: float
    vcpus: int


@dataclass(frozen=True)
class MemoryActivity:
    """Resident memory at one instant, None where the platform does not tell.

    resident_bytes: sum over the processes, so pages that forked processes share count more than
    once. largest_bytes: the largest single process; the truth is between the two.
    """

    t_ns: int
    resident_bytes: int | None
    largest_bytes: int | None


class Probe(Protocol):
    """The latest activity of one scope; `observe_*` looks again."""

    cpu: CpuActivity
    memory: MemoryActivity

    def observe_cpu(self) -> None: ...

    def observe_memory(self) -> None: ...

    def high_water_bytes(self) -> int | None:
        """Highest resident memory of this process's present address space, if it is known."""
        ...

    def holds(self, device: str) -> int | None:
        """How many processes of the scope hold `device` open; None: the scope is the machine."""
        ...


def open_probe(scope: Scope) -> Probe:
    """Return the probe for `scope` here; MissingError for the host where there is no /proc."""
    linux = Path("/proc/self/statm").exists()
    if scope == HOST:
        if not linux:
            raise MissingError(
                f"The whole machine cannot be metered on {sys.platform}: there is no /proc.",
                fix="meter the process tree",
            )
        return HostProbe()
    return TreeProbe() if linux else PortableProbe()


class TreeProbe:
    """This process and its descendants, from /proc."""

    def __init__(self) -> None:
        self._root = os.getpid()
        self._tick_s = 1 / os.sysconf("SC_CLK_TCK")
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")
        self._pids = [self._root]
        self._used_s = 0.0
        self._total_s = self._total()
        self.observe_cpu()
        self.observe_memory()

    def observe_cpu(self) -> None:
        total = self._total()
        gain = total - self._total_s
        if gain > 0:
            self._used_s += gain
        if gain > 0 or gain < -_LOST_S:
            self._total_s = total
        self.cpu = CpuActivity(
            t_ns=time.monotonic_ns(),
            used_s=self._used_s,
            charged_s=self._used_s,
            busy_s=_host_busy_s(self._tick_s),
            vcpus=os.cpu_count() or 1,
        )

    def observe_memory(self) -> None:
        # children forked by other threads than the first are found by observe_cpu, each second
        known = dict.fromkeys([*self._pids, *_descendants(self._root, every_thread=False)])
        sizes = [_resident_pages(pid) * self._page_bytes for pid in known]
        self.memory = MemoryActivity(time.monotonic_ns(), sum(sizes), max(sizes))

    def high_water_bytes(self) -> int | None:
        return _status_bytes(self._root, b"VmHWM:")

    def holds(self, device: str) -> int | None:
        return sum(_has_open(pid, device) for pid in self._pids)

    def _total(self) -> float:
        """CPU seconds of root, of ended descendants and of living ones, as one snapshot.

        A child that is waited for between two reads would count twice or not at all, so the
        reads are repeated until no child was.
        """
        ended = living = 0.0
        for _ in range(5):
            ended = _ended_children_s()
            self._pids = [self._root, *_descendants(self._root, every_thread=True)]
            living = sum(_cpu_ticks(pid) for pid in self._pids[1:]) * self._tick_s
            if _ended_children_s() == ended:
                break
        return time.process_time() + ended + living


class HostProbe:
    """The whole machine, from /proc; every idle vCPU is charged."""

    def __init__(self) -> None:
        self._tick_s = 1 / os.sysconf("SC_CLK_TCK")
        self._busy_at_start_s = _host_busy_s(self._tick_s)
        self._start_ns = time.monotonic_ns()
        self.observe_cpu()
        self.observe_memory()

    def observe_cpu(self) -> None:
        now = time.monotonic_ns()
        busy = _host_busy_s(self._tick_s)
        vcpus = os.cpu_count() or 1
        self.cpu = CpuActivity(
            t_ns=now,
            used_s=busy - self._busy_at_start_s,
            charged_s=vcpus * (now - self._start_ns) / 1e9,
            busy_s=busy,
            vcpus=vcpus,
        )

    def observe_memory(self) -> None:
        sizes = {}
        with open("/proc/meminfo", "rb") as file:
            for line in file:
                name, value = line.split(b":", 1)
                sizes[name] = int(value.split()[0]) * 1024
        used = sizes[b"MemTotal"] - sizes[b"MemAvailable"]
        self.memory = MemoryActivity(time.monotonic_ns(), used, used)

    def high_water_bytes(self) -> int | None:
        return None

    def holds(self, device: str) -> int | None:
        return None


class PortableProbe:
    """This process where there is no /proc (macOS, Windows): less is known, and said so.

    Children count once they were waited for. Memory is the process's highest so far, an upper
    bound (macOS), or not known (Windows). Other work on the machine is not seen.
    """

    def __init__(self) -> None:
        self.observe_cpu()
        self.observe_memory()

    def observe_cpu(self) -> None:
        times = os.times()
        used = time.process_time() + times.children_user + times.children_system
        self.cpu = CpuActivity(time.monotonic_ns(), used, used, used, os.cpu_count() or 1)

    def observe_memory(self) -> None:
        highest = self.high_water_bytes()
        lowest = None if highest is None else 0
        self.memory = MemoryActivity(time.monotonic_ns(), highest, lowest)

    def high_water_bytes(self) -> int | None:
        try:
            import resource
        except ImportError:
            return None
        highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return highest if sys.platform == "darwin" else highest * 1024

    def holds(self, device: str) -> int | None:
        return 0


def _ended_children_s() -> float:
    import resource

    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime


def _read(path: str) -> bytes:
    """Content of a /proc file; empty when the process is gone, which is no error here."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def _descendants(pid: int, *, every_thread: bool) -> list[int]:
    """Living descendants of `pid`; without `every_thread` only those its first threads forked."""
    found: list[int] = []
    threads: list[str] = [str(pid)]
    if every_thread:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            threads = os.listdir(f"/proc/{pid}/task")
    for thread in threads:
        for child in map(int, _read(f"/proc/{pid}/task/{thread}/children").split()):
            found.append(child)
            found.extend(_descendants(child, every_thread=every_thread))
    return found


def _cpu_ticks(pid: int) -> int:
    """Clock ticks of a process and of the children that it waited for."""
    # the name in brackets may hold spaces; utime, stime, cutime, cstime are fields 14 to 17
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return sum(map(int, fields[11:15]))


def _resident_pages(pid: int) -> int:
    fields = _read(f"/proc/{pid}/statm").split()
    return int(fields[1]) if fields else 0


def _status_bytes(pid: int, key: bytes) -> int | None:
    for line in _read(f"/proc/{pid}/status").splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    return None


def _has_open(pid: int, device: str) -> bool:
    with contextlib.suppress(OSError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{fd}") == device:
                    return True
    return False


def _host_busy_s(tick_s: float) -> float:
    """CPU seconds of everybody since boot: user, nice, system, interrupts; no idle, no steal."""
    with open("/proc/stat", "rb") as file:
        fields = file.readline().split()
    return sum(int(fields[i]) for i in (1, 2, 3, 6, 7)) * tick_s
