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
from collections.abc import Callable, Sequence

from workbench.core.errors import BundleError, DataError
from workbench.core.paths import Paths
from workbench.serving import exposition
from workbench.serving.door.door import Door
from workbench.serving.door.routes import need_of
from workbench.serving.logs import Refusals, tell_loaded
from workbench.serving.models import Models, load_models, stamp_of
from workbench.serving.pages import form
from workbench.serving.protocols import (
    feedback,
    inference,
    mlflow,
    openai,
    openapi,
    plain,
    repository,
)
from workbench.serving.protocols.errors import shaped
from workbench.serving.request import (
    Caller,
    Disconnected,
    Headers,
    Receive,
    Refused,
    Reply,
    Request,
    Scope,
    Send,
    encode,
)
from workbench.serving.service import Observer, Service
from workbench.serving.settings import Settings
from workbench.serving.stats import Stats
from workbench.storage.predictions.log import PassportLog

POLL_S = 0.5
ROUTES = (
    "GET /v2, /v2/health/live, /v2/health/ready, /v2/models/NAME[/versions/V][/ready], /metrics, "
    "/openapi.json, /try/NAME, /v1/models; POST /v2/models/NAME[/versions/V]/infer, /predict/NAME, "
    "/feedback, /invocations/NAME, /v1/chat/completions, /v1/embeddings, /v2/repository/index"
)

_logger = logging.getLogger(__name__)


class App:
    """Serves the champions that the pointer names, and the next ones as soon as it names them."""

    def __init__(
        self,
        paths: Paths,
        on_ready: Callable[[Models], None] | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.paths = paths
        self.on_ready = on_ready
        self.observers = observers
        self.door = Door(paths)
        self.settings = Settings(paths)
        self.refusals = Refusals()
        self.service: Service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        request = Request(scope, receive, time.perf_counter())
        try:
            reply = await self._reply(request)
        except Disconnected:
            return
        except Exception as error:
            reply = self._refuse(request, error)
        await reply.send(send)

    async def _reply(self, request: Request) -> Reply:
        """Find the route; hot ones first, for those who may ask."""
        service = self.service
        request.caller = self.door.admit(request, need_of(request.parts))
        match request.parts:
            case ["v2", "models", name, "infer"]:
                return await inference.infer(service, request, name, None)
            case ["predict", name]:
                return await plain.predict(service, request, name)
            case ["v2", "models", name, "versions", version, "infer"]:
                return await inference.infer(service, request, name, version)
            case ["v2"]:
                return inference.server(request)
            case ["feedback"]:
                return await feedback.feedback(service, request)
            case ["metrics"]:
                return exposition.metrics(service, self.stats, self.paths.monitoring, request)
            case ["v2", "health", "live"]:
                return inference.live(request)
            case ["v2", "health", "ready"]:
                return inference.ready(service, request, self._troubles())
            case ["v2", "models", name, "ready"]:
                return inference.model_ready(service, request, name, None)
            case ["v2", "models", name, "versions", version, "ready"]:
                return inference.model_ready(service, request, name, version)
            case ["v2", "models", name]:
                return inference.model_metadata(service, request, name, None)
            case ["v2", "models", name, "versions", version]:
                return inference.model_metadata(service, request, name, version)
            case [""]:
                return plain.welcome(service, request)
            case ["invocations"]:
                return await mlflow.invocations(service, request, None)
            case ["invocations", name]:
                return await mlflow.invocations(service, request, name)
            case ["ping" | "health"]:
                return mlflow.ping(service, request)
            case ["version"]:
                return mlflow.version(request)
            case ["v1", "chat", "completions"]:
                return await openai.chat(service, request)
            case ["v1", "embeddings"]:
                return await openai.embeddings(service, request)
            case ["v1", "models"]:
                return openai.models(service, request)
            case ["v1", "models", name]:
                return openai.models(service, request, name)
            case ["v2", "repository", "index"]:
                return await repository.index(service, request)
            case ["v2", "repository", "models", name, "load"]:
                return await repository.load(service, self.paths, request, name)
            case ["v2", "repository", "models", name, "unload"]:
                return await repository.unload(service, self.paths, request, name)
            case ["openapi.json"]:
                return openapi.document(service, request)
            case ["try", _]:
                return form.page(request)
            case ["try", name, "signature"]:
                return form.signature(service, request, name)
        raise Refused(404, f"No such path. There are: {ROUTES}.")

    def _refuse(self, request: Request, error: Exception) -> Reply:
        """The error as a reply, and a word to the observers."""
        headers: Headers = ()
        if isinstance(error, Refused):
            status, said, headers = error.status, str(error), error.headers
        elif isinstance(error, DataError):
            status, said = 400, error.problem
        elif isinstance(error, RecursionError):
            status, said = 400, "The body is nested too deeply."
        elif isinstance(error, BundleError):
            _logger.error("a model failed", exc_info=error)
            status, said = 500, "The model failed; the server's log says why."
        else:
            _logger.error("the server failed", exc_info=error)
            status, said = 500, "The server failed; its log says why."
        served = self.service.models.by_name
        named = next((served[part] for part in request.parts if part in served), None)
        model = request.model or named
        for observer in self.service.observers:
            observer.refused(
                model, status, time.perf_counter() - request.begun_s, request.is_rehearsal
            )
        id = self.refusals.tell(request, status, model, error)
        body = encode(shaped(request.parts, status, said))
        return Reply(body, status, (*headers, (b"x-request-id", id)))

    async def _live(self, receive: Receive, send: Send) -> None:
        """From start to stop of the server: load, watch the pointer, write what is left."""
        await receive()
        log = PassportLog(self.paths.predictions, self.settings.log, compacting=True)
        service = self.service = Service(log)
        self.stats = Stats(
            self.paths.serving_windows, lambda: self.service.models.all, self._charge
        )
        service.observers += [self.stats, *self.observers]
        service.batcher.on_batch = self.stats.batched
        watch = asyncio.create_task(self._watch())
        self.door.open()
        try:
            await send({"type": "lifespan.startup.complete"})
            await receive()
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
        finally:  # whatever happened, what was answered is written down
            service.close()
            self.stats.flush()
            await self.door.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _watch(self) -> None:
        """Swap in what a changed pointer names; a request under way keeps its model.

        Nothing but the end of the server ends it: what goes wrong is a problem until a later turn
        goes well.
        """
        failed = ""
        service = self.service
        while True:
            try:
                if failed or not service.models.loaded or self._is_changed():
                    await self._load()
                if self.stats.due:
                    self.stats.flush()
                self.settings.look()
                failed = ""
            except Exception as error:
                said = f"{type(error).__name__}: {error}"
                if said != failed:
                    _logger.exception("%s cannot be watched", self.paths.pointer.name)
                failed = said
                problems = {self.paths.pointer.name: f"It cannot be watched: {said}"}
                service.models = dataclasses.replace(service.models, problems=problems, loaded=True)
            await asyncio.sleep(POLL_S)

    def _troubles(self) -> dict[str, str]:
        """What is wrong around the models, by name, for readiness to say."""
        return {
            "passports": self.service.log.trouble,
            "windows": self.stats.trouble,
            "keys": self.door.trouble,
            "params.yaml": self.settings.trouble,
        }

    def _charge(self, caller: Caller, seconds: float) -> None:
        """What a caller's answers took of this machine, in money, where its price is known."""
        if self.settings.usd_per_s is not None:
            self.door.charge(caller, seconds * self.settings.usd_per_s)

    def _is_changed(self) -> bool:
        return stamp_of(self.paths.pointer) != self.service.models.stamp

    async def _load(self) -> None:
        service = self.service
        before = service.models
        service.models = await asyncio.to_thread(load_models, self.paths, before)
        for name, problem in service.models.problems.items():
            _logger.warning("%s: %s", name, problem)
        if self.on_ready is None:
            tell_loaded(before, service.models)
        else:  # the first time a person is told in words
            self.on_ready(service.models)
            self.on_ready = None
        gc.collect()
        gc.freeze()  # what was loaded stays; the collector need not look at it again
