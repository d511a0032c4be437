"""Alerts by HTTP to wherever people look: one POST of JSON for each, tried again while it fails.

A thread of its own does it, so that no slow receiver holds up who watches.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import urllib.error
import urllib.request
from typing import Any

TIMEOUT_S = 3.0
WAITS_S = (1.0, 5.0, 30.0)
"""Before each further try."""

MAX_WAITING = 1000
CLOSE_S = 5.0

_logger = logging.getLogger(__name__)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """What an alert says goes to the address that was set, and to no other."""

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> None:
        return None  # so that it is an error like any other

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


class Webhook:
    """Posts to the address in the environment variable `env`, which is never shown."""

    def __init__(self, env: str) -> None:
        self.env = env
        self._opener = urllib.request.build_opener(_NoRedirects)
        self._waiting: queue.Queue[bytes | None] = queue.Queue(MAX_WAITING)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)
        self._thread.start()

    def post(self, body: bytes) -> None:
        """Hand one message over; when too many wait, it is dropped, and that is said."""
        try:
            self._waiting.put_nowait(body)
        except queue.Full:
            _logger.warning("an alert was dropped: %d others wait for %s", MAX_WAITING, self.env)

    def close(self) -> None:
        """Give what waits one more try, for CLOSE_S seconds at most."""
        self._closing.set()
        self.post_end()
        self._thread.join(CLOSE_S)

    def post_end(self) -> None:
        """Let the thread end after what waits now."""
        try:
            self._waiting.put_nowait(None)
        except queue.Full:
            return  # it is a daemon

    def _run(self) -> None:
        while (body := self._waiting.get()) is not None:
            self._deliver(body)

    def _deliver(self, body: bytes) -> None:
        problem = self._try(body)
        for wait_s in WAITS_S:
            if problem is None:
                return
            if self._closing.wait(wait_s):
                break
            problem = self._try(body)
        if problem is not None:
            _logger.error(
                "an alert could not be posted to the address in %s: %s", self.env, problem
            )

    def _try(self, body: bytes) -> str | None:
        """Post once; why it failed, without the address."""
        address = os.environ.get(self.env, "")
        if not address.startswith(("http://", "https://")):
            return "it is not set to an address that begins with http:// or https://"
        headers = {"content-type": "application/json", "user-agent": "workbench"}
        try:
            request = urllib.request.Request(address, body, headers, method="POST")
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                answer.read(1024)
        except urllib.error.HTTPError as error:
            error.close()
            return f"it answered {error.code}"
        except (OSError, ValueError) as error:
            # urllib's errors may name the host, and some the whole address.
            reason = getattr(error, "reason", error)
            return (
                reason.strerror
                if isinstance(reason, OSError) and reason.strerror
                else (type(reason).__name__)
            )
        return None
