"""One request and what it gets, without a framework between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from workbench.serving.door.headers import DATA, SECURITY

if TYPE_CHECKING:
    from workbench.serving.models import Model

MAX_BODY = 8 << 20
BODY_S = 30.0
"""Seconds from the head to the end of a body: who sends slower holds a place that others need."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]

JSON = b"application/json"
REHEARSAL = b"x-workbench-rehearsal"
encode = msgspec.json.Encoder().encode


class Refused(Exception):
    """A request that gets no answer: status and one sentence."""

    def __init__(self, status: int, sentence: str, headers: Headers = ()) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = headers


class Disconnected(Exception):
    """The client went away before its body was complete."""


@dataclass(frozen=True)
class Caller:
    """Who asks. name: of the key, or "local" where programs of this machine need none.

    roles: of its key. pipelines: that it may ask; all when there are none.
    """

    name: str = "local"
    is_admin: bool = True
    roles: frozenset[str] = frozenset()
    pipelines: frozenset[str] = frozenset()

    def may_ask(self, pipeline: str) -> bool:
        """Whether that pipeline is among those that it may ask."""
        return not self.pipelines or pipeline in self.pipelines

    def need(self, pipeline: str) -> None:
        """Refuse a pipeline that it may not ask."""
        if not self.may_ask(pipeline):
            may = ", ".join(sorted(self.pipelines))
            raise Refused(403, f"Key '{self.name}' may not ask '{pipeline[:80]}', only {may}.")


LOCAL = Caller()
ANYBODY = Caller("anybody", is_admin=False, pipelines=frozenset({""}))
"""Who came without a key where one is needed: sees that the server lives, and no pipeline."""


class Request:
    """A request whose head has come; its body is read when it is asked for.

    parts: of the path. caller: set once the request was let in. begun_s: `time.perf_counter`.
    model: the one that was asked for by its version, which then accounts for what goes wrong.
    """

    __slots__ = (
        "begun_s",
        "caller",
        "headers",
        "method",
        "model",
        "parts",
        "path",
        "receive",
        "scope",
    )

    def __init__(self, scope: Scope, receive: Receive, begun_s: float) -> None:
        self.scope = scope
        self.receive = receive
        self.begun_s = begun_s
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.parts = self.path.strip("/").split("/")
        self.model: Model | None = None
        self.caller = LOCAL
        self.headers: dict[bytes, bytes] = dict(scope["headers"])

    def header(self, name: bytes) -> bytes | None:
        """The last header of that name (in lower case); None without one."""
        return self.headers.get(name)

    @property
    def is_rehearsal(self) -> bool:
        """Whether it is asked by `workbench traffic` rather than by life."""
        return REHEARSAL in self.headers

    def need(self, method: str) -> None:
        """Refuse another method than `method`."""
        if self.method != method:
            raise Refused(
                405,
                f"{self.path[:200]} takes {method}, not {self.method}.",
                ((b"allow", method.encode()),),
            )

    async def body(self) -> bytes:
        """The whole body; one over the limit is read to its end, but not kept, to be refused."""
        message = await self.receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            body = message.get("body", b"")
            if len(body) <= MAX_BODY:
                return body
        try:
            async with asyncio.timeout(BODY_S):
                return await self._rest(message)
        except TimeoutError:
            raise Refused(
                408, f"The body did not come within {BODY_S:.0f} seconds.", CLOSE
            ) from None

    async def _rest(self, message: MutableMapping[str, Any]) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            if message["type"] != "http.request":
                raise Disconnected
            part = message.get("body", b"")
            size += len(part)
            if size <= MAX_BODY:
                parts.append(part)
            more = message.get("more_body", False)
            if size > 8 * MAX_BODY or (size > MAX_BODY and not more):
                raise Refused(413, f"The body is larger than {MAX_BODY} bytes.", CLOSE)
            if not more:
                return b"".join(parts)
            message = await self.receive()


CLOSE: Headers = ((b"connection", b"close"),)


_JSON_HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    + b"".join(b"%s: %s\r\n" % header for header in ((b"content-type", JSON), *DATA))
    + b"content-length: "
)
"""What stands before the length in the head of most answers."""


@dataclass(slots=True)
class Reply:
    """What a request gets. body: whole, or parts as they come (a stream)."""

    body: bytes | AsyncIterator[bytes]
    status: int = HTTPStatus.OK
    headers: Headers = ()
    media: bytes = JSON

    async def send(self, send: Send) -> None:
        """Write it out; a stream part by part."""
        if self.status == HTTPStatus.OK and self.media is JSON and isinstance(self.body, bytes):
            # Brings uvicorn, which is there when a server sends, and whoever predicts needs none.
            from workbench.serving.wire import write_whole

            own = b"".join([b"%s: %s\r\n" % header for header in self.headers])
            if write_whole(send, b"%s%d\r\n%s" % (_JSON_HEAD, len(self.body), own), self.body):
                return
        security = SECURITY if self.media.startswith(b"text/html") else DATA
        headers = [(b"content-type", self.media), *security, *self.headers]
        if isinstance(self.body, bytes):
            headers.append((b"content-length", b"%d" % len(self.body)))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        if isinstance(self.body, bytes):
            await send({"type": "http.response.body", "body": self.body})
            return
        async for part in self.body:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def found(content: Any, status: int = HTTPStatus.OK) -> Reply:
    """`content` as JSON."""
    return Reply(encode(content), status)
