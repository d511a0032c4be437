"""A real DuckDB behind every look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workbench.core.params import Engine
from workbench.data.engine import connected


@pytest.fixture(scope="module", autouse=True)
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    scratch: Path = tmp_path_factory.mktemp("scratch")
    with connected(scratch, Engine()) as backend:
        yield backend
