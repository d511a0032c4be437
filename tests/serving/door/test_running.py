"""The door of real server processes, over sockets."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.serving import bundles, conftest
from workbench.core.errors import MissingError
from workbench.serving.door.headers import DATA
from workbench.serving.door.keys import Allowance, add_key, revoke_key
from workbench.serving.server import listen
from workbench.serving.tls import Tls

ROW = {"amount": 100, "country": "fr"}


@pytest.fixture
def key(paths, tmp_path) -> str:
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "bundle"))
    bundles.release(paths, "shop", bundles.shop(tmp_path / "shop"))
    return add_key(paths, "phone", pipelines=["fraud"])[1]


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def test_a_running_server_asks_for_keys_and_tells_strangers_nothing(paths, serve, key):
    server = serve(paths)
    assert server.until(lambda said: said["ready"]) == {"ready": True}
    ask = server.client
    assert ask.get("/v2/health/live").json() == {"live": True}
    assert "fraud" not in ask.get("/").text
    assert list(ask.get("/v2/health/ready", headers=bearer(key)).json()["models"]) == [
        "fraud",
        "shop",
    ]
    for said in (
        ask.post("/predict/fraud", json=ROW),
        ask.post("/predict/fraud", json=ROW, params={"key": key, "api_key": key}),
        ask.get("/v2/models/nothing"),
    ):
        assert (said.status_code, said.headers["www-authenticate"]) == (401, "Bearer")
    for headers in (bearer(key), {"x-api-key": key}):
        assert ask.post("/predict/fraud", json=ROW, headers=headers).status_code == 200
    assert ask.post("/predict/shop", json={}, headers=bearer(key)).status_code == 403
    assert key[12:] not in server.stop()
    refused = [json.loads(line) for line in paths.audit.read_text().splitlines()][1:]
    assert {line["address"] for line in refused} == {"127.0.0.1"}
    assert sum(line["count"] for line in refused if line["reason"] == "no key") == 3
    assert key[12:] not in paths.audit.read_text()


def test_every_reply_tells_a_browser_to_guess_keep_and_run_nothing(paths, serve, key):
    server = serve(paths)
    server.until(lambda said: said["ready"])
    ask = server.client
    for said in (
        ask.post("/predict/fraud", json=ROW, headers=bearer(key)),
        ask.post("/predict/fraud", json={"amont": 1}, headers=bearer(key)),
        ask.get("/nowhere", headers=bearer(key)),
        ask.get("/v2/health/live"),
        ask.get("/v2"),
    ):
        for name, value in DATA:
            assert said.headers[name.decode()] == value.decode()


def test_two_authorization_headers_are_no_key_on_the_wire(paths, serve, key):
    server = serve(paths)
    server.until(lambda said: said["ready"])
    twice = [("Authorization", f"Bearer {key}"), ("authorization", f"Bearer {key}")]
    assert server.client.get("/v2", headers=twice).status_code == 401
    assert server.client.get("/v2", headers=twice[:1]).status_code == 200


def test_a_revoked_key_is_refused_and_a_new_one_known_within_a_second(paths, serve, key):
    server = serve(paths)
    server.until(lambda said: said["ready"])
    assert server.client.get("/v2", headers=bearer(key)).status_code == 200
    revoke_key(paths, "phone")
    _, new = add_key(paths, "phone")
    time.sleep(1.0)  # the promise
    assert server.client.get("/v2", headers=bearer(key)).status_code == 401
    assert server.client.get("/v2", headers=bearer(new)).status_code == 200


def test_a_damaged_file_of_keys_is_said_by_the_server_that_keeps_the_last_good_one(
    paths, serve, key
):
    server = serve(paths)
    server.until(lambda said: said["ready"])
    whole = paths.keys.read_bytes()
    paths.keys.write_bytes(whole[:50])
    server.client.headers.update(bearer(key))
    said = server.until(lambda said: "keys" in said["problems"])
    assert "the keys read before hold" in said["problems"]["keys"]
    paths.keys.write_bytes(whole)
    server.until(lambda said: not said["problems"])
    assert "keys.json" in server.stop()


def test_a_server_with_a_damaged_file_of_keys_does_not_start(paths, serve, key):
    paths.keys.write_text("{")
    process = serve(paths).process
    assert (
        "keys.json, which holds the keys of the server, cannot be read"
        in (process.communicate(timeout=20)[1])
    )
    assert process.returncode == 1


def test_one_rate_holds_for_two_servers_and_the_rest_get_429(paths, serve, key):
    _, slow = add_key(paths, "slow", allowance=Allowance(rate_per_minute=20))
    servers = [serve(paths), serve(paths)]
    for server in servers:
        server.until(lambda said: said["ready"])
    said = [servers[n % 2].client.get("/v2/models/fraud", headers=bearer(slow)) for n in range(60)]
    refilled = 20 * sum(one.elapsed.total_seconds() for one in said) / 60 + 1
    let_in = sum(one.status_code == 200 for one in said)
    assert 20 <= let_in <= 20 + refilled
    assert {one.status_code for one in said} == {200, 429}
    assert all(1 <= int(one.headers["retry-after"]) <= 3 for one in said if one.is_error)


def test_an_address_that_others_can_reach_is_taken_once_there_is_a_key():
    with pytest.raises(MissingError, match="workbench keys add"):
        listen("0.0.0.0", 0)
    listen("0.0.0.0", 0, has_key=True).close()


SHORT_HANDSHAKE = """
import workbench.serving.tls as tls
from workbench.serving.tls import Tls

tls.HEAD_S = 0.5
"""


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


def test_with_a_certificate_it_speaks_https_and_nothing_else(paths, tmp_path, key):
    shown, secret = certificate(tmp_path)
    script = SHORT_HANDSHAKE + conftest.SERVE.replace(
        "listening)\n", "listening, tls=Tls(Path(sys.argv[2]), Path(sys.argv[3])))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", script, str(paths.root), str(shown), str(secret)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        port = process.stdout.readline().strip()
        trusting = ssl.create_default_context(cafile=str(shown))
        with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trusting) as client:
            client.headers.update(bearer(key))
            while not (said := client.get("/v2/health/ready").json())["ready"]:
                assert process.poll() is None, said
                time.sleep(0.05)
            assert client.post("/predict/fraud", json=ROW).status_code == 200
            assert client.post("/predict/fraud", content=b"[" * (1 << 20)).status_code == 400
        with socket.create_connection(("127.0.0.1", int(port)), timeout=20) as silent:
            assert silent.recv(1) == b""  # given up, and its place is free again
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://127.0.0.1:{port}/v2/health/live")
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"https://127.0.0.1:{port}/v2/health/live")
    finally:
        process.terminate()
        said_last = process.communicate(timeout=20)[1]
    assert process.returncode == 0
    assert "Traceback" not in said_last


def test_files_that_are_no_certificate_are_refused_before_anything_listens(tmp_path):
    shown, secret = certificate(tmp_path)
    (tmp_path / "other").mkdir()
    _, other = certificate(tmp_path / "other")
    Tls(shown, secret).check()
    for pair in ((shown, other), (secret, shown), (shown, tmp_path / "gone"), (shown, tmp_path)):
        with pytest.raises(MissingError, match="cannot be used"):
            Tls(*pair).check()
    key = serialization.load_pem_private_key(secret.read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"x")
    form = serialization.PrivateFormat.PKCS8
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, locked))
    with pytest.raises(MissingError, match="has a password"):
        Tls(shown, secret).check()
