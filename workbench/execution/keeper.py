"""Ends programs whose starter was killed and could not end them itself.

Run as `python -m workbench.execution.keeper`. On its standard input come the process groups to
watch over, a number a line, then `done` once the starter has ended them. An input that ends
without `done` means that the starter is gone: what it left is asked to end, then made to.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import IO

STOP_S = 10.0


def start_keeper() -> subprocess.Popen[str]:
    """Start one; it shares no terminal and no group with this process, whose end it outlives."""
    return subprocess.Popen(
        [sys.executable, "-m", __name__], stdin=subprocess.PIPE, text=True, start_new_session=True
    )


def watch(told: IO[str]) -> None:
    """Read what to keep until the starter is done or gone, then end what it left."""
    groups: set[int] = set()
    for line in told:
        if line.strip() == "done":
            return
        groups.add(int(line))
    _signal(groups, signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    while any(_lives(group) for group in groups) and time.monotonic() < deadline:
        time.sleep(0.1)
    _signal(groups, signal.SIGKILL)


def _signal(groups: Iterable[int], number: int) -> None:
    for group in groups:
        try:
            os.killpg(group, number)
        except ProcessLookupError:
            continue


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    watch(sys.stdin)
