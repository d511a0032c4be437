"""The notebook that serves, rehearses and promotes: gone through, and nothing else is touched."""

from __future__ import annotations

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
from workbench.core.errors import MissingError
from workbench.core.files import digest_folder
from workbench.notebook.playground import playground

NOTEBOOK = "notebooks/deploy_and_watch.py"


@pytest.fixture(scope="session")
def released(shared: Path) -> Checkout:
    """The checkout of the pages, where the fraud pipeline went to a release; only to be copied."""
    return released_application(shared)


@pytest.fixture
def checkout(released: Checkout, tmp_path: Path) -> Any:
    with copied(released, tmp_path / "copy") as made:
        add_notebook(made)
        yield made


def add_notebook(checkout: Checkout) -> None:
    (checkout.root / "notebooks").mkdir()
    shutil.copy(REPOSITORY / NOTEBOOK, checkout.root / NOTEBOOK)


def deployed(checkout: Checkout) -> tuple[bytes, bytes, str]:
    """What a playground must not touch."""
    paths = checkout.paths
    log, pointer = paths.release_log("fraud").read_bytes(), paths.pointer.read_bytes()
    assert not paths.predictions.exists()
    assert not paths.monitoring.exists()
    return log, pointer, digest_folder(paths.bundles)


def processes(root: Path) -> list[int]:
    return Checkout(root).processes()


def test_the_notebook_passes_marimos_strict_check() -> None:
    command = [sys.executable, "-m", "marimo", "check", "--strict", str(REPOSITORY / NOTEBOOK)]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr


def test_before_the_first_release_it_runs_as_a_program_and_starts_nothing(tmp_path: Path) -> None:
    bare = new_checkout(tmp_path)
    furnish(bare)
    add_notebook(bare)
    bare.run(sys.executable, NOTEBOOK).ok()
    assert not bare.paths.serving_windows.exists()
    with pytest.raises(MissingError, match="no champion to play with"):
        playground(bare.paths, "fraud")


def test_as_a_program_it_does_all_of_it_and_leaves_what_is_deployed_alone(
    checkout: Checkout, tmp_path: Path
) -> None:
    before = deployed(checkout)
    copies = tmp_path / "copies"
    copies.mkdir()
    checkout.run(sys.executable, NOTEBOOK, TMPDIR=str(copies)).ok()
    assert deployed(checkout) == before
    assert not list(copies.glob("playground-*"))


KILLED = """
import sys, time
from workbench.core.paths import find_paths
from workbench.notebook.playground import playground

place = playground(find_paths(), "fraud")
place.serve()
place.traffic("--rate", "5")
print(place.paths.root, flush=True)
time.sleep(600)
"""


def test_what_it_started_ends_when_its_kernel_is_killed(checkout: Checkout) -> None:
    kernel = checkout.start(sys.executable, "-c", KILLED)
    assert kernel.stdout
    root = Path(kernel.stdout.readline().strip())
    try:
        assert len(processes(root)) >= 2
        kernel.send_signal(signal.SIGKILL)
        checkout.until(lambda: not processes(root))
    finally:
        shutil.rmtree(root)


def test_it_is_gone_through_to_a_promotion_in_a_browser(checkout: Checkout) -> None:
    before = deployed(checkout)
    port = free_port()
    options = ("--host", "127.0.0.1", "--port", str(port), "--headless")
    with opened(checkout, "marimo", "--yes", "run", NOTEBOOK, *options, port=port) as program:
        with browser.page(f"http://127.0.0.1:{port}", height=4000) as page:
            page.get_by_role("button", name="start a server").click()
            page.get_by_text("the champion. In a terminal").wait_for()
            page.locator(".js-plotly-plot").nth(1).wait_for()
            page.get_by_role("button", name="explain the newest answer").click()
            page.get_by_text("The answer is the same again").wait_for()
            page.get_by_role("button", name="let a new release challenge").click()
            page.get_by_text("promoted", exact=True).wait_for(timeout=240_000)
            page.get_by_role("button", name="end the server").click()
            page.get_by_text("The server has ended").wait_for()
        program.send_signal(signal.SIGTERM)
        told, _ = program.communicate(timeout=60)
    # Opened to read, marimo tells a cell's error only in its own log.
    assert "Traceback" not in told, told
    assert "raised an exception" not in told, told
    assert deployed(checkout) == before
