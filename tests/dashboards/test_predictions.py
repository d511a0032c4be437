"""The page Predictions: found, traced back, computed again; in a browser a click does it."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest

from tests import browser
from tests.checkout import REPOSITORY, Checkout
from tests.dashboards.conftest import HOSTILE, Deployment
from tests.servers import free_port
from tests.test_pages import listens
from workbench.storage.predictions.outcomes import record_outcome

PAGE = "2_Predictions.py"
MOMENT_S = 1.2


@pytest.fixture
def answered(deployment: Deployment) -> Deployment:
    """Three answers of life, two of a rehearsal, and a moment later."""
    deployment.answer([10.0, 400.0, 2000.0], 1, "champion", rehearsal=False)
    deployment.answer([20.0, 30.0], 2, "challenger", rehearsal=True)
    time.sleep(MOMENT_S)
    return deployment


def table(page: Any) -> Any:
    return page.dataframe[0].value


def words(page: Any) -> str:
    kinds = (page.markdown, page.caption, page.info, page.warning, page.error, page.success)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def test_the_newest_answers_come_first_each_with_its_decision(answered: Deployment) -> None:
    page = answered.open(PAGE)
    assert not page.exception
    shown = table(page)
    assert list(shown["id"]) == answered.ids[::-1]
    assert list(shown["decision"]) == ["yes", "no", "yes", "yes", "no"]
    assert list(shown["rehearsal"]) == [True, True, False, False, False]
    assert list(shown["warnings"]) == [0, 0, 1, 0, 0]


def test_the_search_narrows_by_kind_release_text_and_score(answered: Deployment) -> None:
    page = answered.open(PAGE)
    page.selectbox(key="kind").set_value("of life")
    assert len(table(page.run())) == 3
    page.slider(key="score").set_value((0.6, 1.0))
    narrowed = page.run()
    assert len(table(narrowed)) == 2
    assert "2 of the newest 3 have a score from 0.6 to 1" in words(narrowed)
    page.slider(key="score").set_value((0.0, 1.0))
    page.text_input(key="text").set_value("2000")
    assert list(table(page.run())["id"]) == [answered.ids[2]]
    page.selectbox(key="release").set_value(2)
    assert "No answer like that" in words(page.run())


def test_an_id_shows_inputs_causes_outcome_and_the_same_answer_again(
    answered: Deployment,
) -> None:
    id = answered.ids[1]
    record_outcome(answered.paths.predictions, id, True, time.time())
    page = answered.open(PAGE, id=id)
    assert not page.exception
    inputs = table(page)
    assert dict(zip(inputs["input"], inputs["value"], strict=True))["amount"] == "400.0"
    assert {m.label: m.value for m in page.metric}["Decision"] == "yes"
    assert "It turned out to be **yes**" in words(page)
    assert "A machine decided" in words(page)
    steps = page.table[0].value["found"]
    assert "fraud 1, champion at the time" in steps["release"].replace("\\", "")
    page.button[0].click()
    assert "The answer is the same again" in words(page.run())


def test_an_altered_bundle_is_said_and_is_not_computed_with(answered: Deployment) -> None:
    model = answered.paths.bundles / answered.digests[0] / "model.onnx"
    model.write_bytes(model.read_bytes() + b"\0")
    page = answered.open(PAGE, id=answered.ids[0])
    assert not page.exception
    assert "bundle verified" not in words(page)
    page.button[0].click()
    assert "was altered since" in words(page.run())


def test_what_a_client_sent_is_shown_as_text(answered: Deployment) -> None:
    page = answered.open(PAGE, id=answered.ids[2])
    assert not page.exception
    (warning,) = (box.value for box in page.warning)
    assert r"\!\[x\]\(https\://evil.example\) \:red\[\*now\*\] \<b\>\`" in warning
    assert HOSTILE not in words(page)


@pytest.mark.parametrize("id", ["nothing", "0" * 12 + "-000000-00000000", HOSTILE])
def test_an_id_that_is_none_gets_a_sentence(answered: Deployment, id: str) -> None:
    page = answered.open(PAGE, id=id)
    assert not page.exception
    assert "rediction" in page.error[0].value


def test_a_click_on_a_row_shows_its_passport_in_a_browser(answered: Deployment) -> None:
    (answered.paths.root / ".streamlit").mkdir()
    config = (REPOSITORY / ".streamlit" / "config.toml").read_text()
    (answered.paths.root / ".streamlit" / "config.toml").write_text(config)
    port, checkout = free_port(), Checkout(answered.paths.root)
    home = str(REPOSITORY / "dashboards" / "Home.py")
    at = ("--server.address", "127.0.0.1", "--server.port", str(port), "--server.headless", "true")
    command = (sys.executable, "-m", "streamlit", "run", home, *at)
    try:
        program = checkout.start(*command, PYTHONPATH=str(REPOSITORY))
        checkout.until(lambda: listens(port) or program.poll() is not None)
        with browser.page(f"http://127.0.0.1:{port}/Predictions", height=1400) as page:
            page.get_by_text("The newest 5.").wait_for()
            place = page.get_by_test_id("stDataFrame").first.bounding_box()
            assert place
            page.mouse.click(place["x"] + 18, place["y"] + 36 + 17)
            page.get_by_text("Back to its causes").wait_for()
            page.get_by_role("button", name="Compute it again").click()
            page.get_by_text("The answer is the same again").wait_for()
            page.get_by_role("link", name="Deployments").click()
            page.get_by_text("Promotions and rollbacks").wait_for()
            page.locator(".stMetric").first.wait_for()
            assert page.get_by_test_id("stException").count() == 0
    finally:
        checkout.close()
