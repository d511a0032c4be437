"""`workbench up`: four programs, each really there, and none left afterwards."""

from __future__ import annotations

import re
import signal
import socket
import stat
import subprocess

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
        editor = client.get(found["notebooks"])
        assert "marimo" in editor.text
        assert "auth/login" not in str(editor.url)
    with httpx.Client(trust_env=False, follow_redirects=True, timeout=60) as stranger:
        assert "auth/login" in str(stranger.get(found["notebooks"].split("?")[0]).url)
    token = desk.paths.home / "notebooks.token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600


def test_up_starts_nothing_where_a_port_is_taken(desk: Checkout) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        told = desk.workbench("up", "--mlflow-port", port)
    told.failed(f"Port {port}, meant for mlflow, is in use", "--mlflow-port")
    assert desk.processes() == []
