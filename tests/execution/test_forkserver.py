from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.execution.client import run_stage
from workbench.execution.forkserver import ForkServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="stages start cold elsewhere")

DESCRIBE = """
    import json, os, signal, sys
    print(json.dumps({
        "name": __name__, "spec": __spec__.name, "file": __file__,
        "main": vars(sys.modules["__main__"]) is globals(), "umask": os.umask(0),
        "argv": sys.argv, "orig_argv": len(sys.orig_argv), "path": sys.path, "cwd": os.getcwd(),
        "flags": list(sys.flags), "executable": sys.executable,
        "environ": {k: v for k, v in os.environ.items() if k != "WORKBENCH_FORKSERVER"},
        "files": sorted(os.listdir("/proc/self/fd"))[:-1], "stdin": sys.stdin.read(),
        "buffers": [sys.stdout.line_buffering, sys.stderr.line_buffering],
        "signals": [str(signal.getsignal(s)) for s in signal.Signals if s not in (9, 19)],
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    }, indent=1, default=str))
    print("ends with", "a line on stderr", file=sys.stderr)
    sys.exit(7)
"""

WAIT = """
    import os, pathlib, signal, time, sys
    pathlib.Path(sys.argv[1]).write_text(f"{os.getpid()}\\n")
    while True:
        signal.pause()
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_forked_stage_finds_what_a_cold_one_finds(checkout, monkeypatch, unbuffered):
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    checkout.job(DESCRIBE)
    before = os.umask(0o027)
    try:
        with ForkServer(("json",)).start():
            forked, cold = checkout.forked("a", "b c"), checkout.cold("a", "b c")
            texts = [process.communicate("typed") for process in (forked, cold)]
    finally:
        os.umask(before)
    (out, err), (cold_out, cold_err) = texts
    found, expected = json.loads(out), json.loads(cold_out)
    expected["orig_argv"] = found["orig_argv"]  # the client's, which this test starts by -c
    assert found == expected
    assert err == cold_err
    assert forked.returncode == cold.returncode == 7


@pytest.mark.parametrize(
    ("job", "code"),
    [
        ("pass", 0),
        ("raise SystemExit('no such table')", 1),
        ("import os; os._exit(3)", 3),
        ("import os; os.kill(os.getpid(), 15)", -15),
        ("import os; os.kill(os.getpid(), 9)", -9),
        ("raise KeyboardInterrupt", -2),
        ("import atexit; atexit.register(print, 'last words')", 0),
        ("import threading; threading.Timer(0.1, print, ['late']).start()", 0),
        ("import sys; sys.exit(300)", 44),
        ("import os; print('lost'); os.close(1)", 120),
        ("1 / 0", 1),
    ],
)
def test_a_forked_stage_ends_as_a_cold_one(checkout, job, code):
    checkout.job(job)
    with ForkServer(("json",)).start():
        forked, cold = checkout.forked(), checkout.cold()
        (out, err), (cold_out, cold_err) = forked.communicate(), cold.communicate()
    assert forked.returncode == cold.returncode == code
    assert out == cold_out
    assert err.splitlines()[-1:] == cold_err.splitlines()[-1:]


def test_a_file_that_the_stage_left_open_is_written(checkout):
    checkout.job("file = open('out', 'w'); file.write('all of it')")
    with ForkServer(("json",)).start():
        checkout.forked().communicate()
    assert (checkout.folder / "out").read_text() == "all of it"


def test_nothing_of_ours_is_loaded_before_the_stage_so_edits_are_live(checkout):
    ours = "sorted(m for m in sys.modules if m.split('.')[0] in ('workbench', 'pipelines'))"
    with ForkServer(("json", "decimal")).start():
        for edit in ("first", "second"):
            checkout.job(f"import sys; print({ours}, 'decimal' in sys.modules, '{edit}')")
            out, _ = checkout.forked().communicate()
            if edit == "first":  # it may have been asked before all was loaded
                assert out.startswith("[] ")
            else:
                assert out == "[] True second\n"


def test_a_missing_or_broken_module_is_left_out(checkout, tmp_path):
    (tmp_path / "broken.py").write_text("raise RuntimeError")
    checkout.job("import sys; print('decimal' in sys.modules)")
    with ForkServer(("no_such_module", "broken", "decimal")).start():
        checkout.until(lambda: checkout.forked().communicate()[0] == "True\n")


def test_random_numbers_differ_between_stages_as_between_cold_ones(checkout):
    checkout.job("import random, numpy; print(random.random(), numpy.random.random())")
    with ForkServer(("numpy",)).start():
        first, second = (checkout.forked().communicate()[0].split() for _ in range(2))
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_two_stages_run_at_once(checkout):
    checkout.job("""
        import pathlib, sys, time
        mine, other = map(pathlib.Path, sys.argv[1:])
        mine.touch()
        while not other.exists():
            time.sleep(0.01)
    """)
    with ForkServer(("json",)).start():
        both = checkout.forked("x", "y"), checkout.forked("y", "x")
        for process in both:
            process.communicate(timeout=60)
        assert [process.returncode for process in both] == [0, 0]


def test_without_a_server_a_stage_starts_cold(checkout, monkeypatch, tmp_path):
    assert run_stage([]) is None
    monkeypatch.setenv("WORKBENCH_FORKSERVER", str(tmp_path / "nobody"))
    assert run_stage([]) is None


def test_a_server_that_died_before_it_was_asked_means_a_cold_start(checkout):
    checkout.job("print('ran')")
    with ForkServer(("json",)).start() as pid:
        os.kill(pid, signal.SIGKILL)
        checkout.until(lambda: checkout.gone(pid))
        forked = checkout.forked()
        assert forked.communicate() == ("", "cold\n")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", "cold\n"),
        (b"ready\n", "The fork server ended while this stage ran"),
    ],
)
def test_a_stage_that_may_have_started_is_never_started_again(checkout, answer, error):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(checkout.folder / "s"))
        listener.listen()
        client = checkout.forked(WORKBENCH_FORKSERVER="s")
        connection, _ = listener.accept()
        with connection:
            connection.sendall(answer)
            heard = b""
            while answer and not heard.endswith(b"go"):
                heard += connection.recv(65536)
        _, err = client.communicate()
    assert error in err


def test_a_stage_with_another_environment_starts_cold_and_says_why(checkout):
    with ForkServer(("json",)).start():
        out, err = checkout.forked(OMP_NUM_THREADS="1").communicate()
    assert out == ""
    assert "started cold: OMP_NUM_THREADS differs" in err
    assert "The result is the same, only slower." in err


@pytest.mark.parametrize("option", ["-O", "-Wignore", "-Xdev"])
def test_a_stage_with_other_python_options_starts_cold_and_says_why(checkout, option):
    program, *client = checkout.client
    with ForkServer(("json",)).start():
        out, err = checkout.start(program, option, *client).communicate()
    assert out == ""
    assert "started cold: Python's" in err


def test_variables_of_dvc_and_of_the_shell_do_not_matter_and_arrive(checkout):
    checkout.job("import os; print(os.environ['DVC_STAGE'], os.environ['SHLVL'])")
    with ForkServer(("json",)).start():
        out, _ = checkout.forked(DVC_STAGE="train@fraud", SHLVL="9").communicate()
    assert out == "train@fraud 9\n"


@pytest.mark.parametrize("name", ["PS1", "PS2", "PROMPT", "PROMPT_COMMAND", "RPS1"])
def test_a_prompt_that_activate_exports_and_the_shell_takes_away_does_not_matter(
    checkout, monkeypatch, name
):
    checkout.job(f"import os; print(os.environ.get('{name}'))")
    monkeypatch.setenv(name, "(.venv) $ ")
    with ForkServer(("json",)).start():
        monkeypatch.delenv(name)
        out, err = checkout.forked().communicate()
    assert (out, err) == ("None\n", "")


def test_what_imports_set_in_the_environment_arrives_too(checkout, tmp_path):
    (tmp_path / "setter.py").write_text("import os; os.environ['SET_BY_IMPORT'] = '1'")
    checkout.job("import os, sys; print('setter' in sys.modules, os.environ.get('SET_BY_IMPORT'))")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{os.environ['PYTHONPATH']}:{tmp_path}")
        with ForkServer(("setter",)).start():
            checkout.until(lambda: checkout.forked().communicate()[0] == "True 1\n")


def test_a_killed_client_takes_its_stage_and_what_that_started_along(checkout):
    checkout.job("""
        import os, pathlib, subprocess, sys, time
        helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        pathlib.Path("helper").write_text(f"{helper.pid}\\n")
        pathlib.Path("stage").write_text(f"{os.getpid()}\\n")
        time.sleep(600)
    """)
    with ForkServer(("json",)).start() as server:
        client = checkout.forked()
        stage, helper = checkout.number("stage"), checkout.number("helper")
        client.kill()
        checkout.until(lambda: checkout.gone(stage) and checkout.gone(helper))
        assert not checkout.gone(server)


def test_a_killed_server_takes_its_stage_along_and_the_client_says_so(checkout):
    checkout.job(WAIT)
    with ForkServer(("json",)).start() as server:
        client = checkout.forked("stage")
        stage = checkout.number("stage")
        os.kill(server, signal.SIGKILL)
        _, err = client.communicate()
        checkout.until(lambda: checkout.gone(stage))
    assert client.returncode == 1
    assert "The fork server ended while this stage ran" in err


def test_a_killed_owner_takes_server_and_stage_along(checkout):
    checkout.job(WAIT)
    owner = checkout.start(
        sys.executable,
        "-c",
        "import pathlib, os, signal\n"
        "from workbench.execution.forkserver import ForkServer\n"
        "with ForkServer(('json',)).start() as pid:\n"
        "    pathlib.Path('socket').write_text(os.environ['WORKBENCH_FORKSERVER'])\n"
        "    pathlib.Path('server').write_text(f'{pid}\\n')\n"
        "    signal.pause()\n",
    )
    server = checkout.number("server")
    path = (checkout.folder / "socket").read_text()
    client = checkout.forked("stage", WORKBENCH_FORKSERVER=path)
    stage = checkout.number("stage")
    owner.kill()
    client.communicate()
    checkout.until(lambda: checkout.gone(server) and checkout.gone(stage))
    assert not Path(path).parent.exists()


def test_the_end_of_the_block_ends_server_and_stage_and_leaves_nothing(checkout):
    checkout.job(WAIT)
    with ForkServer(("json",)).start() as server:
        path = Path(os.environ["WORKBENCH_FORKSERVER"])
        assert path.parent.stat().st_mode & 0o777 == 0o700
        checkout.forked("stage")
        stage = checkout.number("stage")
    checkout.until(lambda: checkout.gone(server) and checkout.gone(stage))
    assert not path.parent.exists()
    assert "WORKBENCH_FORKSERVER" not in os.environ


def test_ctrl_c_reaches_the_stage_once(checkout):
    checkout.job("""
        import pathlib, os, time
        pathlib.Path("stage").write_text(f"{os.getpid()}\\n")
        try:
            time.sleep(600)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        time.sleep(0.5)  # a second one would end it here
        print("tidied")
    """)
    with ForkServer(("json",)).start():
        client = checkout.forked()
        checkout.number("stage")
        os.killpg(client.pid, signal.SIGINT)  # what a terminal does
        out, err = client.communicate()
    assert (out, err, client.returncode) == ("interrupted\ntidied\n", "", 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_the_stage_ends_the_client_alike(checkout, number):
    checkout.job(WAIT)
    with ForkServer(("json",)).start():
        client = checkout.forked("stage")
        checkout.number("stage")
        client.send_signal(number)
        client.communicate()
    assert client.returncode == -number


def test_a_stage_stops_and_goes_on_with_its_client(checkout):
    checkout.job(WAIT)
    with ForkServer(("json",)).start():
        client = checkout.forked("stage")
        stage = checkout.number("stage")
        client.send_signal(signal.SIGTSTP)
        checkout.until(lambda: checkout.state(stage) == checkout.state(client.pid) == "T")
        client.send_signal(signal.SIGCONT)
        checkout.until(lambda: checkout.state(stage) == "S")
        client.kill()


def test_an_ignored_signal_stays_ignored(checkout):
    checkout.job("import signal; print(signal.getsignal(signal.SIGHUP).name)")
    with ForkServer(("json",)).start():
        client = checkout.start("nohup", *checkout.client)
        assert client.communicate()[0] == "SIG_IGN\n"


def test_the_client_imports_nothing_heavy(checkout):
    source = """if True:
        import sys
        before = set(sys.modules)
        import workbench.execution.client
        print(*set(sys.modules) - before)
    """
    out = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    loaded = set(out.stdout.split())
    ours = {name for name in loaded if name.partition(".")[0] == "workbench"}
    assert {name.partition(".")[0] for name in loaded - ours} <= sys.stdlib_module_names
    assert ours == {"workbench", "workbench.execution"} | {
        f"workbench.execution.{name}" for name in ("client", "parent", "warm")
    }
