"""Who is let in: every way to come without a right, and what the door says to it."""

from __future__ import annotations

import asyncio
import json
import os
import time

import pytest

from workbench.core.errors import StateError
from workbench.serving.door import door as module
from workbench.serving.door.door import NEEDS_KEY, Door
from workbench.serving.door.keys import Allowance, add_key, revoke_key
from workbench.serving.door.routes import Need, need_of
from workbench.serving.request import ANYBODY, LOCAL, Refused, Request

HERE, THERE = ("127.0.0.1", 8000), ("192.0.2.9", 8000)


def request(path="/predict/fraud", *headers, method="POST", server=HERE) -> Request:
    """A request from another machine, headers as (name, value)."""
    listed = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": listed,
        "client": ("192.0.2.1", 5555),
        "server": server,
    }
    return Request(scope, None, 0.0)  # type: ignore[arg-type]


def admit(door: Door, asked: Request):
    return door.admit(asked, need_of(asked.parts))


def refused(door: Door, asked: Request) -> Refused:
    with pytest.raises(Refused) as found:
        admit(door, asked)
    return found.value


def bearer(key: str) -> tuple[str, str]:
    return "authorization", f"Bearer {key}"


def reasons(door: Door) -> list[tuple[str, str]]:
    door.audit.turn(closing=True)
    lines = [json.loads(line) for line in door.paths.audit.read_text().splitlines()]
    return [(line["reason"], line["key"]) for line in lines if line["event"] == "refused"]


@pytest.fixture
def key(paths) -> str:
    return add_key(paths, "phone", pipelines=["fraud"])[1]


def test_without_keys_programs_of_this_machine_are_let_in_and_foreign_pages_are_not(paths):
    door = Door(paths)
    assert admit(door, request("/predict/fraud", ("host", "localhost"))) is LOCAL
    assert refused(door, request("/", ("host", "evil.example"))).status == 403
    assert not paths.key_uses.exists()


def test_without_keys_an_address_that_others_reach_lets_nobody_in(paths):
    door = Door(paths)
    said = refused(door, request("/predict/fraud", ("host", "localhost"), server=THERE))
    assert said.status == 401
    assert admit(door, request("/v2/health/live", server=THERE)) is ANYBODY


def test_a_key_is_taken_from_either_header_and_names_its_caller(paths, key):
    door = Door(paths)
    for header in (
        bearer(key),
        ("authorization", f"bearer {key}"),
        ("authorization", f"BEARER  {key} "),
        ("x-api-key", key),
    ):
        caller = admit(door, request("/predict/fraud", ("host", "any.example"), header))
        assert (caller.name, caller.is_admin) == ("phone", False)


def test_a_page_of_a_foreign_site_needs_a_key_and_gets_an_answer_with_one(paths, key):
    door = Door(paths)
    origin = ("origin", "https://evil.example")
    assert admit(door, request("/predict/fraud", origin, bearer(key))).name == "phone"
    assert refused(door, request("/predict/fraud", origin)).status == 401
    assert refused(door, request("/v2/health/ready", origin, method="GET")).status == 403


def test_with_keys_only_signs_of_life_need_none(paths, key):
    door = Door(paths)
    for path in ("/", "/v2/health/live", "/v2/health/ready", "/ping", "/health", "/try/fraud"):
        assert admit(door, request(path, method="GET")) is ANYBODY
    for path in (
        "/v2",
        "/v2/models/fraud",
        "/metrics",
        "/try/fraud/signature",
        "/v2/health/x",
        "//x//",
    ):
        assert refused(door, request(path, method="GET")).status == 401
    assert not ANYBODY.may_ask("fraud")


def wrong_keys(key: str) -> dict[str, list[tuple[str, str]]]:
    other = key[:-1] + ("0" if key[-1] != "0" else "1")
    return {
        "nothing": [],
        "of right form": [bearer(other)],
        "of an unknown id": [bearer(f"wb_00000000_{key[12:]}")],
        "empty": [bearer("")],
        "short": [bearer(key[:-1])],
        "longer": [bearer(key + "0")],
        "very long": [bearer(key * 800)],
        "in capitals": [bearer(key.upper())],
        "unicode": [bearer("wb_\xe9\xff" + key[5:])],
        "with nul": [bearer(key[:-1] + "\0")],
        "basic": [("authorization", f"Basic {key}")],
        "bare": [("authorization", key)],
        "two, wrong first": [bearer(other), bearer(key)],
        "two, wrong last": [bearer(key), bearer(other)],
        "the same twice": [bearer(key), bearer(key)],
        "in both headers": [bearer(key), ("x-api-key", key)],
        "two plain": [("x-api-key", key), ("x-api-key", key)],
        "in a cookie": [("cookie", f"key={key}; x-api-key={key}")],
        "in another header": [("proxy-authorization", f"Bearer {key}")],
        "listed": [("x-api-key", f"{key}, {key}")],
    }


@pytest.mark.parametrize("how", wrong_keys("wb_x_" + "0" * 71))
def test_whatever_is_wrong_with_a_key_the_same_sentence_says_so(paths, key, how):
    said = refused(Door(paths), request("/predict/fraud", *wrong_keys(key)[how]))
    assert (said.status, str(said)) == (401, NEEDS_KEY)
    assert said.headers == ((b"www-authenticate", b"Bearer"),)


def test_a_key_in_the_address_is_not_taken_and_not_noted(paths, key):
    door = Door(paths)
    asked = request("/predict/fraud")
    asked.scope["query_string"] = f"key={key}&api_key={key}".encode()
    assert refused(door, asked).status == 401
    assert refused(door, request(f"/predict/fraud/{key}")).status == 401
    assert key[12:] not in paths.audit.read_text()


def test_expired_and_revoked_keys_are_refused_with_the_sentence_of_a_wrong_one(paths, monkeypatch):
    now = [time.time()]
    monkeypatch.setattr(module.time, "time", lambda: now[0])
    _, soon = add_key(paths, "soon", expires_s=now[0] + 60)
    _, gone = add_key(paths, "gone")
    door = Door(paths)
    assert admit(door, request("/v2", bearer(soon))).name == "soon"
    assert admit(door, request("/v2", bearer(gone))).name == "gone"
    now[0] += 60
    revoke_key(paths, "gone")
    door.look()
    for key in (soon, gone):
        assert str(refused(door, request("/v2", bearer(key)))) == NEEDS_KEY
    assert reasons(door) == [("expired key", "soon"), ("revoked key", "gone")]


def test_whole_digests_are_compared_in_constant_time_also_for_an_unknown_id(
    paths, key, monkeypatch
):
    compared: list[tuple[int, int]] = []
    real = module.hmac.compare_digest

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((len(a), len(b)))
        return real(a, b)

    monkeypatch.setattr(module.hmac, "compare_digest", compare)
    door = Door(paths)
    admit(door, request("/v2", bearer(key)))
    refused(door, request("/v2", bearer(f"wb_00000000_{key[12:]}")))
    refused(door, request("/v2", bearer("x")))
    assert compared == [(32, 32)] * 3


def test_a_key_opens_its_pipelines_and_no_other(paths, key):
    door = Door(paths)
    for path in ("/predict/shop", "/v2/models/shop/infer", "/v2/models/shop/versions/1/ready"):
        said = refused(door, request(path, bearer(key)))
        assert (said.status, "only fraud" in str(said)) == (403, True)
    caller = admit(door, request("/v1/chat/completions", bearer(key)))
    with pytest.raises(Refused, match="may not ask 'shop'"):  # the body names it
        caller.need("shop")
    assert set(reasons(door)) == {("another pipeline", "phone")}


@pytest.mark.parametrize(
    ("role", "opens"),
    [
        ("ask", {"/predict/fraud", "/v2/models/fraud", "/openapi.json"}),
        ("feedback", {"/feedback"}),
        ("watch", {"/metrics", "/v2/repository/index"}),
        ("admin", None),
    ],
)
def test_a_role_opens_what_it_is_for(paths, role, opens):
    _, key = add_key(paths, "x", roles=[role])
    door = Door(paths)
    every = {
        "/predict/fraud",
        "/v2/models/fraud",
        "/openapi.json",
        "/feedback",
        "/metrics",
        "/v2/repository/index",
        "/v2/repository/models/fraud/load",
    }
    for path in every if opens is None else opens:
        assert admit(door, request(path, bearer(key))).name == "x"
    for path in every - (every if opens is None else opens):
        said = refused(door, request(path, bearer(key)))
        assert (said.status, f"only {role}" in str(said)) == (403, True)


def test_what_administrators_do_is_noted_with_and_without_keys(paths):
    door = Door(paths)
    load = "/v2/repository/models/fraud/load"
    admit(door, request(load, ("host", "localhost")))
    _, key = add_key(paths, "boss", roles=["admin"])
    door.look()
    admit(door, request(load, bearer(key)))
    admit(door, request("/predict/fraud", bearer(key)))
    noted = [json.loads(line) for line in paths.audit.read_text().splitlines()]
    assert [(line["key"], line["path"]) for line in noted if line["event"] == "admin"] == [
        ("local", load),
        ("boss", load),
    ]
    assert key[12:] not in paths.audit.read_text()


def test_over_its_rate_a_key_is_told_when_to_come_again(paths, monkeypatch):
    now = [1_800_000_000.5]
    monkeypatch.setattr(module.time, "time", lambda: now[0])
    _, key = add_key(paths, "phone", allowance=Allowance(rate_per_minute=2))
    door = Door(paths)
    for _ in range(2):
        admit(door, request("/v2", bearer(key)))
    said = refused(door, request("/v2", bearer(key)))
    assert (said.status, said.headers) == (429, ((b"retry-after", b"30"),))
    assert "2 requests a minute" in str(said)
    now[0] += 29.5
    assert refused(door, request("/v2", bearer(key))).headers == ((b"retry-after", b"1"),)
    now[0] += 1
    assert admit(door, request("/v2", bearer(key))).name == "phone"


def test_a_budget_that_is_used_up_answers_429_until_the_month_is_over(paths):
    _, key = add_key(paths, "phone", allowance=Allowance(usd_per_month=1.0))

    async def spend() -> None:
        door = Door(paths)
        door.open()
        caller = admit(door, request("/v2", bearer(key)))
        door.charge(caller, 0.6)
        await door.close()

    asyncio.run(spend())
    asyncio.run(spend())  # another process, later
    said = refused(Door(paths), request("/v2", bearer(key)))
    assert said.status == 429
    assert "1 USD of this month" in str(said)
    assert 1 <= int(said.headers[0][1]) <= 31 * 86400


def test_keys_that_come_and_go_are_followed_without_a_restart(paths):
    door = Door(paths)
    local = request("/v2", ("host", "localhost"))
    assert admit(door, local) is LOCAL
    _, first = add_key(paths, "first")
    door.look()
    assert refused(door, local).status == 401
    assert admit(door, request("/v2", bearer(first))).name == "first"
    revoke_key(paths, "first")
    door.look()
    assert refused(door, request("/v2", bearer(first))).status == 401
    assert refused(door, local).status == 401, "revoking the last key opened the door to all"


@pytest.mark.parametrize("damage", ["half", "gone", "a folder"])
def test_a_damaged_file_leaves_the_last_good_keys_in_force_and_is_said(paths, key, damage, caplog):
    door = Door(paths)
    whole = paths.keys.read_bytes()
    paths.keys.unlink()
    if damage == "half":
        paths.keys.write_bytes(whole[:100])
    elif damage == "a folder":
        paths.keys.mkdir()
    for _ in range(3):
        door.look()
    assert "keys.json" in door.trouble
    assert len(caplog.records) == 1
    assert admit(door, request("/v2", bearer(key))).name == "phone"
    assert refused(door, request("/v2")).status == 401
    if damage == "a folder":
        paths.keys.rmdir()
    paths.keys.write_bytes(whole)
    door.look()
    assert door.trouble == ""


def test_a_start_with_a_damaged_file_is_refused(paths, key):
    os.truncate(paths.keys, 100)
    with pytest.raises(StateError, match=r"keys\.json.*cannot be read"):
        Door(paths)


def test_an_unknown_path_needs_a_key_and_a_pipeline_is_found_in_a_known_one():
    assert need_of(["predict", "fraud"]) == Need("ask", "fraud")
    assert need_of(["v2", "models", "fraud", "versions", "1", "infer"]) == Need("ask", "fraud")
    assert need_of(["v2", "repository", "models", "x", "load"]) == Need("admin", "x")
    assert need_of(["v2", "health"]).role == "ask"
    assert need_of(["", ""]).role == "ask"
