"""The small pipeline, run once by whichever worker comes first, and a copy of it for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkout import Checkout, copied, new_checkout
from workbench.execution.lock import hold


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Checkout:
    """A checkout in which `workbench repro` went to a release; only to be looked at."""
    place = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        place = place.parent  # what all workers of this run share
    root = place / "whole"
    with hold(place / "whole.lock", "the checkout of the tests", wait_s=600):
        if not (root / "done").exists():
            made = new_checkout(root)
            made.workbench("repro").ok()
            (root / "done").touch()
    return Checkout(root.resolve())


@pytest.fixture
def small(whole: Checkout, tmp_path: Path) -> Iterator[Checkout]:
    """A copy of it that a test may harm."""
    with copied(whole, tmp_path) as copy:
        yield copy
