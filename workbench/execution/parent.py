"""A stage never outlives what started it.

DVC removes outputs before a stage and hashes them after it; a stage that goes on writing after
`kill -9` of DVC would write into the next run's outputs. Signals cannot be relied on for that, so
the kernel is asked (Linux), or the parent is watched (elsewhere).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
_POLL_S = 0.2
_SHELLS = frozenset({"ash", "bash", "busybox", "dash", "fish", "ksh", "sh", "zsh"})


def die_with_parent() -> None:
    """Arrange that this process is killed (SIGKILL) as soon as its parent is gone.

    DVC starts a stage through `$SHELL -c`; some shells (dash) stay in between and survive DVC. So
    where the parent is such a go-between, the process behind it is watched as well.

    On Linux the parent is the *thread* that started this process: a program that starts stages
    must do so from a thread that waits for them, as `subprocess.run` does.
    """
    parent = os.getppid()
    if sys.platform != "linux":
        _in_background(_poll_parent, parent)
        return
    _ask_kernel()
    if os.getppid() != parent:  # it died before the kernel was asked
        _die()
    starter = _behind_shells(parent)
    if starter != parent:
        _watch_starter(starter, parent)


def _ask_kernel() -> None:
    """Let Linux send SIGKILL to this process when its parent dies."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


def _behind_shells(pid: int) -> int:
    """Return the nearest ancestor at or above `pid` that is no `sh -c` go-between."""
    while pid > 1 and _is_go_between(pid):
        pid = _parent_of(pid)
    return pid


def _is_go_between(pid: int) -> bool:
    """Tell whether `pid` is a shell that runs one command; an interactive shell is a starter."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    return Path(words[0]).name.lstrip("-") in _SHELLS and "-c" in words


def _parent_of(pid: int) -> int:
    """Parent of `pid` by /proc; dies when `pid`, one of our ancestors, is gone already."""
    try:
        # The name in parentheses may hold spaces and parentheses; the fields follow the last one.
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        _die()


def _watch_starter(starter: int, parent: int) -> None:
    """Die when `starter` does; `parent` is the shell between."""
    try:
        handle = os.pidfd_open(starter)
    except ProcessLookupError:
        _die()
    # The number could have been used again before the handle was opened.
    if _behind_shells(parent) != starter:
        _die()
    _in_background(_wait_for_end, handle)


def _wait_for_end(handle: int) -> NoReturn:
    """Block until the process behind a pidfd ended, then die."""
    import select

    ends = select.poll()
    ends.register(handle, select.POLLIN)
    ends.poll()
    _die()


def _poll_parent(parent: int) -> NoReturn:
    """Die once this process has been handed to another parent."""
    while os.getppid() == parent:
        time.sleep(_POLL_S)
    _die()


def _in_background(watch: Callable[[int], NoReturn], argument: int) -> None:
    """Run `watch` beside the work, without keeping the process alive."""
    threading.Thread(target=watch, args=(argument,), name="die-with-parent", daemon=True).start()


def _die() -> NoReturn:
    """End at once, as if the kernel had done it."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("SIGKILL was survived")
