from __future__ import annotations

import asyncio
import dataclasses
import gc
import json
import shutil
import time
import weakref

import pytest

from tests.serving import contenders
from tests.serving.contenders import released
from tests.serving.test_app import Asgi
from workbench.registry import rollout
from workbench.serving import batcher, breaker
from workbench.serving.models import Models, load_models
from workbench.serving.traffic import MAX_MIRRORED_ROWS, is_drawn
from workbench.storage.pointer import Traffic, read_pointer, write_pointer


@pytest.fixture
def asgi(paths, tmp_path):
    """An app of two releases: the champion, and one whose answers are others."""
    released(paths, contenders.good(tmp_path / "a"), contenders.good(tmp_path / "b", shift=1.0))
    made = Asgi(paths)
    yield made
    made.close()


def reload(asgi, paths) -> Models:
    service = asgi.app.service
    service.models = load_models(paths, service.models)
    return service.models


def ask(asgi, amount: float = 1.0, headers=(), path: str = "/predict/fraud"):
    """Status, who answered as (x-release, x-alias), and what was said."""
    body = json.dumps({"amount": amount}).encode()
    status, said, heads = asgi.request("POST", path, body, headers)
    who = tuple(heads.get(name, b"").decode() for name in (b"x-release", b"x-alias"))
    return status, who, said


def counts(asgi) -> dict[str, tuple[int, int]]:
    """Requests and errors by alias since the last look."""
    stats = asgi.app.stats
    found = {key[1]: (c.requests, c.errors) for key, c in stats._open.items() if c.requests}
    stats._open = {}
    return found


def test_every_answer_says_which_release_gave_it_and_under_which_alias(asgi, paths):
    assert ask(asgi)[1] == ("1", "champion")
    rollout.begin(paths, "fraud", 2, "canary", 1.0)
    reload(asgi, paths)
    status, who, said = ask(asgi, 20.0)
    assert (status, who) == (200, ("2", "challenger"))
    assert said["outputs"]["score"] == pytest.approx(contenders.score(20.0, 1.0))


def test_a_weight_of_a_tenth_is_a_tenth_of_the_requests(asgi, paths):
    rollout.begin(paths, "fraud", 2, "canary", 0.1)
    challenger = reload(asgi, paths).challengers["fraud"]
    traffic = Traffic("canary", 0.1, "who")
    drawn = [is_drawn(traffic, challenger, {"who": [n]}, None) for n in range(10_000)]
    assert 900 < sum(drawn) < 1100  # four times the standard deviation of 30
    by_chance = [is_drawn(Traffic("canary", 0.1), challenger, {}, None) for _ in range(10_000)]
    assert 880 < sum(by_chance) < 1120


def test_the_same_key_always_gets_the_same_release_also_as_the_weight_grows(asgi, paths):
    rollout.begin(paths, "fraud", 2, "canary", 0.3, "x-customer")
    reload(asgi, paths)

    def side(customer: str) -> str:
        return ask(asgi, headers=[(b"x-customer", customer.encode())])[1][0]

    customers = [f"customer {n}" for n in range(40)]
    first = {customer: side(customer) for customer in customers}
    assert set(first.values()) == {"1", "2"}
    assert {customer: side(customer) for customer in reversed(customers)} == first
    rollout.begin(paths, "fraud", 2, "canary", 0.6, "X-Customer")
    reload(asgi, paths)
    later = {customer: side(customer) for customer in customers}
    assert all(later[c] == "2" for c in customers if first[c] == "2")
    assert list(later.values()).count("2") > list(first.values()).count("2")


def test_without_the_sticky_value_the_champion_answers(asgi, paths):
    rollout.begin(paths, "fraud", 2, "canary", 1.0, "x-customer")
    reload(asgi, paths)
    assert ask(asgi)[1] == ("1", "champion")
    rollout.begin(paths, "fraud", 2, "canary", 1.0, "amount")
    reload(asgi, paths)
    assert ask(asgi)[1] == ("2", "challenger")


def test_who_asks_for_a_version_gets_that_one_and_no_other(asgi, paths):
    rollout.begin(paths, "fraud", 2, "canary", 1.0)
    reload(asgi, paths)
    body = json.dumps(
        {"inputs": [{"name": "amount", "shape": [1], "datatype": "FP32", "data": [1.0]}]}
    ).encode()
    for version, alias in (("1", b"champion"), ("2", b"challenger")):
        path = f"/v2/models/fraud/versions/{version}/infer"
        status, said, headers = asgi.request("POST", path, body)
        assert (status, said["model_version"], headers[b"x-alias"]) == (200, version, alias)
    status, said, _ = asgi.request("POST", "/v2/models/fraud/versions/3/infer", body)
    assert (status, "Served: 1, 2." in said["error"]) == (404, True)


def test_where_a_canary_fails_the_champion_answers_and_the_failure_is_the_canarys(paths, tmp_path):
    released(paths, contenders.good(tmp_path / "a"), contenders.unsure(tmp_path / "b"))
    rollout.begin(paths, "fraud", 2, "canary", 1.0)
    asgi = Asgi(paths)
    counts(asgi)
    assert ask(asgi, 20.0)[1] == ("2", "challenger")
    assert ask(asgi, 150.0)[:2] == (200, ("1", "champion"))
    assert counts(asgi) == {"challenger": (2, 1), "champion": (1, 0)}
    status, _, said = ask(asgi, "many")  # type: ignore[arg-type]
    assert (status, "'amount'" in said["error"]) == (400, True)
    assert counts(asgi) == {"champion": (1, 0)}  # its client's fault says nothing of it
    asgi.close()


def test_a_model_that_hangs_is_interrupted_and_holds_up_nobody_else(paths, tmp_path, monkeypatch):
    monkeypatch.setattr(batcher, "LIMIT_S", 0.3)
    monkeypatch.setattr(breaker, "OPEN_S", 0.5)
    released(paths, contenders.good(tmp_path / "a"), contenders.looping(tmp_path / "b", 10))
    rollout.begin(paths, "fraud", 2, "canary", 1.0)
    asgi = Asgi(paths)
    hangs = contenders.HANG_FROM * 2
    path = "/v2/models/fraud/versions/2/infer"
    tensor = {"name": "amount", "shape": [1], "datatype": "FP32"}

    async def both():
        stuck = asgi._request(
            "POST", path, json.dumps({"inputs": [tensor | {"data": [hangs]}]}).encode(), ()
        )
        task = asyncio.ensure_future(stuck)
        await asyncio.sleep(0.05)
        begun_s = time.perf_counter()
        other = json.dumps({"inputs": [tensor | {"data": [1.0]}]}).encode()
        found = await asgi._request("POST", "/v2/models/fraud/versions/1/infer", other, ())
        assert not task.done()
        assert time.perf_counter() - begun_s < 0.3  # it did not wait for the one that hangs
        return found, await task

    (other, _, _), (status, said, headers) = asgi.loop.run_until_complete(both())
    assert other == 200
    assert (status, headers[b"retry-after"]) == (503, b"1")
    assert "does not come back" in said["error"]
    status, said, headers = asgi.request("POST", path, b'{"inputs":[' + json.dumps(
        tensor | {"data": [1.0]}).encode() + b"]}")  # fmt: skip
    assert (status, headers[b"retry-after"]) == (503, b"1")  # at once: its circuit is open
    assert ask(asgi)[:2] == (200, ("1", "champion"))  # who did not ask for it is not harmed
    _, said, _ = asgi.request("GET", "/v2/health/ready")
    assert "is not asked for now" in said["problems"]["fraud release 2"]
    asgi.loop.run_until_complete(asyncio.sleep(0.6))
    assert ask(asgi)[:2] == (200, ("2", "challenger"))  # it was tried, and answered
    _, said, _ = asgi.request("GET", "/v2/health/ready")
    assert said["problems"] == {}
    asgi.close()


def test_after_failures_in_a_row_a_model_is_left_alone_and_then_tried_once(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(breaker.time, "monotonic", lambda: now[0])
    found = breaker.Breaker("fraud release 2")
    for _ in range(breaker.FAILURES - 1):
        found.failed()
        assert found.wait_s() == 0
    found.failed()
    assert found.wait_s() == breaker.OPEN_S
    now[0] += breaker.OPEN_S + 1
    assert found.wait_s() == 0  # the trial
    assert found.wait_s() > 0  # everybody else
    found.failed()
    assert found.wait_s() == 2 * breaker.OPEN_S
    for _ in range(10):
        found.failed()
    assert found.wait_s() == breaker.LONGEST_S


def test_copies_for_a_shadow_that_cannot_keep_up_are_dropped_and_counted(asgi, paths):
    rollout.begin(paths, "fraud", 2, "shadow")
    reload(asgi, paths)
    service = asgi.app.service
    champion = service.models.by_name["fraud"]

    async def many():
        columns = {"amount": [1.0] * 500}
        calls = [service.answer(champion, columns, 500) for _ in range(9)]
        found = await asyncio.gather(*calls)
        await service.router._mirror
        return found

    counts(asgi)
    found = asgi.loop.run_until_complete(many())
    assert {answer.model.alias for answer in found} == {"champion"}
    fits = MAX_MIRRORED_ROWS // 500
    assert service.router.dropped == {"fraud": 9 - fits}
    assert counts(asgi) == {"champion": (9, 0), "shadow": (fits, 0)}


def test_a_challenger_that_cannot_be_loaded_gets_no_traffic_and_the_champion_answers(asgi, paths):
    rollout.begin(paths, "fraud", 2, "canary", 1.0)
    digest = read_pointer(paths.pointer).pipelines["fraud"]["challenger"].digest
    shutil.rmtree(paths.bundles / digest)
    models = reload(asgi, paths)
    assert "Release 2 cannot challenge" in models.problems["fraud"]
    assert ask(asgi)[:2] == (200, ("1", "champion"))
    assert models.ready


def test_a_challenger_that_answers_otherwise_than_was_asked_gets_no_traffic(paths, tmp_path):
    from tests.serving import bundles

    released(paths, contenders.good(tmp_path / "a"), bundles.fragile(tmp_path / "b"))
    pointer = read_pointer(paths.pointer)
    digest = bundles.release(paths, "other", tmp_path / "b", 2)
    pipelines = {"fraud": pointer.pipelines["fraud"] | {"challenger": digest}}
    traffic = {"fraud": Traffic("canary", 1.0)}
    write_pointer(paths.pointer, dataclasses.replace(pointer, pipelines=pipelines, traffic=traffic))
    models = load_models(paths)
    assert models.traffic == {}
    assert "it is for regression" in models.problems["fraud"]
    assert models.of_version("fraud", "2") is not None


def test_a_promotion_loads_nothing_and_a_withdrawn_model_leaves_memory(asgi, paths):
    rollout.begin(paths, "fraud", 2, "canary", 0.5)
    models = reload(asgi, paths)
    first, second = models.by_name["fraud"].bundle, models.challengers["fraud"].bundle
    rollout.promote(paths, "fraud", "good")
    models = reload(asgi, paths)
    assert models.by_name["fraud"].bundle is second
    assert models.by_name["fraud"].alias == "champion"
    gone = weakref.ref(first)
    del first
    gc.collect()
    assert gone() is None


def test_when_both_releases_are_new_only_one_more_than_is_named_is_in_memory(paths, tmp_path):
    digests = released(paths, *(contenders.good(tmp_path / str(n), shift=n / 10) for n in range(4)))
    rollout.begin(paths, "fraud", 2, "canary", 0.5)
    models = load_models(paths)
    contenders.promoted(paths, digests[2], 3)
    rollout.begin(paths, "fraud", 4, "canary", 0.5)
    models = load_models(paths, models)
    assert (models.by_name["fraud"].version, models.challengers, models.stamp) == ("3", {}, None)
    models = load_models(paths, models)
    assert models.challengers["fraud"].version == "4"
    assert models.stamp is not None
