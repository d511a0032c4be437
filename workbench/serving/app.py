"""The ASGI program: paths to answers, without a framework between them.

For a small model HTTP is the cost, so predict routes are raw ASGI and msgspec; a framework would
more than double the time of a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

import workbench
from workbench.core.errors import BundleError, DataError, did_you_mean
from workbench.core.paths import Paths
from workbench.serving.answers import Dispatcher, record
from workbench.serving.columns import columns_of
from workbench.serving.local import refusal
from workbench.serving.models import Model, Models, load_models, stamp_of
from workbench.serving.passport import PassportLog
from workbench.serving.protocol import (
    check_outputs,
    columns_in,
    decode_any,
    decode_infer,
    decoded,
    encode,
    infer_response,
    metadata,
    rows_in,
)
from workbench.serving.session import check_finite

MAX_BODY = 8 << 20
MAX_ROWS = 10_000
POLL_S = 0.5
ROUTES = (
    "GET /v2, /v2/health/live, /v2/health/ready, /v2/models/NAME[/versions/V][/ready]; "
    "POST /v2/models/NAME[/versions/V]/infer, /predict/NAME"
)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Reply = tuple[int, bytes, str | None]
"""Status, JSON body and prediction id."""

_logger = logging.getLogger(__name__)


class Refused(Exception):
    """A request that gets no answer: status and one sentence."""

    def __init__(self, status: int, sentence: str, allow: str | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.allow = allow


class App:
    """Serves the champions that the pointer names, and the next ones as soon as it names them."""

    def __init__(self, paths: Paths, on_ready: Callable[[Models], None] | None = None) -> None:
        self.paths = paths
        self.models = Models()
        self.on_ready = on_ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        id: str | None = None
        allow: str | None = None
        try:
            status, body, id = await self._reply(scope, receive)
        except Disconnected:
            return
        except Refused as refused:
            status, allow = refused.status, refused.allow
            body = encode({"error": str(refused)})
        except DataError as error:
            status, body = 400, encode({"error": error.problem})
        except BundleError:
            _logger.exception("a model failed")
            status, body = 500, encode({"error": "The model failed; the server's log says why."})
        except Exception:
            _logger.exception("the server failed")
            status, body = 500, encode({"error": "The server failed; its log says why."})
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        if id:
            headers.append((b"x-prediction-id", id.encode()))
        if allow:
            headers.append((b"allow", allow.encode()))
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _reply(self, scope: Scope, receive: Receive) -> Reply:
        """Find the route; hot ones first, for those who may ask."""
        if reason := refusal(scope["headers"]):
            raise Refused(403, reason)
        match scope["path"].strip("/").split("/"):
            case ["v2", "models", name, "infer"] | ["v2", "models", name, "versions", _, "infer"]:
                _need(scope, "POST")
                return await self._infer(self._model(name, scope["path"]), scope, receive)
            case ["predict", name]:
                _need(scope, "POST")
                return await self._predict(self._model(name), receive)
            case ["v2"]:
                _need(scope, "GET")
                return _found(
                    {"name": "workbench", "version": workbench.__version__, "extensions": []}
                )
            case ["v2", "health", "live"]:
                _need(scope, "GET")
                return _found({"live": True})
            case ["v2", "health", "ready"]:
                _need(scope, "GET")
                return self._ready()
            case ["v2", "models", name, "ready"] | ["v2", "models", name, "versions", _, "ready"]:
                _need(scope, "GET")
                model = self._model(name, scope["path"])
                return _found({"name": name, "version": model.version, "ready": True})
            case ["v2", "models", name] | ["v2", "models", name, "versions", _]:
                _need(scope, "GET")
                return _found(metadata(self._model(name, scope["path"])))
            case [""]:
                _need(scope, "GET")
                return _found({"workbench": workbench.__version__, "addresses": self._addresses()})
        raise Refused(404, f"No such path. There are: {ROUTES}.")

    async def _infer(self, model: Model, scope: Scope, receive: Receive) -> Reply:
        body = await _body(receive)
        start = time.perf_counter()
        if any(name == b"inference-header-content-length" for name, _ in scope["headers"]):
            raise Refused(400, "Binary tensors are not spoken here: send `data` as JSON.")
        request = decoded(body, decode_infer)
        check_outputs(request, model.bundle)
        _check_rows(rows_in(request))
        columns, rows = columns_in(request, model.bundle)
        outputs = await self._answer(model, columns, rows)
        passport = record(self.log, model, columns, outputs, start)
        return 200, infer_response(model, request, passport.id, outputs), passport.id

    async def _predict(self, model: Model, receive: Receive) -> Reply:
        """Rows of named fields, or one row: then each output is a value, not a list."""
        body = await _body(receive)
        start = time.perf_counter()
        content = decoded(body, decode_any)
        rows = content.get("rows") if isinstance(content, dict) else None
        one = not isinstance(rows, list)
        if one:
            rows = [content]
        _check_rows(len(rows))
        columns = columns_of(rows, model.bundle.inputs)
        outputs = await self._answer(model, columns, len(rows))
        passport = record(self.log, model, columns, outputs, start)
        named = model.bundle.named(outputs)
        answer = {
            "id": passport.id,
            "pipeline": model.pipeline,
            "release": model.target.release,
            "outputs": {name: values[0] for name, values in named.items()} if one else named,
            "notice": model.bundle.signature.notice,
        }
        return 200, encode(answer), passport.id

    async def _answer(self, model: Model, columns: dict[str, Any], rows: int) -> Any:
        outputs = await self.dispatcher.run(model, columns, rows)
        check_finite(outputs)
        return outputs

    def _model(self, name: str, path: str = "") -> Model:
        """The model of that name, and version if the path has one; Refused with the known ones."""
        models = self.models
        model = models.by_name.get(name)
        if model is None:
            if not models.loaded:
                raise Refused(503, "The models are still being loaded.")
            if name in models.problems:
                raise Refused(503, f"'{name}' cannot be served: {models.problems[name]}")
            if not models.by_name:
                raise Refused(503, f"Nothing is released. {' '.join(models.problems.values())}")
            known = ", ".join(sorted(models.by_name))
            near = did_you_mean(name, models.by_name)
            raise Refused(404, f"No model '{name[:80]}'.{near} Served: {known}.")
        if "/versions/" in path:
            version = path.split("/versions/", 1)[1].split("/", 1)[0]
            if version != model.version:
                raise Refused(
                    404, f"'{name}' has no version '{version[:80]}' here. Served: {model.version}."
                )
        return model

    def _addresses(self) -> list[str]:
        """What to ask for, for who opens the server in a browser."""
        names = sorted(self.models.by_name)
        asked = (f"{what}/{name}" for name in names for what in ("GET /v2/models", "POST /predict"))
        return ["GET /v2/health/ready", *asked]

    def _ready(self) -> Reply:
        models = self.models
        problems = dict(models.problems)
        if not models.loaded:
            problems["models"] = "still being loaded and warmed up"
        elif not models.by_name and not problems:
            problems["models"] = "nothing is released; run `workbench release`"
        if self.log.trouble:
            problems["passports"] = self.log.trouble
        body = {
            "ready": models.ready,
            "models": {
                name: {"release": model.target.release, "digest": model.target.digest}
                for name, model in models.by_name.items()
            },
            "problems": problems,
            "passports_dropped": self.log.dropped,
        }
        return 200 if models.ready else 503, encode(body), None

    async def _live(self, receive: Receive, send: Send) -> None:
        """From start to stop of the server: load, watch the pointer, write what is left."""
        await receive()
        self.log = PassportLog(self.paths.predictions)
        self.dispatcher = Dispatcher()
        watch = asyncio.create_task(self._watch())
        try:
            await send({"type": "lifespan.startup.complete"})
            await receive()
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
        finally:  # whatever happened, what was answered is written down
            self.dispatcher.close()
            self.log.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _watch(self) -> None:
        """Swap in what a changed pointer names; a request under way keeps its model.

        Nothing but the end of the server ends it: what goes wrong is a problem until a later turn
        goes well.
        """
        failed = ""
        while True:
            try:
                if failed or not self.models.loaded or self._is_changed():
                    await self._load()
                failed = ""
            except Exception as error:
                said = f"{type(error).__name__}: {error}"
                if said != failed:
                    _logger.exception("%s cannot be watched", self.paths.pointer.name)
                failed = said
                problems = {self.paths.pointer.name: f"It cannot be watched: {said}"}
                self.models = dataclasses.replace(self.models, problems=problems, loaded=True)
            await asyncio.sleep(POLL_S)

    def _is_changed(self) -> bool:
        return stamp_of(self.paths.pointer) != self.models.stamp

    async def _load(self) -> None:
        self.models = await asyncio.to_thread(load_models, self.paths, self.models)
        for name, problem in self.models.problems.items():
            _logger.warning("%s: %s", name, problem)
        if self.on_ready is not None:
            self.on_ready(self.models)
            self.on_ready = None
        gc.collect()
        gc.freeze()  # what was loaded stays; the collector need not look at it again


class Disconnected(Exception):
    """The client went away before its body was complete."""


async def _body(receive: Receive) -> bytes:
    """Read the whole body; one over the limit is read to its end, but not kept, to be refused."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Disconnected
        part = message.get("body", b"")
        size += len(part)
        if size <= MAX_BODY:
            parts.append(part)
        more = message.get("more_body", False)
        if size > 8 * MAX_BODY or (size > MAX_BODY and not more):
            raise Refused(413, f"The body is larger than {MAX_BODY} bytes.")
        if not more:
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _check_rows(rows: int) -> None:
    """Before any work is done on them."""
    if rows > MAX_ROWS:
        raise Refused(413, f"{rows} rows in one request; send at most {MAX_ROWS}.")


def _need(scope: Scope, method: str) -> None:
    if scope["method"] != method:
        raise Refused(405, f"{scope['path'][:200]} takes {method}, not {scope['method']}.", method)


def _found(content: Any) -> Reply:
    return 200, encode(content), None
