"""What a client may send before anyone looked at what it wants; over real sockets."""

from __future__ import annotations

import socket

import httpx
import pytest

from tests.serving import bundles

GET = b"GET /v2/health/live HTTP/1.1\r\nhost: localhost\r\n"


@pytest.fixture
def port(paths, serve, tmp_path) -> int:
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "bundle"))
    server = serve(paths)
    server.until(lambda said: said["ready"])
    return server.client.base_url.port


def said(port: int, *parts: bytes) -> bytes:
    """What the server says until it closes; empty where it only closes."""
    heard = b""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        try:
            for part in parts:
                client.sendall(part)
            while piece := client.recv(1 << 16):
                heard += piece
        except (BrokenPipeError, ConnectionResetError):
            pass  # it closed while we were still sending
    return heard


def test_a_head_within_the_bound_is_answered(port):
    last = b"connection: close\r\n\r\n"
    assert said(port, GET + b"x-much: " + b"a" * 60_000 + b"\r\n" + last).startswith(
        b"HTTP/1.1 200"
    )


@pytest.mark.parametrize(
    "head",
    [
        GET + b"x-much: " + b"a" * 70_000 + b"\r\n\r\n",
        GET + b"x: y\r\n" * 20_000 + b"\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n",
        GET + b"x-endless: " + b"a" * (32 << 20),
    ],
    ids=["long", "many", "path", "endless"],
)
def test_a_larger_head_is_refused_and_the_connection_closed(port, head):
    heard = said(port, head)
    assert heard == b"" or heard.startswith(b"HTTP/1.1 431")


def test_a_head_in_many_pieces_is_refused_as_well(port):
    heard = said(port, GET, *[b"x-piece: " + b"a" * 8000 + b"\r\n"] * 200)
    assert heard == b"" or heard.startswith(b"HTTP/1.1 431")


def test_endless_trailers_close_the_connection(port):
    head = b"POST /predict/fraud HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
    body = b'd\r\n{"amount": 1}\r\n0\r\n'
    assert said(port, head + body, *[b"x-trailer: " + b"a" * 8000 + b"\r\n"] * 500) == b""


def test_a_body_in_small_chunks_with_a_trailer_is_answered(port):
    head = b"POST /predict/fraud HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n"
    row = b'{"amount": 1}' + b" " * 5000
    chunks = b"".join(b"1\r\n" + row[at : at + 1] + b"\r\n" for at in range(len(row)))
    heard = said(port, head + b"connection: close\r\n\r\n" + chunks + b"0\r\nx-end: yes\r\n\r\n")
    assert heard.startswith(b"HTTP/1.1 200")


def test_some_pipelined_requests_are_answered_in_order(port):
    last = GET + b"connection: close\r\n\r\n"
    heard = said(port, (GET + b"\r\n") * 9 + last)
    assert heard.count(b"HTTP/1.1 200") == 10


def test_thousands_of_pipelined_requests_close_the_connection(port):
    heard = said(port, (GET + b"\r\n") * 4000)
    assert heard.count(b"HTTP/1.1") < 4000


def test_a_head_that_never_ends_is_given_up_and_an_idle_answered_client_is_not(
    monkeypatch, paths, serve, tmp_path
):
    """Ten seconds are cut short here, in a server of its own that knows nothing else new."""
    from tests.serving import conftest

    short = "import workbench.serving.wire as wire; wire.HEAD_S = 0.2\n" + conftest.SERVE
    monkeypatch.setattr(conftest, "SERVE", short)
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "bundle"))
    server = serve(paths)
    server.until(lambda said: said["ready"])
    port = server.client.base_url.port
    assert said(port, GET) == b""
    assert said(port) == b""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        for _ in range(2):
            client.sendall(GET + b"\r\n")
            heard = b""
            while b'{"live":true}' not in heard:
                heard += (piece := client.recv(1 << 16))
                assert piece
        client.sendall(GET)
        assert client.recv(1 << 16) == b""
    # this client was idle for far longer than a head may take
    assert server.client.get("/v2/health/live").status_code == 200


def test_foreign_pages_are_refused_on_the_wire_whatever_their_method(paths, serve, tmp_path):
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "bundle"))
    server = serve(paths)
    server.until(lambda said: said["ready"])
    ask = server.client.request
    row = {"amount": 1}
    rebound = ask("POST", "/predict/fraud", json=row, headers={"host": "evil.example"})
    assert rebound.status_code == 403
    for method in ("POST", "OPTIONS", "GET"):
        foreign = ask(method, "/predict/fraud", headers={"origin": "https://evil.example"})
        assert foreign.status_code == 403
        assert "access-control-allow-origin" not in foreign.headers
    assert ask("POST", "/predict/fraud", json=row).status_code == 200


def test_the_short_way_to_answer_says_all_that_the_long_one_says(port):
    """Answers are written at once past uvicorn's own way, which refusals take."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
        short = client.post("/predict/fraud", json={"amount": 1})
        long = client.post("/predict/fraud", json={"amount": "x"})
    assert (short.status_code, long.status_code) == (200, 400)
    same = ("x-content-type-options", "cache-control", "referrer-policy", "content-security-policy")
    for name in (*same, "content-type"):
        assert short.headers[name] == long.headers[name]
    assert "date" in short.headers
    assert short.headers["x-release"] == "1"
    assert short.headers["x-prediction-id"] == short.json()["id"]
    assert int(short.headers["content-length"]) == len(short.content)


def test_answers_to_requests_sent_together_come_in_order_and_the_last_one_closes(port):
    bodies = [b'{"amount": %d}' % amount for amount in (0, 100, 300)]
    head = b"POST /predict/fraud HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n%s\r\n%s"
    more = b"".join(head % (len(body), b"", body) for body in bodies)
    last = head % (len(bodies[0]), b"connection: close\r\n", bodies[0])
    heard = said(port, more + last)
    scores = [float(part.split(b",")[0].rstrip(b"}")) for part in heard.split(b'"score":')[1:]]
    assert len(scores) == 4
    assert scores[0] < scores[1] < scores[2]
    assert scores[3] == pytest.approx(scores[0])
    assert heard.count(b"HTTP/1.1 200") == 4
    assert b"connection: close" in heard.rpartition(b"HTTP/1.1 200")[2]
