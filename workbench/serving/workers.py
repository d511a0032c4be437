"""Several processes behind one socket: a parent that starts them, watches them and ends them.

Each worker is a whole server; they share the listening socket, and files where they must agree
(limits, counters). One that ends is started again, so a crash costs the requests under way in it
and no more.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workbench.execution.parent import die_with_parent
from workbench.serving.server import serve

if TYPE_CHECKING:
    from workbench.core.paths import Paths
    from workbench.serving.models import Models
    from workbench.serving.tls import Tls

AGAIN_S = 1.0
"""A worker that ended is started again no sooner than this after it was started."""

_logger = logging.getLogger(__name__)


def serve_workers(
    paths: Paths,
    listening: socket.socket,
    workers: int,
    on_ready: Callable[[Models], None] | None = None,
    tls: Tls | None = None,
    *,
    access_log: bool = False,
) -> None:
    """Answer on `listening` with that many processes until SIGTERM or SIGINT.

    One answers in this very process. `on_ready` is called in the first of them. Returns when all
    have drained and ended.
    """
    if workers == 1:
        serve(paths, listening, on_ready, tls, access_log=access_log)
        return
    started: dict[int, tuple[int, float]] = {}
    stopping = False

    def start(number: int) -> None:
        pid = os.fork()
        if pid:
            started[pid] = number, time.monotonic()
            return
        code = 1
        try:
            for signum in (signal.SIGTERM, signal.SIGINT):
                signal.signal(signum, signal.SIG_DFL)
            die_with_parent()
            ready = on_ready if number == 0 else None
            serve(paths, listening, ready, tls, access_log=access_log)
            code = 0
        except Exception:
            _logger.exception("worker %s failed", number)
        finally:
            os._exit(code)  # what the parent has open is the parent's to close

    def stop(signum: int, _: Any) -> None:
        nonlocal stopping
        stopping = True
        for pid in started:
            os.kill(pid, signal.SIGTERM)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        for number in range(workers):
            start(number)
        while started:
            pid, status = os.wait()
            number, since_s = started.pop(pid, (None, 0.0))
            if number is None or stopping:
                continue
            code = os.waitstatus_to_exitcode(status)
            _logger.error("worker %s ended with %s; it is started again", number, code)
            time.sleep(max(0.0, AGAIN_S - (time.monotonic() - since_s)))
            if not stopping:
                start(number)
    finally:
        listening.close()
        for signum, handler in before.items():
            signal.signal(signum, handler)
