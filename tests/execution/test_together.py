"""Programs that start and stop together, with whatever happens to one of them."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.servers import free_port
from workbench.execution.together import Program, run_together

SERVER = "import http.server, sys; http.server.test(port=int(sys.argv[1]), bind='127.0.0.1')"
RUN = """
import sys
from pathlib import Path
from workbench.execution.together import Program, run_together
here = Path(sys.argv[1])
made = [Program(str(p), int(p), (sys.executable, "-c", sys.argv[2], p)) for p in sys.argv[3:]]
print(run_together(made, cwd=here, logs=here / "logs", say=lambda *a: print(*a, flush=True)))
"""


def server(name: str, code: str = SERVER) -> Program:
    port = free_port()
    return Program(name, port, (sys.executable, "-c", code, str(port)))


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_when_one_ends_the_others_are_stopped_and_its_last_words_are_told(tmp_path: Path) -> None:
    said: list[str] = []
    short = server("short", "raise SystemExit('no more paper')")
    long = server("long", f"import os; open('long', 'w').write(str(os.getpid())); {SERVER}")
    assert not run_together(
        [long, short], cwd=tmp_path, logs=tmp_path / "logs", say=lambda text, *_: said.append(text)
    )
    assert said[-1] == "short ended with 1: no more paper"
    written = tmp_path / "long"
    assert not written.exists() or not lives(int(written.read_text() or 0))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_person_a_manager_and_a_closed_terminal_stop_them_all(
    tmp_path: Path, number: signal.Signals
) -> None:
    code = f"import os, sys; open(sys.argv[1], 'w').write(str(os.getpid())); {SERVER}"
    ports = [str(free_port()), str(free_port())]
    program = subprocess.Popen(
        [sys.executable, "-c", RUN, str(tmp_path), code, *ports],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert program.stdout is not None
    while "all together" not in program.stdout.readline():
        assert program.poll() is None
    program.send_signal(number)
    told, _ = program.communicate(timeout=60)
    assert told.split() == ["stopping", "dim", "True"]
    assert not any(lives(int((tmp_path / port).read_text())) for port in ports)


def test_a_child_that_will_not_end_is_ended(tmp_path: Path) -> None:
    """The program ends when asked; its child does not, and has its output no longer."""
    code = (
        "import os, signal, sys, time\n"
        "if os.fork() == 0:\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "    open('child', 'w').write(str(os.getpid()))\n"
        "    time.sleep(600)\n"
        "while not os.path.exists('child'): time.sleep(0.01)\n"
        f"{SERVER}"
    )
    stubborn = server("stubborn", code)
    short = server("short", "import os, time\nwhile not os.path.exists('child'): time.sleep(0.01)")
    run_together([stubborn, short], cwd=tmp_path, logs=tmp_path / "logs", say=lambda *_: None)
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 60
    while lives(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    alive = lives(child)
    if alive:
        os.kill(child, signal.SIGKILL)
    assert not alive


def test_programs_end_when_what_started_them_is_killed(tmp_path: Path) -> None:
    code = f"import os, sys; open(sys.argv[1], 'w').write(str(os.getpid())); {SERVER}"
    ports = [str(free_port()), str(free_port())]
    program = subprocess.Popen(
        [sys.executable, "-c", RUN, str(tmp_path), code, *ports],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert program.stdout is not None
    while "all together" not in program.stdout.readline():
        assert program.poll() is None
    pids = [int((tmp_path / port).read_text()) for port in ports]
    program.kill()
    program.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while any(lives(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(lives(pid) for pid in pids)


def test_what_programs_say_is_read_by_their_owner_alone(tmp_path: Path) -> None:
    logs = tmp_path / "home" / "logs"
    short = server("short", "raise SystemExit('http://127.0.0.1/?access_token=secret')")
    for _ in range(2):
        run_together([short], cwd=tmp_path, logs=logs, say=lambda *_: None)
        log = logs / "short.log"
        assert "access_token" in log.read_text()
        assert stat.S_IMODE(log.stat().st_mode) == 0o600
        log.chmod(0o644)  # as earlier versions left it
    assert stat.S_IMODE(logs.stat().st_mode) == 0o700
