"""A checkout to give commands in: a copy of the small one, for all tests of a file."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.checkout import REPOSITORY, Checkout, copied


@pytest.fixture(scope="module")
def desk(whole: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """What ran went to release 1; every test leaves it as it was, but for more passports."""
    with copied(whole, tmp_path_factory.mktemp("desk")) as copy:
        for folder in ("dashboards", ".streamlit"):
            shutil.copytree(REPOSITORY / folder, copy.root / folder)
        yield copy
