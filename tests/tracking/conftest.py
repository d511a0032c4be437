from __future__ import annotations

from pathlib import Path

import pytest

from tests.tracking.checkout import Checkout, make_checkout


@pytest.fixture(autouse=True)
def _own_places(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "WORKBENCH_LEDGER_URL", "WORKBENCH_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return make_checkout(tmp_path)
