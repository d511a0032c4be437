"""Spans for OpenTelemetry, where `OTEL_EXPORTER_OTLP_ENDPOINT` says to whom they go.

A span costs as much time as a quarter of a request, so most requests have none: those whose caller
traces them do, and of the others a share (`OTEL_TRACES_SAMPLER_ARG`, RATIO where it is not set).
What is not traced costs well under a microsecond.
"""

from __future__ import annotations

import os
import random
import re
from typing import TYPE_CHECKING, Any

from workbench.core.errors import MissingError, ParamsError
from workbench.serving.request import Receive, Scope, Send

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

    App = Callable[[Scope, Receive, Send], Awaitable[None]]

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
RATIO = 0.01
TIMEOUT_S = 3
"""Of one delivery: spans are not worth waiting for."""

_PARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-([0-9a-f]{2})")
_TOLD = {
    b"x-prediction-id": "workbench.prediction_id",
    b"x-release": "workbench.release",
    b"x-alias": "workbench.alias",
}


def is_wanted() -> bool:
    """Whether somebody is set to whom spans go."""
    return bool(os.environ.get(ENDPOINT)) and os.environ.get("OTEL_SDK_DISABLED") != "true"


class Traced:
    """An ASGI program whose requests leave spans; MissingError without OpenTelemetry."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.ratio = _ratio()
        self._provider = _provider()
        self._tracer = self._provider.get_tracer("workbench.serving")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            try:
                await self.app(scope, receive, send)
            finally:  # the end of the program's life
                self._provider.shutdown()
            return
        parent = None
        for name, value in scope["headers"]:
            if name == b"traceparent":
                parent = value
        found = _PARENT.fullmatch(parent) if parent else None
        is_traced = bool(int(found[1], 16) & 1) if found else random.random() < self.ratio
        if is_traced:
            await self._trace(scope, receive, send, parent if found else None)
        else:
            await self.app(scope, receive, send)

    async def _trace(
        self, scope: Scope, receive: Receive, send: Send, parent: bytes | None
    ) -> None:
        from opentelemetry.trace import SpanKind, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier = {"traceparent": parent.decode()} if parent else {}
        method = scope["method"][:20]
        with self._tracer.start_as_current_span(
            method,
            context=TraceContextTextMapPropagator().extract(carrier),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method, "url.path": scope["path"][:200]},
            record_exception=False,  # its text may quote an input
            set_status_on_exception=False,
        ) as span:

            async def told(message: Any) -> None:
                if message["type"] == "http.response.start":
                    _tell(span, scope, message)
                await send(message)

            try:
                await self.app(scope, receive, told)
            except Exception:
                span.set_status(StatusCode.ERROR)
                raise


def _tell(span: Span, scope: Scope, message: Any) -> None:
    """What the reply says of itself; its route is its name only where there is such a route."""
    from opentelemetry.trace import StatusCode

    status = message["status"]
    span.set_attribute("http.response.status_code", status)
    if status not in (404, 405):
        span.update_name(f"{scope['method'][:20]} {scope['path'][:200]}")
    if status >= 500:
        span.set_status(StatusCode.ERROR)
    for name, value in message["headers"]:
        if attribute := _TOLD.get(name):
            span.set_attribute(attribute, value.decode("latin-1"))


def _provider() -> TracerProvider:
    """Spans in batches to the endpoint, by a thread of its own."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON
    except ModuleNotFoundError as error:
        raise MissingError(
            f"{ENDPOINT} is set, but {error.name} is not installed.",
            fix="pip install 'workbench[tracing]', or unset it",
        ) from None
    name = os.environ.get("OTEL_SERVICE_NAME", "workbench")
    provider = TracerProvider(
        sampler=ALWAYS_ON,  # whether there is a span was decided before it costs anything
        resource=Resource.create({"service.name": name}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=TIMEOUT_S)))
    return provider


def _ratio() -> float:
    """The share of requests without a parent that are traced."""
    said = os.environ.get("OTEL_TRACES_SAMPLER_ARG", str(RATIO))
    try:
        ratio = float(said)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise ParamsError(
            f"OTEL_TRACES_SAMPLER_ARG is '{said[:40]}', not a share from 0 to 1.",
            fix="set it to 0.01 for one request in a hundred",
        )
    return ratio
