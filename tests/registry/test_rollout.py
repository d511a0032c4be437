from __future__ import annotations

from typing import Any

import pytest

from tests.registry.test_releases import ALSO, BAD, BETTER, GOOD, ready, registered, served
from tests.tracking.checkout import Checkout
from workbench.core.errors import ReleaseError, TakenBackError
from workbench.registry import history, rollout
from workbench.registry.log import Event, append, read_log
from workbench.registry.releases import release, rollback, sync_registry
from workbench.storage.pointer import Traffic, read_pointer


def pointed(checkout: Checkout) -> tuple[dict[str, int], Traffic | None]:
    pointer = read_pointer(checkout.paths.pointer)
    releases = {alias: target.release for alias, target in pointer.pipelines["fraud"].items()}
    return releases, pointer.traffic.get("fraud")


@pytest.fixture
def two(checkout: Checkout) -> Checkout:
    """A champion, and a release that waits to challenge it."""
    ready(checkout, GOOD)
    release(checkout.paths, "fraud")
    ready(checkout, BETTER)
    made = release(checkout.paths, "fraud", challenger=True)
    assert (made.number, made.how) == (2, "challenger")
    assert made.sentence.endswith("is the challenger.")
    return checkout


def test_a_release_that_waits_to_challenge_changes_nothing_that_is_served(two: Checkout) -> None:
    assert pointed(two) == ({"champion": 1, "challenger": 2}, None)
    assert release(two.paths, "fraud").how == "challenger"  # as the next repro would
    assert pointed(two)[0]["champion"] == 1


def test_a_challenger_is_judged_by_the_gates_too_and_needs_a_champion(checkout: Checkout) -> None:
    ready(checkout, GOOD)
    with pytest.raises(ReleaseError, match="no champion that could be challenged"):
        release(checkout.paths, "fraud", challenger=True)
    release(checkout.paths, "fraud")
    ready(checkout, BAD)
    with pytest.raises(ReleaseError, match="does not hold its gates"):
        release(checkout.paths, "fraud", challenger=True)


def test_a_rollout_goes_from_traffic_to_champion_with_reason_and_evidence(two: Checkout) -> None:
    rollout.begin(two.paths, "fraud", None, "canary", 0.1, "customer")
    traffic = Traffic("canary", 0.1, "customer")
    assert pointed(two) == ({"champion": 1, "challenger": 2}, traffic)

    stand = rollout.promote(two.paths, "fraud", "no worse", {"requests": 700}, "workbench")

    assert (stand.champion and stand.champion.release, stand.challenger) == (2, None)
    assert pointed(two) == ({"champion": 2}, None)
    event = read_log(two.paths, "fraud")[-1]
    assert (event.event, event.alias, event.reason) == ("alias", "champion", "no worse")
    assert (event.evidence, event.user) == ({"requests": 700}, "workbench")
    assert rollback(two.paths, "fraud", reason="after all").number == 1


def test_a_withdrawn_challenger_does_not_become_champion_with_the_next_release(
    two: Checkout,
) -> None:
    rollout.begin(two.paths, "fraud", 2, "shadow")
    assert pointed(two)[1] == Traffic("shadow", 1.0)

    rollout.withdraw(two.paths, "fraud", "answers are odd", {"scores": 0.4})

    assert pointed(two) == ({"champion": 1}, None)
    with pytest.raises(TakenBackError, match="answers are odd"):
        release(two.paths, "fraud")
    with pytest.raises(ReleaseError, match="has no challenger"):
        rollout.withdraw(two.paths, "fraud", "again")
    rollout.begin(two.paths, "fraud", 2, "canary", 0.1)  # a person may try it again
    assert pointed(two)[0]["challenger"] == 2


def test_mlflow_follows_with_the_next_sync(two: Checkout) -> None:
    assert registered(two)["aliases"]["challenger"] == 2
    rollout.withdraw(two.paths, "fraud", "why not")
    assert registered(two)["aliases"]["challenger"] == 2
    assert sync_registry(two.paths).problems == ()
    assert "challenger" not in registered(two)["aliases"]


def test_the_same_rollout_again_is_no_new_event(two: Checkout) -> None:
    rollout.begin(two.paths, "fraud", 2, "canary", 0.1)
    before = two.paths.release_log("fraud").read_bytes()
    rollout.begin(two.paths, "fraud", 2, "canary", 0.1)
    assert two.paths.release_log("fraud").read_bytes() == before


def test_a_former_champion_can_challenge_and_today_s_cannot(checkout: Checkout) -> None:
    for weight in (GOOD, BETTER):
        ready(checkout, weight)
        release(checkout.paths, "fraud")
    rollout.begin(checkout.paths, "fraud", 1, "canary", 0.2)
    assert pointed(checkout)[0] == {"champion": 2, "challenger": 1}
    with pytest.raises(ReleaseError, match="it cannot challenge itself"):
        rollout.begin(checkout.paths, "fraud", 2, "canary", 0.2)
    with pytest.raises(ReleaseError, match="no release 7"):
        rollout.begin(checkout.paths, "fraud", 7, "canary", 0.2)
    for share in (0.0, 1.5):
        with pytest.raises(ReleaseError, match="of the requests cannot be"):
            rollout.begin(checkout.paths, "fraud", 1, "canary", share)
    rollback(checkout.paths, "fraud", 1, reason="it is the better one")
    assert pointed(checkout) == ({"champion": 1}, None)


def test_with_one_release_there_is_nobody_to_challenge_with(checkout: Checkout) -> None:
    with pytest.raises(ReleaseError, match="no champion that could be challenged"):
        rollout.begin(checkout.paths, "fraud", None, "shadow")
    ready(checkout, GOOD)
    release(checkout.paths, "fraud")
    with pytest.raises(ReleaseError, match="there is no other to challenge it with"):
        rollout.begin(checkout.paths, "fraud", None, "shadow")


def test_a_new_champion_leaves_the_challenger_on_its_traffic(two: Checkout) -> None:
    rollout.begin(two.paths, "fraud", 2, "canary", 0.1)
    third = ready(two, ALSO)
    assert release(two.paths, "fraud").number == 3
    assert served(two) == third
    assert pointed(two) == ({"champion": 3, "challenger": 2}, Traffic("canary", 0.1))


def test_a_rollback_by_the_watcher_is_recorded_as_such(checkout: Checkout) -> None:
    for weight in (GOOD, BETTER):
        ready(checkout, weight)
        release(checkout.paths, "fraud")
    rollout.roll_back_champion(checkout.paths, "fraud", "levels", {"lo": 0.2}, "workbench")
    event = read_log(checkout.paths, "fraud")[-1]
    assert (event.release, event.rollback, event.user) == (1, True, "workbench")
    assert event.evidence == {"lo": 0.2}
    assert pointed(checkout)[0] == {"champion": 1}
    assert registered(checkout)["aliases"]["champion"] == 2
    sync_registry(checkout.paths)
    assert registered(checkout)["aliases"]["champion"] == 1


def event(kind: Any, digest: str, alias: str | None = None, **more: Any) -> Event:
    return Event(kind, "fraud", digest * 64, release=ord(digest) - 96, alias=alias, **more)


def test_a_challenger_that_became_champion_does_not_challenge_the_next_one() -> None:
    events = [
        event("alias", "a", "champion"),
        event("alias", "b", "challenger"),
        event("alias", "b", "champion"),
        event("alias", "c", "champion"),
    ]
    assert {alias: e.release for alias, e in history.aliases(events).items()} == {"champion": 3}
    assert history.aliases(events[:2])["challenger"].release == 2


def test_a_log_from_before_there_were_challengers_is_read(checkout: Checkout) -> None:
    append(checkout.paths, "fraud", [event("release", "a"), event("alias", "a", "champion")])
    path = checkout.paths.release_log("fraud")
    old = path.read_bytes().replace(b',"traffic":null', b"").replace(b',"evidence":{}', b"")
    assert b"traffic" not in old
    path.write_bytes(old)
    assert history.aliases(read_log(checkout.paths, "fraud"))["champion"].traffic is None
