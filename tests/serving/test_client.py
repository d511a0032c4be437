from __future__ import annotations

import datetime as dt
import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest

import workbench as wb
from tests.serving import bundles
from workbench.core.errors import BusyError, DataError, MissingError, ReleaseError, StateError
from workbench.serving.client import Client


@pytest.fixture(scope="module")
def client(tmp_path_factory) -> Iterator[Client]:
    from tests.serving.conftest import Server
    from workbench.core.paths import Paths

    root = tmp_path_factory.mktemp("client")
    paths = Paths(root, root / ".workbench")
    for name in ("fraud", "shop"):
        bundles.release(paths, name, getattr(bundles, name)(root / name), number=4)
    server = Server(paths)
    server.until_loaded()
    with wb.client(str(server.client.base_url)) as made:
        yield made
    server.kill()
    server.client.close()
    server.process.communicate()


def test_one_row_gets_a_value_and_several_get_lists(client):
    one = client.predict("fraud", {"amount": 500, "country": "fr"})
    assert (one.pipeline, one.release, one["decision"]) == ("fraud", 4, True)
    assert one.notice.startswith("A machine decided")
    assert one.warnings == ()
    many = client.predict("fraud", [{"amount": 500, "country": "fr"}, {}])
    assert many["decision"] == [True, False]
    assert many.id != one.id


def test_values_of_numpy_and_times_are_sent_as_what_they_are(client):
    plain = client.predict("fraud", {"amount": 20.5, "paid_at": "2026-05-09T08:30:37"})
    for time in (dt.datetime(2026, 5, 9, 8, 30, 37), np.datetime64("2026-05-09T08:30:37", "ns")):
        same = client.predict("fraud", {"amount": np.float32(20.5), "paid_at": time})
        assert same.outputs == plain.outputs
    assert client.predict("fraud", {"amount": np.nan})["score"] > 0
    with pytest.raises(DataError, match="type object cannot be sent"):
        client.predict("fraud", {"amount": object()})


def test_what_training_never_saw_comes_back_as_a_warning(client):
    (warning,) = client.predict("fraud", {"amount": 5000}).warnings
    assert "'amount' is 5000" in warning


def test_what_does_not_fit_is_an_error_in_the_servers_words(client):
    with pytest.raises(DataError, match="Did you mean 'amount'"):
        client.predict("fraud", {"amont": 1})
    with pytest.raises(ReleaseError, match=r"No model 'froud'. Did you mean 'fraud'"):
        client.predict("froud", {"amount": 1})
    with pytest.raises(ReleaseError, match="No such path"):
        client.predict("../v2/health/live", {"amount": 1})


def test_models_are_told_with_what_they_take(client):
    fraud, shop = client.models()
    assert (fraud.pipeline, fraud.release, fraud.interface) == ("fraud", 4, "tabular")
    assert fraud.inputs == {"amount": "FP32", "country": "BYTES", "paid_at": "INT64"}
    assert fraud.outputs == {"score": "FP32"}
    assert shop.pipeline == "shop"
    assert client.ready()


def test_what_turned_out_is_told_by_the_id_of_the_answer(client):
    answer = client.predict("fraud", {"amount": 500, "country": "fr"})
    client.feedback(answer.id, True)
    with pytest.raises(DataError, match="'mine'"):
        client.feedback("mine", True)


def test_nobody_there_is_said_with_what_to_do():
    with wb.client("http://127.0.0.1:9") as nobody:
        assert not nobody.ready()
        with pytest.raises(MissingError, match="Nothing answers") as said:
            nobody.predict("fraud", {"amount": 1})
    assert "workbench serve" in str(said.value)


class Script(http.server.BaseHTTPRequestHandler):
    """Answers with what stands on its list: status, headers, body."""

    replies: list[tuple[int, dict[str, str], object]]
    asked: list[dict[str, str]]

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.asked.append(dict(self.headers))
        status, headers, content = self.replies.pop(0)
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def scripted() -> Iterator:
    """Start a server that answers as it is told; a client of it, and what it was asked."""
    started = []

    def start(*replies, key=None):
        handler = type("Told", (Script,), {"replies": list(replies), "asked": []})
        server = http.server.HTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        client = wb.client(f"http://127.0.0.1:{server.server_port}", key)
        started.append((server, thread, client))
        return client, handler

    yield start
    for server, thread, client in started:
        client.close()
        server.shutdown()
        thread.join()
        server.server_close()


ANSWER = (200, {}, {"id": "1", "pipeline": "fraud", "release": 1, "outputs": {"score": 1}})


def test_a_server_without_time_is_asked_again_when_it_says(scripted):
    client, told = scripted(
        (503, {"retry-after": "0"}, {"error": "full"}),
        (429, {"retry-after": "0.01"}, {"error": "slowly"}),
        ANSWER,
    )
    assert client.predict("fraud", {"amount": 1})["score"] == 1
    assert len(told.asked) == 3


@pytest.mark.parametrize("headers", [{}, {"retry-after": "86400"}])
def test_a_server_that_says_no_soon_time_is_not_asked_again(scripted, headers):
    client, told = scripted((429, headers, {"error": "Key 'x' has used its budget."}))
    with pytest.raises(BusyError, match="has used its budget"):
        client.predict("fraud", {"amount": 1})
    assert len(told.asked) == 1


def test_patience_ends(scripted):
    client, told = scripted(*[(503, {"retry-after": "0"}, {"error": "full"})] * 9)
    with pytest.raises(BusyError, match="full"):
        client.predict("fraud", {"amount": 1})
    assert len(told.asked) == 5


def test_a_key_is_sent_and_a_wrong_one_is_said(scripted, monkeypatch):
    client, told = scripted(ANSWER, (401, {}, {"error": "This needs a valid key."}), key="wb_1")
    client.predict("fraud", {"amount": 1})
    assert told.asked[0]["authorization"] == "Bearer wb_1"
    with pytest.raises(StateError, match="valid key"):
        client.predict("fraud", {"amount": 1})
    monkeypatch.setenv("WORKBENCH_KEY", "wb_2")
    client, told = scripted(ANSWER)
    client.predict("fraud", {"amount": 1})
    assert told.asked[0]["authorization"] == "Bearer wb_2"


def test_a_failing_server_is_no_fault_of_the_rows(scripted):
    client, _ = scripted((500, {}, {"error": "The model failed."}), (502, {}, "gateway"))
    with pytest.raises(StateError, match="The model failed"):
        client.predict("fraud", {"amount": 1})
    with pytest.raises(StateError, match="answered 502 without a reason"):
        client.predict("fraud", {"amount": 1})


def test_the_client_is_light_to_import():
    heavy = {"numpy", "onnxruntime", "pydantic", "duckdb", "pyarrow", "torch", "mlflow"}
    code = f"import sys, workbench; workbench.client; print({heavy} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
