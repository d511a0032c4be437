"""Commands that look: runs, doctor."""

from __future__ import annotations

import json
import socket

from tests.checkout import Checkout
from workbench.cli.up import PORTS
from workbench.core.paths import STAGES


def test_runs_lists_every_stage_newest_first_with_what_it_used(desk: Checkout) -> None:
    runs = json.loads(desk.workbench("runs", "small", "--json").ok().text)
    assert [r["stage"] for r in runs] == list(reversed(STAGES))
    assert all(r["window"]["duration_s"] > 0 for r in runs)
    one = desk.workbench("runs", "--stage", "train", "--last", "1").ok().text.splitlines()
    assert len(one) == 2
    assert "train@small" in one[1]
    assert "mWh" in one[1] or "not measured" in one[1]
    assert "no such run" in desk.workbench("runs", "other").ok().text


def found(desk: Checkout, code: int) -> dict[str, dict[str, str]]:
    told = desk.workbench("doctor", "--json")
    assert told.code == code, told.text
    return {f["what"]: f for f in json.loads(told.text)}


def test_doctor_finds_a_whole_checkout_good_and_says_what_could_be_better(desk: Checkout) -> None:
    findings = found(desk, 0)
    assert {f["state"] for f in findings.values()} <= {"good", "note"}
    assert findings["DVC remote"]["state"] == "note"
    assert "dvc remote add" in findings["DVC remote"]["fix"]
    assert findings["params.yaml"]["found"] == "pipelines: small"
    assert findings["next run"]["state"] == "good"


def test_doctor_finds_broken_params_and_ends_with_1(desk: Checkout) -> None:
    params = desk.root / "params.yaml"
    text = params.read_text()
    try:
        params.write_text(text.replace("  clean:", "  claen:"))
        assert "claen" in found(desk, 1)["params.yaml"]["found"]
        desk.workbench("doctor").failed("params.yaml bad")
    finally:
        params.write_text(text)


def test_doctor_finds_a_notebook_that_is_no_python(desk: Checkout) -> None:
    notebook = desk.root / "pipelines" / "small.py"
    text = notebook.read_text()
    try:
        notebook.write_text(text + "\ndef (:\n")
        finding = found(desk, 1)["pipelines"]
        assert finding["state"] == "bad"
        assert "small.py" in finding["found"]
    finally:
        notebook.write_text(text)


def test_doctor_finds_a_port_in_use(desk: Checkout) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", PORTS["notebooks"]))
        taken.listen()
        finding = found(desk, 0)[f"port {PORTS['notebooks']} (notebooks)"]
    assert finding["state"] == "note"
    assert "--notebooks-port" in finding["fix"]


def test_doctor_shows_no_password(desk: Checkout) -> None:
    there = {
        "MLFLOW_TRACKING_URI": "https://:ge#he/im@mlflow.example",
        "WORKBENCH_LEDGER_URL": "postgresql://lea@db.example/ledger?password=geheim",
    }
    told = desk.workbench("doctor", "--json", **there)
    assert "heim" not in told.text
    findings = {f["what"]: f["found"] for f in json.loads(told.text)}
    assert findings["tracking (MLflow)"] == "https://***@mlflow.example"
    assert findings["ledger"] == "postgresql://***@db.example/ledger?password=***"
