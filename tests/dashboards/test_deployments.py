"""The page Deployments: what it says of files that the real code wrote, and who may steer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dashboards.conftest import HOSTILE, Deployment
from workbench.core.paths import Paths
from workbench.registry import rollout
from workbench.serving.door.keys import add_key, revoke_key
from workbench.storage.pointer import read_pointer

PAGE = "1_Deployments.py"


def figures(page: Any) -> dict[str, str]:
    return {metric.label: metric.value for metric in page.metric}


def words(page: Any) -> str:
    """All that is said in sentences."""
    kinds = (page.markdown, page.caption, page.info, page.warning, page.error, page.success)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def test_before_any_release_the_page_says_what_to_run(checkout: Paths) -> None:
    from streamlit.testing.v1 import AppTest

    from tests.dashboards.conftest import PAGES

    page = AppTest.from_file(str(PAGES / PAGE), default_timeout=60).run()
    assert not page.exception
    assert "`workbench serve`" in page.info[0].value
    assert "`workbench traffic fraud`" in page.info[0].value


def test_before_the_first_request_it_says_how_to_get_some(deployment: Deployment) -> None:
    page = deployment.open(PAGE)
    assert not page.exception
    assert figures(page)["Champion"] == "release 1"
    assert "Nobody watches the server" in page.warning[0].value
    assert "`workbench traffic fraud`" in page.info[0].value


def test_it_shows_what_is_served_how_it_goes_and_what_drifted(deployment: Deployment) -> None:
    deployment.answer([900.0 + n for n in range(60)], 1, "champion", rehearsal=False)
    deployment.ask(1, "champion", 40, errors=4)
    deployment.watch()
    page = deployment.open(PAGE)
    assert not page.exception
    shown = figures(page)
    assert shown["Requests, 5 minutes"] == "100"
    assert shown["Failed"] == "4.00%"
    assert shown["Error budget left"] == "0%"
    assert shown["p95"].endswith(" ms")
    assert "no longer looks like training" in words(page)
    assert "rehearsal" not in words(page).replace("as a rehearsal", "")


def test_a_rehearsal_is_marked_and_uses_up_no_budget(deployment: Deployment) -> None:
    deployment.answer([10.0] * 30, 1, "champion", rehearsal=True)
    deployment.ask(1, "champion", 20, errors=20, rehearsal=True)
    deployment.watch()
    page = deployment.open(PAGE)
    assert not page.exception
    assert "rehearsal] All requests of the last five minutes" in words(page)
    assert figures(page)["Error budget left"] == "—"
    assert "rehearsals use up no budget" in words(page)


def test_a_challenger_stands_beside_the_champion_with_what_is_missing(
    deployment: Deployment,
) -> None:
    deployment.challenge()
    deployment.answer([10.0] * 30, 1, "champion", rehearsal=False)
    deployment.answer([10.0] * 12, 2, "challenger", rehearsal=False)
    deployment.watch()
    page = deployment.open(PAGE)
    assert not page.exception
    assert figures(page)["Challenger"] == "release 2"
    sides = next(f.value for f in page.dataframe if "the last hour" in f.value)
    assert list(sides["the last hour"]) == ["release 1", "release 2"]
    assert list(sides["requests"]) == [30, 12]
    assert "12 of 500 requests have been answered" in words(page)


def test_history_says_who_moved_what_and_why_and_takes_no_text_for_markup(
    deployment: Deployment,
) -> None:
    page = deployment.open(PAGE)
    history = next(f.value for f in page.dataframe if "why" in f.value)
    assert list(history["what"]) == [
        "rolled back to release 1",
        "champion is now release 2",
        "champion is now release 1",
    ]
    assert history["why"].iloc[0] == HOSTILE
    assert set(history["by"]) == {"anna"}
    assert HOSTILE not in words(page)


def champion(deployment: Deployment) -> int:
    return read_pointer(deployment.paths.pointer).pipelines["fraud"]["champion"].release


def steer(deployment: Deployment, deed: str, reason: str, proof: Any) -> Any:
    """Fill the form in and press; what the page says then."""
    page = deployment.open(PAGE)
    page.radio[0].set_value(deed)
    texts = {text.label: text for text in page.text_input}
    texts["Why (it is recorded)"].set_value(reason)
    if "Key with the role admin" in texts:
        texts["Key with the role admin"].set_value(proof)
    else:
        page.checkbox[0].set_value(proof)
    page.button[0].click()
    page.run()
    assert not page.exception
    return page


PROMOTE = "Promote release 2 to champion"


def test_at_this_machine_a_person_promotes_with_a_reason_and_a_tick(
    deployment: Deployment,
) -> None:
    deployment.challenge()
    assert "It takes a reason" in words(steer(deployment, PROMOTE, " ", True))
    assert "It takes a reason" in words(steer(deployment, PROMOTE, "better", False))
    assert champion(deployment) == 1
    assert "The champion is release 2" in words(steer(deployment, PROMOTE, "better", True))
    assert champion(deployment) == 2
    assert rollout.standing(deployment.paths, "fraud").events[-1].reason == "better"


def test_where_there_are_keys_only_that_of_an_administrator_steers(
    deployment: Deployment,
) -> None:
    deployment.challenge()
    paths = deployment.paths
    _, asks = add_key(paths, "client", roles=("ask",))
    _, other = add_key(paths, "elsewhere", roles=("admin",), pipelines=("shop",))
    _, gone = add_key(paths, "gone", roles=("admin",))
    revoke_key(paths, "gone")
    _, admin = add_key(paths, "boss", roles=("admin",))
    for secret in ("wb_00000000_" + "0" * 64, asks, other, gone, admin[:-1]):
        said = words(steer(deployment, PROMOTE, "better", secret))
        assert "This needs a valid key with the role admin" in said
    assert champion(deployment) == 1
    withdraw = "Withdraw release 2"
    assert "Done" in words(steer(deployment, withdraw, "no need", admin))
    last = rollout.standing(paths, "fraud").events[-1]
    assert (last.event, last.reason, last.user) == ("withdrawn", "no need", "boss")
    audit = paths.audit.read_text()
    assert "no admin" in audit
    assert withdraw in audit
    for secret in (asks, other, gone, admin):
        assert secret not in audit


def seen_from(monkeypatch: pytest.MonkeyPatch, address: str | None, **headers: str) -> None:
    """What Streamlit says of who looks; a test of it has a stand-in for the connection."""
    from streamlit.runtime.context import ContextProxy

    monkeypatch.setattr(ContextProxy, "ip_address", property(lambda _: address))
    monkeypatch.setattr(ContextProxy, "headers", property(lambda _: headers))


@pytest.fixture(autouse=True)
def at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    seen_from(monkeypatch, None, Host="localhost:8501")


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        ("10.0.0.9", {"Host": "localhost:8501"}),
        (None, {"Host": "localhost:8501", "X-Forwarded-For": "10.0.0.9"}),
        (None, {"Host": "workbench.example"}),
    ],
)
def test_from_elsewhere_or_behind_a_proxy_nobody_steers_without_a_key(
    deployment: Deployment,
    monkeypatch: pytest.MonkeyPatch,
    address: str | None,
    headers: dict[str, str],
) -> None:
    seen_from(monkeypatch, address, **headers)
    deployment.challenge()
    page = deployment.open(PAGE)
    assert not page.exception
    assert not page.radio
    assert "workbench keys add NAME --role admin" in words(page)
