from __future__ import annotations

import os
import signal
import sys

import pytest

from workbench.core.errors import BusyError
from workbench.execution.lock import hold

HOLD = """
import os, pathlib, signal, sys
from workbench.execution.lock import hold
with hold(pathlib.Path("lock"), "stage train of fraud"):
    pathlib.Path("holder").write_text(f"{os.getpid()}\\n")
    signal.pause()
"""

HOLD_AND_FORK = """
import os, pathlib, signal, sys
from workbench.execution.lock import hold
with hold(pathlib.Path("lock"), "stage train of fraud"):
    if os.fork() == 0:
        pathlib.Path("helper").write_text(f"{os.getpid()}\\n")
    else:
        pathlib.Path("holder").write_text(f"{os.getpid()}\\n")
    signal.pause()
"""


def test_a_lock_that_is_held_names_what_is_busy_its_holder_and_what_to_do(checkout):
    checkout.start(sys.executable, "-c", HOLD)
    pid = checkout.number("holder")
    with (
        pytest.raises(BusyError, match=f"stage train of fraud is busy: process {pid}") as caught,
        hold(checkout.folder / "lock", "stage train of fraud"),
    ):
        pass
    assert f"kill {pid}" in str(caught.value)


def test_the_kernel_frees_the_lock_of_a_killed_holder(checkout):
    holder = checkout.start(sys.executable, "-c", HOLD)
    checkout.number("holder")
    holder.kill()
    holder.wait()
    with hold(checkout.folder / "lock", "stage train of fraud"):
        assert (checkout.folder / "lock").read_text() == f"{os.getpid()}\n"


def test_waiting_gets_the_lock_when_the_holder_ends(checkout):
    holder = checkout.start(sys.executable, "-c", HOLD)
    checkout.number("holder")
    waiter = checkout.start(
        sys.executable,
        "-c",
        "import pathlib\n"
        "from workbench.execution.lock import hold\n"
        "pathlib.Path('waits').write_text('1\\n')\n"
        "with hold(pathlib.Path('lock'), 'stage', wait_s=60):\n"
        "    print('got it')\n",
    )
    checkout.number("waits")
    holder.kill()
    assert waiter.communicate()[0] == "got it\n"


def test_the_lock_is_free_after_the_block_even_after_an_error(tmp_path):
    lock = tmp_path / "locks" / "train.lock"
    with pytest.raises(ValueError, match="inside"), hold(lock, "stage"):
        raise ValueError("inside")
    with hold(lock, "stage"):
        pass
    assert lock.read_text() == ""


def test_programs_started_under_the_lock_do_not_hold_it(checkout):
    lock = checkout.folder / "lock"
    with hold(lock, "stage"):
        program = checkout.start("sleep", "600")
    with hold(lock, "stage"):
        assert program.poll() is None


def test_a_forked_helper_guards_the_outputs_of_a_killed_holder_and_the_error_says_so(checkout):
    holder = checkout.start(sys.executable, "-c", HOLD_AND_FORK)
    checkout.number("holder")
    helper = checkout.number("helper")
    holder.kill()
    holder.wait()
    try:
        with (
            pytest.raises(BusyError, match="forked still runs"),
            hold(checkout.folder / "lock", "stage"),
        ):
            pass
    finally:
        os.kill(helper, signal.SIGKILL)


def test_a_forked_helper_that_leaves_the_block_does_not_free_it(checkout):
    lock = checkout.folder / "lock"
    with hold(lock, "stage"):
        out, _ = checkout.start(
            sys.executable,
            "-c",
            "import os, pathlib, sys\n"
            "from workbench.execution.lock import hold\n"
            "other = pathlib.Path('other')\n"
            "with hold(other, 'stage'):\n"
            "    pid = os.fork()\n"
            "    if pid == 0:\n"
            "        raise SystemExit\n"
            "    os.waitpid(pid, 0)\n"
            "    ask = 'import pathlib; from workbench.execution.lock import hold;'\n"
            '    ask += \'hold(pathlib.Path("other"), "stage").__enter__()\'\n'
            "    print(os.spawnl(os.P_WAIT, sys.executable, sys.executable, '-c', ask))\n",
        ).communicate()
    assert out == "1\n"
