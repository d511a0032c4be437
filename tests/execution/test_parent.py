from __future__ import annotations

import os
import signal
import sys

import pytest

from workbench.execution.forkserver import ForkServer

STAGE = """
import os, pathlib, sys, time
from workbench.execution.parent import die_with_parent
die_with_parent()
pathlib.Path("stage").write_text(f"{os.getpid()}\\n")
time.sleep(600)
"""

START = """
import subprocess, sys
subprocess.run(sys.argv[1:])
"""

linux = pytest.mark.skipif(sys.platform != "linux", reason="watches by polling elsewhere")


@linux
@pytest.mark.parametrize(
    "command",
    [
        ["python", "stage.py"],
        ["sh", "-c", "python stage.py"],
        ["sh", "-c", "python stage.py; true"],
        ["bash", "-c", "sh -c 'python stage.py; true'; true"],
    ],
)
def test_a_stage_dies_with_what_started_it_through_any_shell(checkout, command):
    stage = checkout.folder / "stage.py"
    stage.write_text(STAGE)
    command = [word.replace("python", sys.executable) for word in command]
    starter = checkout.start(sys.executable, "-c", START, *command)
    pid = checkout.number("stage")
    starter.kill()
    checkout.until(lambda: checkout.gone(pid))


@linux
def test_a_stage_dies_with_the_shell_between(checkout):
    (checkout.folder / "stage.py").write_text(STAGE)
    shell = checkout.start("sh", "-c", f"{sys.executable} stage.py; true")
    pid = checkout.number("stage")
    shell.kill()
    checkout.until(lambda: checkout.gone(pid))


def test_without_the_kernels_help_the_parent_is_watched(checkout):
    (checkout.folder / "stage.py").write_text(
        STAGE.replace("import os,", "import sys; sys.platform = 'darwin'\nimport os,")
    )
    starter = checkout.start(sys.executable, "-c", START, sys.executable, "stage.py")
    pid = checkout.number("stage")
    starter.kill()
    checkout.until(lambda: checkout.gone(pid))


@linux
@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
@pytest.mark.parametrize("forked", [False, True], ids=["cold", "forked"])
def test_kill_9_of_dvc_ends_the_running_stage(checkout, monkeypatch, shell, forked):
    checkout.job(STAGE)
    (checkout.folder / "client.py").write_text(checkout.client[-1])
    program = "client.py" if forked else "-m job"
    (checkout.folder / "dvc.yaml").write_text(
        f"stages:\n  wait:\n    cmd: {sys.executable} {program}\n"
    )
    monkeypatch.setenv("SHELL", shell)
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    dvc = (sys.executable, "-m", "dvc")
    assert checkout.start(*dvc, "init", "--no-scm", "-q").wait() == 0
    with ForkServer(("json",)).start() as server:
        repro = checkout.start(*dvc, "repro")
        stage = checkout.number("stage")
        assert _descends(stage, server) == forked
        os.kill(repro.pid, signal.SIGKILL)
        checkout.until(lambda: checkout.gone(stage))


def _descends(pid: int, ancestor: int) -> bool:
    while pid > 1 and pid != ancestor:
        with open(f"/proc/{pid}/stat") as stat:
            pid = int(stat.read().rpartition(")")[2].split()[1])
    return pid == ancestor
