"""HTTP with bounds: what a client may send before anyone has looked at what it wants.

uvicorn bounds none of this: headers of any length, sent over any time, and as many pipelined
requests as fit into memory.
"""

from __future__ import annotations

from asyncio import TimerHandle, Transport
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MAX_HEAD = 64 << 10
"""Bytes of one request line with its headers."""
MAX_BESIDE = 1 << 20
"""Bytes that are no body of one request: its head, the frames of its chunks, its trailers."""
MAX_WAITING = 32
"""Requests on one connection that wait for the answer to the one before."""
HEAD_S = 10.0
"""Seconds for a whole head, from the start of a connection or from the head's first byte."""
MAX_CONNECTIONS = 512
"""Above it requests are answered with 503."""

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class _Refused(Exception):
    """Ends the parsing of a connection that is over a bound."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which closes a connection that is over a bound.

    A subclass, because uvicorn offers no other place. Costs a few attribute accesses a request.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._beside = self._received = self._body = 0
        self._too_large = False
        self._late: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._late = self.loop.call_later(HEAD_S, self._on_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_time()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received, self._body = len(data), 0
        super().data_received(data)
        self._beside += max(0, self._received - self._body)
        if self._beside > (MAX_HEAD if self._in_head else MAX_BESIDE):
            self._refuse()
        elif self._in_head and self._late is None and self._beside:
            self._late = self.loop.call_later(HEAD_S, self._on_late)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._beside = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # trailers say nothing that is read here
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._on_time()
        if self._beside + self._received > MAX_HEAD:
            sizes = (len(name) + len(value) + 4 for name, value in self.headers)
            self._too_large = len(self.url) + sum(sizes) > MAX_HEAD
        if self._too_large or len(self.pipeline) >= MAX_WAITING:
            raise _Refused
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head = True
        # What of these bytes belongs to the next message is not known; they are one read at most.
        self._beside, self._received, self._body = 0, 0, 0

    def send_400_response(self, msg: str) -> None:
        """Also what ends a `_Refused`, which the parser turns into an error of its own."""
        if self._is_answering():
            self.transport.close()  # an answer now would be taken for that to an earlier request
        elif self._too_large:
            self._refuse()
        else:
            super().send_400_response(msg)

    def _refuse(self) -> None:
        if self.transport.is_closing():
            return
        if not self._is_answering():
            self.transport.write(_TOO_LARGE)
        self.transport.close()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _on_late(self) -> None:
        self._late = None
        if not self.transport.is_closing():
            self.transport.close()

    def _on_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def write_whole(send: Callable[..., Any], head: bytes, body: bytes) -> bool:
    """Write a whole response at once, where `send` is uvicorn's own and nothing is in its way.

    head: status line and headers, all but the date and the empty line at its end, with a true
    content-length. uvicorn writes head and body by a system call each, and looks at every header
    with two regular expressions: a third of what a small answer costs. False: nothing was written.
    """
    cycle = getattr(send, "__self__", None)
    if type(cycle) is not RequestResponseCycle or not (
        cycle.keep_alive
        and not cycle.response_started
        and not cycle.disconnected
        and not cycle.flow.write_paused
        and cycle.scope["method"] != "HEAD"
    ):
        return False
    dates = b"".join(b"%s: %s\r\n" % header for header in cycle.default_headers)
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.transport.write(b"%s%s\r\n%s" % (head, dates, body))
    cycle.message_event.set()
    cycle.on_response()
    return True
