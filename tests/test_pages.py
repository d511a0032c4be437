"""What people look at: the dashboard and the notebook, on real runs and in a real browser."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import browser
from tests.checkout import REPOSITORY, Checkout, copied, new_checkout, once
from tests.servers import free_port
from workbench.notebook.pipeline import Pipeline
from workbench.registry.gates import Gate
from workbench.registry.log import Event, append
from workbench.tracking.evidence import read_candidate

HOME = REPOSITORY / "dashboards" / "Home.py"
NOTEBOOK = "pipelines/fraud.py"
SMALLER = {
    "collect": {"customers": 80, "terminals": 120, "days": 50},
    "train": {"epochs": 2},
    "evaluate": {"bootstrap": 20},
}


def furnish(checkout: Checkout) -> None:
    """Put the fraud pipeline, on little data, and the dashboard into a checkout."""
    block = yaml.safe_load((REPOSITORY / "params.yaml").read_text())["fraud"]
    block |= {part: block[part] | less for part, less in SMALLER.items()}
    params = {"version": 1, "pipelines": ["fraud"], "fraud": block}
    (checkout.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    shutil.copy(REPOSITORY / NOTEBOOK, checkout.root / NOTEBOOK)
    for folder in ("dashboards", ".streamlit"):
        shutil.copytree(REPOSITORY / folder, checkout.root / folder)


@pytest.fixture(scope="session")
def application(shared: Path) -> Checkout:
    """A checkout in which the fraud pipeline went to a release; only to be looked at."""
    return released_application(shared)


def released_application(shared: Path) -> Checkout:
    """That checkout, made once for all test processes and files."""

    def work(made: Checkout) -> None:
        furnish(made)
        made.workbench("repro", "fraud").ok()

    return once(shared / "application", work)


@contextlib.contextmanager
def opened(
    checkout: Checkout, module: str, *arguments: str, port: int
) -> Iterator[subprocess.Popen[str]]:
    """A program that shows pages, from when it listens until it is ended."""
    program = checkout.start(sys.executable, "-m", module, *arguments)
    try:
        checkout.until(lambda: listens(port) or program.poll() is not None)
        yield program
    finally:
        program.send_signal(signal.SIGTERM)
        checkout.close()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# ---- the dashboard


@pytest.fixture
def home(small: Checkout, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The page on the small checkout; `run` draws it again."""
    from streamlit.testing.v1 import AppTest

    monkeypatch.chdir(small.root)
    monkeypatch.delenv("WORKBENCH_HOME", raising=False)
    return AppTest.from_file(str(HOME), default_timeout=120)


def test_the_dashboard_shows_champion_quality_and_what_each_stage_used(home: Any) -> None:
    page = home.run()
    assert not page.exception
    shown = {metric.label: metric for metric in page.metric}
    assert shown["Champion"].value == "release 1"
    assert 0 < float(shown["Average precision"].value) <= 1
    assert "over" in shown["Average precision"].delta
    assert any(label.startswith("Energy") for label in shown)
    assert [box.value for box in page.success] == ["Everything is up to date."]
    assert next(iter(page.dataframe[0].value["stage"])) == "collect"
    assert len(page.dataframe[0].value) == 8


def refuse(small: Checkout, sentence: str) -> None:
    """Log that today's candidate was refused for its size."""
    gate = Gate("size", 9.0, 5.0, None, None, "fail", sentence)
    candidate = read_candidate(small.paths, "small")
    champion = Pipeline("small", small.paths).champion
    assert candidate
    assert champion
    against = champion["digest"]
    refusal = Event("refused", "small", candidate["bundle"], gates=(gate,), champion=against)
    append(small.paths, "small", [refusal])


def test_the_dashboard_warns_of_what_is_stale_and_of_a_refused_candidate(
    home: Any, small: Checkout
) -> None:
    small.set("small.train.epochs", 5)
    refuse(small, "It has 9 MB.")
    page = home.run()
    assert not page.exception
    assert not page.success
    stale, refused = (box.value for box in page.warning)
    assert "train" in stale
    assert "epochs" in stale
    assert "`workbench repro small`" in stale
    assert "refused" in refused
    assert "It has 9 MB." in refused


def test_the_dashboard_shows_a_reason_as_text_and_not_as_markdown(
    home: Any, small: Checkout
) -> None:
    hostile = "![x](https://evil.example) :red[*now*] $x$ `a` www.evil.example <b>"
    refuse(small, hostile)
    (refused,) = (box.value for box in home.run().warning)
    assert r"\!\[x\]\(https\://evil.example\) \:red\[\*now\*\] \$x\$ \`a\`" in refused
    assert r"www\.evil.example \<b\>" in refused


def test_a_pipelines_notice_is_on_the_dashboard_and_on_its_card(home: Any, small: Checkout) -> None:
    small.set("small.serve.notice", "Not for clinical use.")
    assert "Not for clinical use" in home.run().caption[0].value
    assert "Not for clinical use." in Pipeline("small", small.paths)._repr_html_()


def test_the_dashboard_tells_broken_params_in_a_sentence(home: Any, small: Checkout) -> None:
    small.edit("params.yaml", "  clean:", "  claen:")
    page = home.run()
    assert not page.exception
    assert "claen" in page.error[0].value


def test_the_dashboard_shows_in_a_browser(application: Checkout) -> None:
    port = free_port()
    options = ("--server.address", "127.0.0.1", "--server.port", str(port))
    headless = ("--server.headless", "true")
    with (
        opened(
            application, "streamlit", "run", "dashboards/Home.py", *options, *headless, port=port
        ),
        browser.page(f"http://127.0.0.1:{port}", height=1200) as page,
    ):
        page.get_by_text("release 1").wait_for()
        page.get_by_text("Everything is up to date.").wait_for()
        page.locator(".js-plotly-plot").nth(1).wait_for()
        page.get_by_test_id("stDataFrame").wait_for()
        assert page.get_by_test_id("stException").count() == 0
        assert page.get_by_text("Deploy", exact=True).count() == 0


# ---- the notebook


def test_the_notebook_runs_as_a_program_before_and_after_the_first_run(
    application: Checkout, tmp_path: Path
) -> None:
    application.run(sys.executable, NOTEBOOK).ok()
    bare = new_checkout(tmp_path)
    furnish(bare)
    bare.run(sys.executable, NOTEBOOK).ok()


def test_every_notebook_passes_marimos_strict_check() -> None:
    folders = ("pipelines", "tests/pipelines", "tests/tracers")
    notebooks = [str(path) for folder in folders for path in (REPOSITORY / folder).glob("*.py")]
    assert str(REPOSITORY / NOTEBOOK) in notebooks
    command = [sys.executable, "-m", "marimo", "check", "--strict", *notebooks]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr


def test_the_notebook_shows_in_a_browser_and_answers_to_the_keyboard(
    application: Checkout,
) -> None:
    from playwright.sync_api import expect

    port = free_port()
    options = ("--host", "127.0.0.1", "--port", str(port), "--headless")
    with opened(application, "marimo", "--yes", "run", NOTEBOOK, *options, port=port) as program:
        with browser.page(f"http://127.0.0.1:{port}", height=5000) as page:
            page.get_by_text("champion: release 1").wait_for()
            page.get_by_text("Everything is up to date.").wait_for()
            stopped = page.locator("marimo-stat[data-label*='payments stopped']")
            likely = page.locator("marimo-stat[data-label*='likely fraud']")
            for stat, do in (
                (stopped, lambda: page.get_by_role("slider").first.press("Home")),
                (likely, lambda: page.locator("select:visible").last.press("o")),
            ):
                stat.wait_for()
                before = str(stat.get_attribute("data-value"))
                do()
                expect(stat).not_to_have_attribute("data-value", before, timeout=60_000)
            assert stopped.get_attribute("data-value") == '"100.00%"'
            page.locator(".js-plotly-plot").nth(6).wait_for()
            assert page.locator("marimo-table").count() == 2
        program.send_signal(signal.SIGTERM)
        told, _ = program.communicate(timeout=60)
    # Opened to read, marimo tells a cell's error only in its own log.
    assert "Traceback" not in told, told
    assert "raised an exception" not in told, told


def test_a_press_on_a_button_runs_what_is_stale_and_the_page_follows(
    application: Checkout, tmp_path: Path
) -> None:
    with copied(application, tmp_path) as checkout:
        checkout.set("fraud.evaluate.bootstrap", 21)
        port = free_port()
        options = ("--host", "127.0.0.1", "--port", str(port), "--headless")
        with (
            opened(checkout, "marimo", "--yes", "run", NOTEBOOK, *options, port=port),
            browser.page(f"http://127.0.0.1:{port}", height=3000) as page,
        ):
            page.get_by_text("fraud.evaluate.bootstrap was 20, is 21").wait_for()
            page.get_by_role("button", name="run what is stale").click()
            page.get_by_text("Everything is up to date.").wait_for(timeout=120_000)
            page.get_by_text("what was done").click()
            page.get_by_text("evaluate@fraud  ").last.wait_for()
        assert checkout.workbench("status", "fraud").ok().text.count("up to date") == 8
