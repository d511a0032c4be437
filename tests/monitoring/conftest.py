from __future__ import annotations

from pathlib import Path

import pytest

from tests.monitoring.deployed import Deployed, deploy


@pytest.fixture
def deployed(tmp_path: Path) -> Deployed:
    return deploy(tmp_path)
