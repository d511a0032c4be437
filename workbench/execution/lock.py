"""Stage locks: two processes never write the same outputs.

A lock is a `flock` on a small file that names its holder. The kernel drops it when the holder
dies, however it dies, so a lock is never stale and never has to be broken by hand. The file itself
stays: deleting it would let two processes lock two different files of the same name.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from workbench.core.errors import BusyError
from workbench.core.secrets import private_folder

_POLL_S = 0.1


@contextlib.contextmanager
def hold(path: Path, what: str, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the lock at `path` for the block; `what` names it to people ("stage train of fraud").

    The lock does not reach programs that the block starts. Processes that it forks (data loaders)
    share it, so outputs stay guarded while such a process outlives a holder that was killed; the
    end of the block releases it for all of them.

    wait_s: how long to wait for another holder; 0 asks once.
    Raises BusyError, naming the holder's process, when the lock is not free in time.
    """
    private_folder(path.parent)
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _take(lock, path, what, wait_s)
        holder = os.getpid()
        try:
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{holder}\n".encode(), 0)
            yield
        finally:
            # A forked child that unwinds through this block must not free its parent's lock.
            if os.getpid() == holder:
                os.ftruncate(lock, 0)
                fcntl.flock(lock, fcntl.LOCK_UN)
    finally:
        os.close(lock)


def _take(lock: int, path: Path, what: str, wait_s: float) -> None:
    """Lock the open file `lock` or raise BusyError after `wait_s` seconds."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise _busy(os.pread(lock, 32, 0), path, what) from None
        time.sleep(_POLL_S)


def _busy(content: bytes, path: Path, what: str) -> BusyError:
    """Say who holds the lock, in words that fit what is known about that process."""
    pid = int(content) if content.strip().isdigit() else None
    if pid is None:
        return BusyError(f"The {what} is busy: another process holds {path}.", fix="try again")
    if is_alive(pid):
        return BusyError(
            f"The {what} is busy: process {pid} holds it.",
            kept="what that process does goes on undisturbed",
            fix=f"wait until it is done, or end it with `kill {pid}`",
        )
    return BusyError(
        f"The {what} is busy: process {pid} is gone, but a process that it forked still runs.",
        fix=f"find it with `fuser -v {path}` and end it",
    )


def is_alive(pid: int) -> bool:
    """Tell whether `pid` runs, whoever owns it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
