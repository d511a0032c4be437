"""`workbench health`: what a person sees of a deployment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.monitoring.deployed import Deployed, amounts, deploy
from workbench.cli.main import app
from workbench.core.errors import ReleaseError
from workbench.monitoring.watch import Watch
from workbench.storage.pointer import Pointer, write_pointer


@pytest.fixture
def deployed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployed:
    monkeypatch.delenv("WORKBENCH_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return deploy(tmp_path)


def health(*arguments: str) -> str:
    ran = CliRunner().invoke(app, ["health", *arguments], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    return ran.output


def test_it_shows_requests_latency_budget_drift_and_alerts(deployed: Deployed) -> None:
    deployed.serve(range(100), errors=0)
    deployed.serve(range(20), errors=7, rehearsal=True)
    deployed.answer(amounts(1000, times=6))
    shown = health()
    assert "4 champion  " in shown
    assert "10,000" in shown
    assert "100%" in shown
    assert "amount" in shown
    assert "warning: 'fraud' release 4: The input 'amount' no longer looks like training" in shown
    (rehearsed,) = [line for line in shown.splitlines() if "champion, rehearsal" in line]
    assert rehearsed.split()[4:6] == ["2,000", "140"]


def test_it_writes_nothing_and_alerts_nobody(deployed: Deployed) -> None:
    deployed.serve(range(200), errors=50)
    assert "critical: 'fraud' uses up its error budget" in health()
    assert not deployed.paths.monitoring.exists()


def test_an_alert_that_the_monitor_has_open_is_shown_once(deployed: Deployed) -> None:
    deployed.serve(range(200), errors=50)
    Watch(deployed.paths).step(deployed.now)
    assert health("fraud").count("uses up its error budget") == 1


def test_machines_get_all_of_it(deployed: Deployed) -> None:
    deployed.serve(range(100))
    (one,) = json.loads(health("--json"))
    assert one["pipeline"] == "fraud"
    assert {level["name"] for level in one["levels"]} == {"availability", "latency"}
    assert {traffic["window"] for traffic in one["traffic"]} == {"5m", "1h", "24h"}


def test_a_release_that_nobody_asked_is_shown_without_numbers(deployed: Deployed) -> None:
    (line,) = [line for line in health().splitlines() if "champion" in line]
    assert line.split()[3:6] == ["0", "0", "-"]


def test_what_is_not_deployed_is_said_with_what_is(deployed: Deployed) -> None:
    with pytest.raises(ReleaseError, match="Did you mean 'fraud'"):
        health("froud")


def test_where_nothing_is_deployed_the_way_there_is_said(deployed: Deployed) -> None:
    write_pointer(deployed.paths.pointer, Pointer())
    assert "Nothing is deployed" in health()
