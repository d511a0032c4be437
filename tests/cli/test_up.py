"""`workbench up`: four programs, each really there, and none left afterwards."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import httpx

from tests.checkout import CLI, Checkout, ended
from tests.servers import free_port

NAMES = ("server", "mlflow", "dashboards", "notebooks")


def test_up_starts_all_four_and_ctrl_c_leaves_no_process(desk: Checkout) -> None:
    ports = {name: free_port() for name in NAMES}
    options = [word for name, port in ports.items() for word in (f"--{name}-port", str(port))]
    program = desk.start(*CLI, "up", *options)
    try:
        _all_answer(desk, program)
    finally:
        program.send_signal(signal.SIGINT)
        end = ended(program)
    assert "Traceback" not in end.ok().text
    assert desk.processes() == []


def _all_answer(desk: Checkout, program: subprocess.Popen[str]) -> None:
    assert program.stdout is not None
    told = ""
    while "all together until Ctrl-C" not in told:
        line = program.stdout.readline()
        assert line, told
        told += line
    found = dict(re.findall(r"^ +(\w+) +(http://\S+)$", told, re.M))
    assert set(found) == set(NAMES)
    with httpx.Client(trust_env=False, follow_redirects=True, timeout=60) as client:
        assert client.get(f"{found['server']}/v2/health/live").json() == {"live": True}
        assert "MLflow" in client.get(found["mlflow"]).text
        assert client.get(f"{found['dashboards']}/_stcore/health").text == "ok"
        _artefacts_are_shown_and_not_taken(client, found["mlflow"])
        editor = client.get(found["notebooks"])
        assert "marimo" in editor.text
        assert "auth/login" not in str(editor.url)
    with httpx.Client(trust_env=False, follow_redirects=True, timeout=60) as stranger:
        assert "auth/login" in str(stranger.get(found["notebooks"].split("?")[0]).url)
    assert not (desk.root / "mlartifacts").exists()
    _no_address_of_a_database_in_arguments(desk)
    log = desk.paths.home / "logs" / "notebooks.log"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    token = desk.paths.home / "notebooks.token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600


def test_up_starts_nothing_where_a_port_is_taken(desk: Checkout) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        told = desk.workbench("up", "--mlflow-port", port)
    told.failed(f"Port {port}, meant for mlflow, is in use", "--mlflow-port")
    assert desk.processes() == []


def _artefacts_are_shown_and_not_taken(client: httpx.Client, address: str) -> None:
    api = f"{address}/ajax-api/2.0/mlflow"
    (experiment,) = (
        one
        for one in client.get(f"{api}/experiments/search?max_results=9").json()["experiments"]
        if one["name"] == "small"
    )
    asked = {"experiment_ids": [experiment["experiment_id"]], "max_results": 1}
    (run,) = client.post(f"{api}/runs/search", json=asked).json()["runs"]
    id = run["info"]["run_id"]
    listed = client.get(f"{api}/artifacts/list", params={"run_id": id, "path": "run"}).json()
    assert "run/record.json" in [file["path"] for file in listed["files"]]
    where = {"run_uuid": id, "path": "run/record.json"}
    assert client.get(f"{address}/get-artifact", params=where).json()["pipeline"] == "small"
    sent = client.put(f"{api}-artifacts/artifacts/stray.txt", content=b"stray")
    assert sent.status_code >= 400


def _no_address_of_a_database_in_arguments(desk: Checkout) -> None:
    for pid in desk.processes():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            assert b"sqlite:" not in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_up_shows_the_teams_mlflow_instead_of_one_of_its_own(desk: Checkout) -> None:
    ports = {name: free_port() for name in NAMES}
    options = [word for name, port in ports.items() for word in (f"--{name}-port", str(port))]
    team = "https://lea:geheim@mlflow.example/runs"
    program = desk.start(*CLI, "up", *options, MLFLOW_TRACKING_URI=team)
    assert program.stdout is not None
    told = ""
    try:
        while "all together until Ctrl-C" not in told:
            line = program.stdout.readline()
            assert line, told
            told += line
        with httpx.Client(trust_env=False) as client:
            dashboards = f"http://127.0.0.1:{ports['dashboards']}/_stcore/stream"
            ask = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
            ask |= {"sec-websocket-key": "d29ya2JlbmNod29ya2Jlbg=="}
            for host, refused in (("evil.example", True), ("localhost", False)):
                said = client.get(dashboards, headers=ask | {"host": host})
                assert (said.status_code == 403) == refused, said
    finally:
        program.send_signal(signal.SIGINT)
        end = ended(program)
    assert "mlflow      https://***@mlflow.example/runs" in told
    assert "geheim" not in told + end.text
    assert desk.processes() == []


def test_up_says_what_is_not_installed_before_it_starts_anything(desk: Checkout) -> None:
    code = (
        "import sys; sys.modules['streamlit'] = None; sys.modules['marimo'] = None; "
        "from workbench.cli import main; main.main()"
    )
    told = desk.run(sys.executable, "-c", code, "up")
    told.failed("streamlit and marimo are not installed", "make .venv/dev", "make up")
    assert desk.processes() == []
