from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.serving import bundles
from workbench.core.errors import MissingError, ParamsError
from workbench.serving import tracing
from workbench.serving.tracing import ENDPOINT, Traced, is_wanted

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector:
    """A collector as OpenTelemetry's: takes protobuf over HTTP."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.requests: list[ExportTraceServiceRequest] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    import gzip

                    body = gzip.decompress(body)
                collector.paths.append(self.path)
                collector.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    @property
    def spans(self) -> list:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def attributes(span) -> dict:
    return {item.key: item.value.int_value or item.value.string_value for item in span.attributes}


@pytest.fixture
def collector(monkeypatch) -> Iterator[Collector]:
    made = Collector()
    monkeypatch.setenv(ENDPOINT, made.address)
    yield made
    made.close()


async def _app(scope, receive, send) -> None:
    """Answers 200, or what the path says."""
    if scope["type"] == "lifespan":
        return
    status = int(scope["path"][1:]) if scope["path"][1:].isdigit() else 200
    headers = [(b"x-prediction-id", b"p-1"), (b"x-release", b"7"), (b"x-alias", b"champion")]
    if scope["path"] == "/raise":
        raise RuntimeError("4111-secret")
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def ask(traced: Traced, path="/predict/fraud", *headers):
    sent = []

    async def send(message) -> None:
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b""}

    scope = {"type": "http", "method": "POST", "path": path, "headers": [*headers]}
    asyncio.run(traced(scope, receive, send))
    return sent


def end(traced: Traced) -> None:
    """The end of the program's life, at which spans that wait are sent."""
    asyncio.run(traced({"type": "lifespan"}, None, None))


def test_a_request_whose_caller_traces_it_is_a_span_of_that_trace(collector, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    traced = Traced(_app)
    ask(traced, "/predict/fraud", (b"traceparent", f"00-{TRACE}-{PARENT}-01".encode()))
    end(traced)
    (span,) = collector.spans
    assert collector.paths == ["/v1/traces"]
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert span.name == "POST /predict/fraud"
    assert span.end_time_unix_nano >= span.start_time_unix_nano
    assert attributes(span) == {
        "http.request.method": "POST",
        "url.path": "/predict/fraud",
        "http.response.status_code": 200,
        "workbench.prediction_id": "p-1",
        "workbench.release": "7",
        "workbench.alias": "champion",
    }


@pytest.mark.parametrize("parent", [f"00-{TRACE}-{PARENT}-00", "nonsense", ""])
def test_what_is_not_sampled_leaves_no_span_and_its_answer_is_the_same(
    collector, monkeypatch, parent
):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    traced = Traced(_app)
    sent = ask(traced, "/predict/fraud", (b"traceparent", parent.encode()))
    end(traced)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert collector.spans == []


def test_a_share_of_the_requests_without_a_parent_is_traced(collector, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.25")
    monkeypatch.setattr(tracing.random, "random", iter([0.1, 0.3, 0.2, 0.9]).__next__)
    traced = Traced(_app)
    for _ in range(4):
        ask(traced)
    end(traced)
    assert len(collector.spans) == 2
    assert len({span.trace_id for span in collector.spans}) == 2


def test_failures_are_marked_and_unknown_paths_name_no_span(collector, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "1")
    traced = Traced(_app)
    ask(traced, "/503")
    ask(traced, "/404")
    with pytest.raises(RuntimeError):
        ask(traced, "/raise")
    end(traced)
    failed, unknown, raised = collector.spans
    assert failed.status.code == raised.status.code == Status.STATUS_CODE_ERROR
    assert (failed.name, unknown.name) == ("POST /503", "POST")
    assert all(b"4111-secret" not in request.SerializeToString() for request in collector.requests)


def test_a_collector_that_is_away_stops_neither_answers_nor_the_end(monkeypatch):
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "1")
    monkeypatch.setattr(tracing, "TIMEOUT_S", 0.2)
    traced = Traced(_app)
    assert ask(traced)[0]["status"] == 200
    end(traced)


def test_nothing_is_traced_where_nobody_is_set_to_whom_spans_go(monkeypatch):
    monkeypatch.delenv(ENDPOINT, raising=False)
    assert not is_wanted()
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:4318")
    assert is_wanted()
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert not is_wanted()


def test_a_missing_package_is_said_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:4318")
    monkeypatch.setitem(
        __import__("sys").modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None
    )
    with pytest.raises(MissingError, match=r"workbench\[tracing\]"):
        Traced(_app)


@pytest.mark.parametrize("ratio", ["much", "2", "-1", "nan"])
def test_a_ratio_that_is_none_is_said(monkeypatch, ratio):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", ratio)
    with pytest.raises(ParamsError, match="not a share"):
        Traced(_app)


def test_a_real_server_traces_a_real_request(collector, monkeypatch, paths, serve, tmp_path):
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "bundle"), number=4)
    server = serve(paths)
    server.until_loaded()
    address = str(server.client.base_url)
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    answer = httpx.post(f"{address}/predict/fraud", json={"amount": 5}, headers=headers)
    server.stop()
    (span,) = [span for span in collector.spans if span.trace_id.hex() == TRACE]
    assert attributes(span)["workbench.prediction_id"] == answer.headers["x-prediction-id"]
