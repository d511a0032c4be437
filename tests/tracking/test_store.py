"""What is said of a store that does not answer: no password, and advice that fits."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers import free_port
from tests.tracking.checkout import Checkout
from workbench.core.errors import StateError
from workbench.core.paths import Paths
from workbench.metering.ledger import Ledger
from workbench.tracking.store import Store


def told(monkeypatch: pytest.MonkeyPatch, root: Path, url: str) -> str:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    with pytest.raises(StateError) as caught:
        Store(Paths(root, root / ".workbench")).known("fraud")
    return str(caught.value)


@pytest.mark.parametrize("password", ["geheim", "ge@heim", "ge/heim", "ge#heim", "ge:heim@x"])
@pytest.mark.parametrize("scheme", ["http", "postgresql"])
def test_no_password_is_told_however_it_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scheme: str, password: str
) -> None:
    url = f"{scheme}://lea:{password}@127.0.0.1:{free_port()}/runs"
    said = told(monkeypatch, tmp_path, url)
    assert "heim" not in said
    assert "***@127.0.0.1" in said


@pytest.mark.parametrize("password", ["geheim", "ge@heim", "ge/heim", "ge#heim"])
def test_the_ledger_tells_no_password_either(password: str) -> None:
    url = f"postgresql://lea:{password}@127.0.0.1:{free_port()}/ledger"
    for given in (url, f"{url}?password=geheim"):
        with pytest.raises(StateError) as caught:
            Ledger(given).last("fraud")
        assert "heim" not in str(caught.value)


def test_a_refused_value_does_not_speak_against_the_database(checkout: Checkout) -> None:
    store = Store(checkout.paths)
    client = store.client
    with pytest.raises(StateError) as caught, store.explained():
        client.log_metric("no such run" * 9, "loss", 1.0)
    assert "damaged" not in caught.value.problem
    assert f"mv {checkout.paths.home}" not in str(caught.value)
    assert "workbench runs" in str(caught.value.fix)


def test_a_damaged_database_is_what_is_moved_away(checkout: Checkout) -> None:
    (checkout.paths.home / "mlflow.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StateError, match="damaged or out of reach") as caught:
        Store(checkout.paths).known("fraud")
    assert "mlflow.db.damaged" in str(caught.value.fix)
    with pytest.raises(StateError, match="damaged or out of reach") as caught:
        Store(checkout.paths).experiment("fraud")
    assert "mlflow.db.damaged" in str(caught.value.fix)
