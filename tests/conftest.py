"""The small pipeline, run once by whichever worker comes first, and a copy of it for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkout import Checkout, copied, once


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all workers of this run share."""
    place = tmp_path_factory.getbasetemp()
    return place if worker_id == "master" else place.parent


@pytest.fixture(scope="session")
def whole(shared: Path) -> Checkout:
    """A checkout in which `workbench repro` went to a release; only to be looked at."""
    return once(shared / "whole", lambda made: made.workbench("repro").ok())


@pytest.fixture
def small(whole: Checkout, tmp_path: Path) -> Iterator[Checkout]:
    """A copy of it that a test may harm."""
    with copied(whole, tmp_path) as copy:
        yield copy
