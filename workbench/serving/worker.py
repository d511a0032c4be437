"""A thread of a model's own, so that one that hangs holds up no other."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple

END_S = 5.0
"""Seconds that a call under way is given to end at the end of the server."""


class _Job(NamedTuple):
    work: Callable[[], Any]
    then: Callable[[Any], None]
    loop: asyncio.AbstractEventLoop


class Worker:
    """Does jobs one after the other, on a thread that ends with it and never outlives the process.

    The standard library's executors wait at the end of the process for calls that hang.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        # The thread knows the jobs, not the worker: what nobody needs any more can be collected.
        self._thread = threading.Thread(target=_work, args=(self._jobs,), name="model", daemon=True)
        self._thread.start()
        weakref.finalize(self, self._jobs.put, None)

    def submit(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Do `work`, then call `then` on this event loop with what it returned or raised."""
        self._jobs.put(_Job(work, then, asyncio.get_running_loop()))

    def end(self) -> None:
        """End once all jobs are done, or without the one that does not end."""
        self._jobs.put(None)
        self._thread.join(END_S)


def _work(jobs: SimpleQueue[_Job | None]) -> None:
    while job := jobs.get():
        try:
            found = job.work()
        except Exception as error:
            found = error
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            job.loop.call_soon_threadsafe(job.then, found)
        del job, found  # while it waits for the next one, it keeps no model in memory
