"""A pipeline as a notebook and the dashboards see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tracking.checkout import Checkout, make_checkout
from workbench.core.errors import ReleaseError
from workbench.notebook.pipeline import Pipeline, Spent, _used
from workbench.registry.releases import release, rollback

GOOD, BETTER, BAD = 1.2, 1.5, -1.0


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    for name in ("MLFLOW_TRACKING_URI", "WORKBENCH_LEDGER_URL", "WORKBENCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    return make_checkout(tmp_path)


def test_a_refused_candidate_says_why_until_the_champions_settings_are_back(
    checkout: Checkout,
) -> None:
    pipeline = Pipeline("fraud", checkout.paths)
    assert pipeline.refusal() == []
    checkout.trained(GOOD)
    release(checkout.paths, "fraud")
    assert pipeline.refusal() == []
    checkout.trained(BAD)
    with pytest.raises(ReleaseError):
        release(checkout.paths, "fraud")
    (reason,) = pipeline.refusal()
    assert "against the champion's" in reason

    checkout.trained(GOOD)  # as DVC's run cache brings it back
    assert pipeline.refusal() == []


def test_a_candidate_that_was_taken_back_says_so_until_the_champions_settings_are_back(
    checkout: Checkout,
) -> None:
    pipeline = Pipeline("fraud", checkout.paths)
    checkout.trained(GOOD)
    release(checkout.paths, "fraud")
    checkout.trained(BETTER)
    release(checkout.paths, "fraud")
    rollback(checkout.paths, "fraud", reason="complaints")
    with pytest.raises(ReleaseError):
        release(checkout.paths, "fraud")
    (reason,) = pipeline.refusal()
    assert "complaints" in reason

    checkout.trained(GOOD)
    release(checkout.paths, "fraud")
    assert pipeline.refusal() == []
    checkout.trained(BETTER)  # and when it comes once more, it is still the one taken back
    assert pipeline.refusal() == [reason]


def test_what_the_stages_used_is_the_last_run_of_each() -> None:
    shown = _used(Spent(104.2, 0.0000614, 0.00003, 0.00007, "modelled"))
    assert shown == "last run of each stage: together 104 s, 61.4 mWh (modelled)"


def test_a_notebook_of_this_project_runs_as_soon_as_it_is_opened() -> None:
    from marimo._config.manager import get_default_config_manager

    root = Path(__file__).parents[2]
    config = get_default_config_manager(current_path=str(root / "pipelines" / "fraud.py"))
    assert config.get_config()["runtime"]["auto_instantiate"] is True
