from __future__ import annotations

import pytest

from tests.serving import bundles
from workbench.serving.door.keys import add_key
from workbench.serving.protocols.feedback import MAX_OUTCOMES
from workbench.storage.predictions.outcomes import outcomes


@pytest.fixture
def server(paths, serve, tmp_path):
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "fraud"))
    bundles.release(paths, "fragile", bundles.fragile(tmp_path / "fragile"))
    started = serve(paths)
    started.until_loaded()
    return started


def told(paths) -> dict:
    return {known.passport.id: known.outcome for known in outcomes(paths, "fraud")}


def ask(server, **headers) -> str:
    reply = server.client.post("/predict/fraud", json={"amount": 1}, headers=headers)
    return reply.json()["id"]


def test_one_outcome_or_a_list_is_joined_to_the_answers_that_were_given(server, paths):
    first, second, third = (ask(server) for _ in range(3))
    assert server.client.post("/feedback", json={"id": first, "outcome": True}).json() == {
        "recorded": 1
    }
    many = [{"id": second, "outcome": 0}, {"id": third, "outcome": "fraud"}]
    assert server.client.post("/feedback", json=many).json() == {"recorded": 2}
    assert told(paths) == {first: True, second: 0, third: "fraud"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"id": "nothing", "outcome": 1}',
        b'{"id": "0123456789ab-000000-00000000", "outcome": 1}',
        b'{"outcome": 1}',
        b'{"id": 7, "outcome": 1}',
        b'{"id": "x", "outcome": 1, "more": 2}',
        b"7",
        b'{"id": "x", "outcome": NaN}',
        b"[[]]",
    ],
)
def test_what_is_no_outcome_of_an_answer_is_refused_in_a_sentence(server, body):
    reply = server.client.post("/feedback", content=body)
    assert reply.status_code == 400
    assert reply.json()["error"].endswith(".")


def test_a_list_says_how_much_of_it_was_taken(server, paths):
    id = ask(server)
    reply = server.client.post(
        "/feedback", json=[{"id": id, "outcome": 1}, {"id": "nothing", "outcome": 1}]
    )
    assert reply.status_code == 400
    assert "The 1 before it were recorded" in reply.json()["error"]
    assert told(paths) == {id: 1}


def test_too_many_at_once_and_another_method_are_refused(server):
    many = [{"id": "x", "outcome": 1}] * (MAX_OUTCOMES + 1)
    assert server.client.post("/feedback", json=many).status_code == 400
    assert server.client.get("/feedback").status_code == 405


def test_a_key_tells_only_of_pipelines_that_it_may_ask(paths, serve, tmp_path):
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "fraud"))
    keys = {
        name: {"x-api-key": add_key(paths, name, roles=roles, pipelines=pipelines)[1]}
        for name, roles, pipelines in (
            ("client", ("ask",), ()),
            ("truth", ("feedback",), ("fraud",)),
            ("other", ("feedback",), ("shop",)),
        )
    }
    server = serve(paths)
    server.until(lambda said: said["ready"])
    body = {"id": ask(server, **keys["client"]), "outcome": 1}
    statuses = {
        name: server.client.post("/feedback", json=body, headers=header).status_code
        for name, header in (*keys.items(), ("nobody", {}))
    }
    assert statuses == {"client": 403, "truth": 200, "other": 403, "nobody": 401}
