"""The first notebooks: a tour with buttons and one for Jupyter, gone through as a person does."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import browser
from tests.checkout import REPOSITORY, Checkout, copied, new_checkout
from tests.servers import free_port
from tests.test_pages import furnish, opened, released_application
from workbench.core.files import digest_folder
from workbench.core.params import read_params
from workbench.notebook.pipeline import Pipeline

TOUR = "notebooks/tour.py"
JUPYTER = "notebooks/coming_from_jupyter.ipynb"


@pytest.fixture(scope="session")
def toured(shared: Path) -> Checkout:
    """The checkout of the pages, where the fraud pipeline went to a release; only to be copied."""
    return released_application(shared)


def add_notebooks(checkout: Checkout) -> None:
    """Put the two notebooks, and nothing that a tour left beside them, into a checkout."""
    (checkout.root / "notebooks").mkdir()
    for name in (TOUR, JUPYTER):
        shutil.copy(REPOSITORY / name, checkout.root / name)


# ---- the tour


def test_the_tour_passes_marimos_strict_check() -> None:
    command = [sys.executable, "-m", "marimo", "check", "--strict", str(REPOSITORY / TOUR)]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr


def test_the_tour_runs_as_a_program_before_the_first_run_and_does_no_work(tmp_path: Path) -> None:
    bare = new_checkout(tmp_path)
    furnish(bare)
    add_notebooks(bare)
    before = digest_folder(bare.root / "notebooks")
    bare.run(sys.executable, TOUR).ok()
    shutil.rmtree(bare.root / "notebooks" / "__pycache__", ignore_errors=True)
    assert digest_folder(bare.root / "notebooks") == before
    assert not (bare.root / "data").exists()
    assert Pipeline("fraud", bare.paths).champion is None


def test_the_tour_is_gone_through_to_a_pipeline_of_ones_own(
    toured: Checkout, tmp_path: Path
) -> None:
    with copied(toured, tmp_path) as checkout:
        add_notebooks(checkout)
        settings = checkout.paths.params.read_text()
        checkout.run(sys.executable, TOUR).ok()
        assert not checkout.paths.predictions.exists()  # nobody asked yet
        assert checkout.paths.params.read_text() == settings  # what if, and nothing else
        port = free_port()
        options = ("--host", "127.0.0.1", "--port", str(port), "--headless")
        with opened(checkout, "marimo", "--yes", "run", TOUR, *options, port=port) as program:
            with browser.page(f"http://127.0.0.1:{port}", height=7000) as page:
                go_through(page, checkout)
            program.send_signal(signal.SIGTERM)
            told, _ = program.communicate(timeout=60)
    # Opened to read, marimo tells a cell's error only in its own log.
    assert "Traceback" not in told, told
    assert "raised an exception" not in told, told


def go_through(page: Any, checkout: Checkout) -> None:
    """Press what a person presses, from the first card to the answer of one's own model."""
    page.get_by_text("Everything is up to date.").first.wait_for()
    page.get_by_text("fraud.train.epochs was 2, is 10").wait_for()  # what if
    page.get_by_text("energy, modelled").wait_for()
    page.get_by_text("Ask above first").wait_for()
    page.get_by_role("button", name="Ask the champion").click()
    page.get_by_text("equal to the last digit").wait_for()  # the replay of a passport
    amount = page.get_by_label("what if it were").first
    amount.fill("")
    amount.blur()
    page.get_by_text("Type a number.").wait_for()
    amount.fill("100000000")
    amount.blur()
    page.get_by_text("if train.epochs were 100,000,000").wait_for()
    page.locator("marimo-refresh button").click()  # look again: another champion, or nothing
    page.get_by_text("Everything is up to date.").first.wait_for()
    page.get_by_text("equal to the last digit").wait_for()

    page.get_by_text("a path or a database").click()
    page.get_by_placeholder("customers.csv").fill("nowhere.csv")
    page.get_by_placeholder("customers.csv").press("Enter")
    page.get_by_text("There is no file nowhere.csv.").wait_for()

    page.get_by_text("the sample: 178 wines").click()
    page.get_by_role("heading", name="This is what is believed of it").wait_for()
    page.get_by_text("'cellar' alone tells 'wine'").wait_for()
    correction = page.get_by_placeholder("word zip")
    correction.fill("drop tatser")
    correction.blur()
    page.get_by_text("Did you mean 'taster'?").wait_for()
    correction.fill("drop taster")
    correction.blur()
    page.get_by_title("you left it out").wait_for()

    name = page.get_by_label("its name").first
    name.fill("fraud")  # a pipeline of that name that is about something else is not shown as mine
    name.blur()
    page.get_by_role("button", name="write the pipeline").click()
    page.get_by_text("pipelines/fraud.py exists already").wait_for()
    assert not page.get_by_role("heading", name="Run it").is_visible()
    name.fill("wine")
    name.blur()
    page.get_by_text("pipelines/fraud.py exists already").wait_for(state="detached")

    assert not checkout.paths.notebook("wine").exists()
    page.get_by_role("button", name="write the pipeline").click()
    page.get_by_role("button", name="run it").click()
    page.get_by_role("heading", name="What came out").wait_for(timeout=240_000)
    page.get_by_text("What was said of each class").wait_for()
    page.get_by_role("heading", name="Where to go on").wait_for()
    champion = Pipeline("wine", checkout.paths).champion
    assert champion is not None
    assert champion["release"] == 1
    assert read_params(checkout.paths.params).pipelines == ("fraud", "wine")


# ---- for those who come from Jupyter


def test_the_jupyter_notebook_is_clean() -> None:
    notebook = json.loads((REPOSITORY / JUPYTER).read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code
    for cell in code:
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
        assert cell["metadata"] == {}


def test_the_jupyter_notebook_goes_from_a_card_to_ones_own_released_model(
    toured: Checkout, tmp_path: Path
) -> None:
    with copied(toured, tmp_path) as checkout:
        add_notebooks(checkout)
        command = (sys.executable, "-m", "jupyter", "execute", "--inplace", JUPYTER)
        checkout.run(*command, PYTHONPATH=str(checkout.root)).ok()
        notebook = json.loads((checkout.root / JUPYTER).read_text(encoding="utf-8"))
        assert Pipeline("diabetes", checkout.paths).champion is not None
    shown = json.dumps([cell.get("outputs") for cell in notebook["cells"]])
    for words in ("champion: release 1", "'equal'", "diabetes.csv", "diabetes release 1"):
        assert words in shown
