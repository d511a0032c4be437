"""A client of a running server: `wb.client("http://localhost:8000").predict("fraud", row)`.

It knows no model and needs none of their libraries; it can be imported anywhere.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

from workbench.core.errors import BusyError, DataError, MissingError, ReleaseError, StateError

if TYPE_CHECKING:
    import httpx

KEY_VARIABLE = "WORKBENCH_KEY"
RETRIES = 4
"""Times that a request is sent again which the server had no time or no budget for."""
PATIENCE_S = 30.0
"""Seconds that are waited for before one of them: a server that says later is not waited for."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """What a pipeline said to one row, or to several.

    id: of the prediction, for `feedback` and for `workbench explain`. outputs: by name; a value
    each for one row, a list with an entry a row for several. notice: what the pipeline says with
    every answer. warnings: inputs beyond what training saw.
    """

    id: str
    pipeline: str
    release: int
    outputs: dict[str, Any]
    notice: str = ""
    warnings: tuple[str, ...] = ()

    def __getitem__(self, output: str) -> Any:
        return self.outputs[output]


@dataclass(frozen=True)
class Served:
    """A pipeline that a server answers for.

    inputs, outputs: the datatype by name, as the Open Inference Protocol calls it.
    """

    pipeline: str
    release: int
    interface: str
    notice: str
    inputs: dict[str, str] = field(default_factory=dict[str, str])
    outputs: dict[str, str] = field(default_factory=dict[str, str])


class Client:
    """Asks one server; keeps its connection. Use it in a `with`, or close it."""

    def __init__(self, url: str, key: str | None = None, *, timeout_s: float = 30.0) -> None:
        """Connect to nothing yet; MissingError when httpx is not installed.

        key: left out, the variable WORKBENCH_KEY of the environment, if it is set.
        """
        try:
            import httpx
        except ImportError:
            raise MissingError("The client needs httpx.", fix="run `pip install httpx`") from None
        key = key or os.environ.get(KEY_VARIABLE)
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self.url = url.rstrip("/")
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=timeout_s)

    @overload
    def predict(self, pipeline: str, rows: Row) -> Answer: ...
    @overload
    def predict(self, pipeline: str, rows: Sequence[Row]) -> Answer: ...
    def predict(self, pipeline: str, rows: Row | Sequence[Row]) -> Answer:
        """Answer one row of named fields, or several at once.

        DataError names a field that does not fit; ReleaseError when the pipeline is not served;
        BusyError when the server has no time, or the key no budget, even after waiting.
        """
        one = isinstance(rows, Mapping)
        content = dict(rows) if one else {"rows": [dict(row) for row in rows]}
        said = self._ask("POST", f"/predict/{_quoted(pipeline)}", content)
        return Answer(
            id=said["id"],
            pipeline=said["pipeline"],
            release=said["release"],
            outputs=said["outputs"],
            notice=said.get("notice", ""),
            warnings=tuple(said.get("warnings", ())),
        )

    def models(self) -> list[Served]:
        """The pipelines that this key may ask, with their inputs and outputs."""
        cards = self._ask("GET", "/v1/models")["data"]
        return [self._served(card) for card in cards]

    def ready(self) -> bool:
        """Whether every released pipeline is answered for; False when nobody answers at all."""
        import httpx

        with contextlib.suppress(httpx.TransportError):
            return self._http.get("/v2/health/ready").status_code == 200
        return False

    def feedback(self, id: str, outcome: Any) -> None:
        """Tell what turned out to be true of prediction `id`: quality is judged by it."""
        self._ask("POST", "/feedback", {"id": id, "outcome": outcome})

    def close(self) -> None:
        """End the connection."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _served(self, card: Mapping[str, Any]) -> Served:
        about = self._ask("GET", f"/v2/models/{_quoted(card['id'])}")
        return Served(
            pipeline=card["id"],
            release=card["release"],
            interface=card["interface"],
            notice=card["notice"],
            inputs={one["name"]: one["datatype"] for one in about["inputs"]},
            outputs={one["name"]: one["datatype"] for one in about["outputs"]},
        )

    def _ask(self, method: str, path: str, content: Any = None) -> Any:
        """Ask, wait where the server says so and ask again; the answer, or an error that says why.

        Only what was not begun is sent again: 429 and 503 say that nothing was done.
        """
        body = None if content is None else _encoded(content)
        reply = self._send(method, path, body)
        for _ in range(RETRIES):
            wait_s = _wait_s(reply)
            if wait_s is None or wait_s > PATIENCE_S:
                break
            time.sleep(wait_s)
            reply = self._send(method, path, body)
        if reply.is_success:
            return reply.json()
        raise _error(reply)

    def _send(self, method: str, path: str, body: bytes | None) -> httpx.Response:
        import httpx

        headers = {} if body is None else {"content-type": "application/json"}
        try:
            return self._http.request(method, path, content=body, headers=headers)
        except httpx.TimeoutException:
            raise BusyError(
                f"{self.url} did not answer within {self._http.timeout.read} s.",
                fix="ask for fewer rows at once, or give the client a longer timeout_s",
            ) from None
        except httpx.TransportError as error:
            raise MissingError(
                f"Nothing answers at {self.url}: {error}.",
                fix="start it with `workbench serve`, or give its address",
            ) from None


def client(url: str, key: str | None = None, *, timeout_s: float = 30.0) -> Client:
    """Return a client of the server at `url`, such as `http://localhost:8000`.

    key: left out, the variable WORKBENCH_KEY of the environment. timeout_s: of one request.
    """
    return Client(url, key, timeout_s=timeout_s)


def _wait_s(reply: httpx.Response) -> float | None:
    """How long the server says to wait; None where it does not: then a moment changes nothing."""
    if reply.status_code not in (429, 503):
        return None
    with contextlib.suppress(ValueError):
        return max(0.0, float(reply.headers.get("retry-after", "")))
    return None


def _error(reply: httpx.Response) -> Exception:
    """The server's own sentence as the error of its kind."""
    said = _sentence(reply)
    if reply.status_code in (401, 403):
        return StateError(said, fix=f"give a key that may, as `key=` or in {KEY_VARIABLE}")
    if reply.status_code == 404:
        return ReleaseError(said)
    if reply.status_code in (408, 429, 503):
        return BusyError(said, fix="ask again later")
    if reply.status_code >= 500:
        return StateError(said, fix="look at the log of the server")
    return DataError(said)


def _sentence(reply: httpx.Response) -> str:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(reply.json()["error"])
    return f"{reply.url} answered {reply.status_code} without a reason."


def _encoded(content: Any) -> bytes:
    """JSON, with numpy's scalars and arrays and with times as they are read here."""
    import msgspec

    return msgspec.json.encode(content, enc_hook=_plain)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        is_time = value.dtype.kind == "M"  # of which numpy would make nanoseconds
        return (value.astype("datetime64[s]") if is_time else value).tolist()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise DataError(f"A value of type {type(value).__name__} cannot be sent.")


def _quoted(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="")
