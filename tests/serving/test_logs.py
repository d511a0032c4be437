from __future__ import annotations

import io
import json
import logging
import threading
from dataclasses import replace

import pytest

from tests.serving import bundles
from tests.serving.test_app import Asgi
from workbench.core.errors import BundleError
from workbench.serving import logs
from workbench.serving.logs import AccessLog, Aside, JsonLines, Repeated, log_as_json, tell_loaded
from workbench.serving.models import Models, load_models

SECRET = "4111-1111-secret"


class Lines:
    """What a logger said, as the server writes it."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(JsonLines())

    def __call__(self) -> list[dict]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def requests(self) -> list[dict]:
        return [line for line in self() if "status" in line]


@pytest.fixture
def lines():
    made = Lines()
    logger = logging.getLogger("workbench")
    before = logger.level
    logger.addHandler(made.handler)
    logger.setLevel(logging.INFO)
    yield made
    logger.removeHandler(made.handler)
    logger.setLevel(before)


@pytest.fixture
def fraud(paths, tmp_path, lines):
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "bundle"), number=4)
    app = Asgi(paths)
    yield app
    app.close()


def post(app: Asgi, path: str, body: object, headers=()):
    content = json.dumps(body).encode()
    head = [(b"content-type", b"application/json"), *headers]
    status, _, given = app.request("POST", path, content, head)
    return status, {name.decode(): value.decode() for name, value in given.items()}


def test_a_good_answer_leaves_no_line_and_a_refused_request_one(fraud, lines):
    post(fraud, "/predict/fraud", {"amount": 1})
    assert lines.requests() == []
    post(fraud, "/predict/frod", {"amount": 1})
    (line,) = lines.requests()
    assert (line["status"], line["level"], line["method"]) == (404, "info", "POST")
    assert "No model 'frod'" in line["message"]
    assert line["latency_ms"] >= 0


def test_a_line_names_the_input_and_never_tells_it(fraud, lines):
    for body in (
        {"amount": SECRET},
        {SECRET: 1},
        {"country": [SECRET]},
        [SECRET],
        SECRET,
        {"paid_at": SECRET},
    ):
        post(fraud, "/predict/fraud", body)
    assert len(lines.requests()) == 6
    assert lines.requests()[0]["input"] == "amount"
    assert lines.requests()[0]["pipeline"] == "fraud"
    assert SECRET not in lines.stream.getvalue()


def test_the_reply_carries_the_id_of_its_line(fraud, lines):
    _, headers = post(fraud, "/predict/frod", {})
    assert headers["x-request-id"] == lines.requests()[0]["request_id"]
    _, headers = post(fraud, "/predict/frod", {}, [(b"x-request-id", b"order-17:3")])
    assert headers["x-request-id"] == lines.requests()[1]["request_id"] == "order-17:3"


def test_an_id_that_would_forge_a_line_is_not_taken_over(fraud, lines):
    for given in (b'a"\n{"level":"info"}', "é".encode(), b"x" * 65, b""):
        _, headers = post(fraud, "/predict/frod", {}, [(b"x-request-id", given)])
        assert headers["x-request-id"] != given.decode()
    assert len(lines.requests()) == 4


def test_the_callers_trace_is_named(fraud, lines):
    trace = "0af7651916cd43dd8448eb211c80319c"
    post(fraud, "/predict/frod", {}, [(b"traceparent", f"00-{trace}-b7ad6b7169203331-01".encode())])
    post(fraud, "/predict/frod", {}, [(b"traceparent", b"nonsense")])
    first, second = lines.requests()
    assert first["trace_id"] == trace
    assert "trace_id" not in second


def test_a_failure_tells_where_but_not_what_was_in_it(fraud, lines, monkeypatch):
    def broken(*_):
        raise RuntimeError(f"cannot handle {SECRET}")

    monkeypatch.setattr(fraud.app.service, "answer", broken)
    assert post(fraud, "/predict/fraud", {"amount": 1})[0] == 500
    told = [line for line in lines() if line["level"] == "error"]
    assert told[0]["error"] == "RuntimeError"
    assert any("broken" in frame for frame in told[0]["trace"])
    assert lines.requests()[0]["status"] == 500
    assert SECRET not in lines.stream.getvalue()


def test_a_flood_of_refusals_is_counted_instead_of_told(fraud, lines, monkeypatch):
    second = [1000]
    monkeypatch.setattr(logs.time, "monotonic", lambda: second[0])
    for _ in range(logs.MOST_A_SECOND + 30):
        post(fraud, "/predict/frod", {})
    assert len(lines.requests()) == logs.MOST_A_SECOND
    second[0] += 1
    post(fraud, "/predict/frod", {})
    assert lines()[-2]["message"] == "30 more requests were refused"
    assert len(lines.requests()) == logs.MOST_A_SECOND + 1


def test_releases_that_come_and_go_are_told(paths, tmp_path, lines):
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "one"), number=4)
    first = load_models(paths)
    tell_loaded(Models(), first)
    tell_loaded(first, first)
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "two", weight=0.5), number=5)
    second = load_models(paths, first)
    tell_loaded(first, second)
    tell_loaded(second, replace(second, by_name={}))
    told = [(line["message"], line["release"]) for line in lines() if "alias" in line]
    assert told == [("loaded", 4), ("loaded", 5), ("let go", 5)]


def test_the_access_log_tells_of_good_answers_without_their_inputs(paths, tmp_path, lines):
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "bundle"), number=4)
    app = Asgi(paths)
    app.app.service.observers.append(AccessLog())
    _, headers = post(app, "/predict/fraud", {"amount": 31.25})
    app.close()
    (line,) = [line for line in lines() if line["message"] == "answered"]
    assert line["prediction_id"] == headers["x-prediction-id"]
    assert (line["release"], line["rows"], line["caller"]) == (4, 1, "local")
    assert "31.25" not in lines.stream.getvalue()


def test_errors_made_for_people_keep_their_sentence(lines):
    try:
        raise BundleError("The bundle 'x' is broken.")
    except BundleError:
        logging.getLogger("workbench.test").exception("loading failed")
    (line,) = lines()
    assert (line["reason"], line["message"]) == ("The bundle 'x' is broken.", "loading failed")


def test_what_is_no_json_is_told_all_the_same():
    record = logging.LogRecord("workbench.test", 30, "", 0, "\ud800 \x1b[31m\n", (), None)
    record.fields = {"path": object()}  # as `extra` leaves it
    text = JsonLines().format(record)
    assert json.loads(text)["message"] == "\ud800 \x1b[31m\n"
    assert "\x1b" not in text
    text.encode()


def test_one_who_does_not_read_the_log_stops_nobody(monkeypatch):
    class Stuck(io.StringIO):
        go = threading.Event()

        def write(self, text: str) -> int:
            self.go.wait(20)
            return super().write(text)

    monkeypatch.setattr(logs, "MOST_WAITING", 5)
    stream = Stuck()
    handler = Aside(stream)
    for number in range(100):
        handler.emit(logging.LogRecord("a", 20, "", 1, f"line {number}", (), None))
    stream.go.set()
    handler.close()
    assert stream.getvalue().splitlines()[0] == "line 0"
    assert 5 <= len(stream.getvalue().splitlines()) <= 7


def test_libraries_are_heard_from_warnings_on_and_we_from_information_on():
    root, ours = logging.getLogger(), logging.getLogger("workbench")
    before = root.handlers, root.level, ours.level
    stream = io.StringIO()
    try:
        log_as_json(stream)
        logging.getLogger("library").info("chatter")
        logging.getLogger("library").warning("trouble")
        ours.info("loaded")
        for handler in root.handlers:
            handler.close()
    finally:
        root.handlers, root.level = before[0], before[1]
        ours.setLevel(before[2])
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == [
        "trouble",
        "loaded",
    ]


def test_a_library_that_repeats_itself_is_told_once_a_second():
    repeated = Repeated()
    record = logging.LogRecord("uvicorn.error", 30, "", 0, "Exceeded concurrency limit.", (), None)
    other = logging.LogRecord("uvicorn.error", 30, "", 0, "Something else.", (), None)
    ours = logging.LogRecord("workbench.serving.app", 30, "", 0, "a model failed", (), None)
    told = [repeated.filter(r) for r in (record, record, other, ours, ours, other, record)]
    assert told == [True, False, True, True, True, False, True]
    record.created += 1
    assert repeated.filter(record)
