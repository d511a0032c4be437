"""Commands about releases: release, rollback, sync, on a second model that was really trained."""

from __future__ import annotations

import json

import pytest

from tests.checkout import Checkout


@pytest.fixture(scope="module")
def second(desk: Checkout) -> Checkout:
    """Another model, trained and not yet judged."""
    desk.set("small.train.seed", 2)
    desk.workbench("repro", "--no-release").ok()
    return desk


def champion(checkout: Checkout) -> int:
    pointer = json.loads(checkout.paths.pointer.read_text())
    return pointer["pipelines"]["small"]["champion"]["release"]


def test_a_candidate_is_judged_released_and_taken_back(second: Checkout) -> None:
    assert champion(second) == 1
    made = json.loads(second.workbench("release", "small", "--json").ok().text)
    assert (made["number"], champion(second)) == (2, 2)
    assert {g["name"] for g in made["gates"]} >= {"quality", "parity", "size", "leaks"}
    assert "is still the champion" in second.workbench("release", "small").ok().text
    back = second.workbench("rollback", "small", "--reason", "a test", "--json").ok()
    assert json.loads(back.text)["number"] == 1
    assert champion(second) == 1
    second.workbench("release", "small").failed("was taken back on", "(a test)")
    assert "taken back" in second.workbench("repro").ok().text
    assert champion(second) == 1


def test_release_and_rollback_say_what_there_is_not(desk: Checkout) -> None:
    desk.workbench("release", "smal").failed("Did you mean 'small'?")
    desk.workbench("rollback", "small", "--to", "9", "--reason", "x").failed("no release 9")
    assert "--reason" in desk.workbench("rollback", "small").failed(code=2).text


def test_sync_has_nothing_to_do_and_rebuilds_what_was_lost(desk: Checkout) -> None:
    desk.workbench("sync").ok()
    before = json.loads(desk.workbench("sync", "--json").ok().text)
    assert (before["runs_new"], before["ledger_rows"], before["problems"]) == (0, 0, [])
    for name in ("mlflow.db", "ledger.db"):
        (desk.paths.home / name).unlink()
    after = json.loads(desk.workbench("sync", "--json").ok().text)
    assert after["runs_new"] == before["runs_current"]
    assert after["ledger_rows"] > 0
