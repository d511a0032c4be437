"""Measure commands as whole processes: processor seconds and peak memory, alternating, medians."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Measured:
    """Medians over runs. cpu_s: user and system, children included."""

    cpu_s: float
    wall_s: float
    peak_mb: float


@dataclass(frozen=True)
class Row:
    """One line of the benchmark table."""

    what: str
    ours: str
    other: str
    ratio: str
    target: str
    holds: bool | None


def alternate(
    commands: dict[str, Sequence[str]],
    *,
    runs: int = 5,
    cwd: Path = ROOT,
    env: dict[str, str] | None = None,
    warm: int = 1,
) -> dict[str, Measured]:
    """Run the commands in turn, A B A B ..., after a warm-up; return medians by name."""
    seen: dict[str, list[Measured]] = {name: [] for name in commands}
    for number in range(runs + warm):
        for name, command in commands.items():
            one = once(command, cwd=cwd, env=env)
            if number >= warm:
                seen[name].append(one)
    return {
        name: Measured(
            *(statistics.median(getattr(m, f) for m in ms) for f in ("cpu_s", "wall_s", "peak_mb"))
        )
        for name, ms in seen.items()
    }


def once(
    command: Sequence[str], *, cwd: Path = ROOT, env: dict[str, str] | None = None
) -> Measured:
    """Run one command to its end; RuntimeError with its output if it fails."""
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None  # asked for above
    output = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{output.decode()[-2000:]}")
    peak_kb = used.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return Measured(used.ru_utime + used.ru_stime, time.monotonic() - began, peak_kb / 1024)


def show(title: str, rows: Sequence[Row]) -> None:
    """Print a Markdown table, ready for the README."""
    print(f"\n**{title}**\n\n| what | ours | other | ratio | target | holds |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        holds = {True: "yes", False: "**no**", None: ""}[row.holds]
        print(f"| {row.what} | {row.ours} | {row.other} | {row.ratio} | {row.target} | {holds} |")
