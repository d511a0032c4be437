"""Several programs that start together and stop together."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from workbench.core.errors import BusyError
from workbench.core.secrets import private, private_folder
from workbench.execution.keeper import start_keeper

SLOW_S = 10.0
"""After so long without listening, it is said what is waited for."""
STOP_S = 10.0


@dataclass(frozen=True)
class Program:
    """A server: what starts it, and the port of 127.0.0.1 that it will listen on.

    query: what its address needs besides, such as a token.
    """

    name: str
    port: int
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    query: str = ""

    @property
    def address(self) -> str:
        """Where a person finds it."""
        return f"http://127.0.0.1:{self.port}{'/' if self.query else ''}{self.query}"


def run_together(
    programs: Sequence[Program], *, cwd: Path, logs: Path, say: Callable[..., None]
) -> bool:
    """Start every program, say where each is, and wait; when one ends or on Ctrl-C, stop all.

    Output goes to `logs`/<name>.log. Returns whether a person stopped them. BusyError names a port
    that is taken, before anything starts.
    """
    for program in programs:
        if _listens(program.port):
            raise BusyError(
                f"Port {program.port}, meant for {program.name}, is in use.",
                fix=f"stop what listens there, or give --{program.name}-port",
            )
    private_folder(logs)
    # A closed terminal hangs up; what runs in groups of its own would outlive it.
    ends = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    previous = {number: signal.signal(number, _as_interrupt) for number in ends}
    running: list[tuple[Program, subprocess.Popen[bytes]]] = []
    keeper = start_keeper()
    assert keeper.stdin is not None  # asked for
    try:
        for program in programs:
            running.append((program, _start(program, cwd, logs)))
            print(running[-1][1].pid, file=keeper.stdin, flush=True)
        say(f"starting {', '.join(program.name for program in programs)}", "dim")
        _wait_until_ready(running, logs, say)
        if all(process.poll() is None for _, process in running):
            say("all together until Ctrl-C", "dim")
        while all(process.poll() is None for _, process in running):
            time.sleep(0.5)
        _tell_ended(running, logs, say)
        return False
    except KeyboardInterrupt:
        say("stopping", "dim")
        return True
    finally:
        for number in ends:  # an impatient second Ctrl-C must not leave half of them running
            signal.signal(number, signal.SIG_IGN)
        _stop(running)
        keeper.communicate("done\n")
        for number, handler in previous.items():
            signal.signal(number, handler)


def _as_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _start(program: Program, cwd: Path, logs: Path) -> subprocess.Popen[bytes]:
    path = logs / f"{program.name}.log"
    path.unlink(missing_ok=True)  # an older one may be open to all
    # What a program says may hold a token, and other users of the machine must not read it.
    with open(path, "xb", opener=private) as log:
        # A group of its own: Ctrl-C reaches us first, and children of the program end with it.
        return subprocess.Popen(
            program.command,
            cwd=cwd,
            env={**os.environ, **program.environment},
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


def _wait_until_ready(
    running: Sequence[tuple[Program, subprocess.Popen[bytes]]], logs: Path, say: Callable[..., None]
) -> None:
    """Say where each is once it listens; return when all do, or when one has ended."""
    waiting = list(running)
    slow_at = time.monotonic() + SLOW_S
    while waiting:
        for program, process in list(waiting):
            if process.poll() is not None:
                return
            if _listens(program.port):
                say(f"  {program.name:<11} {program.address}")
                waiting.remove((program, process))
        if waiting and time.monotonic() > slow_at:
            names = ", ".join(program.name for program, _ in waiting)
            verb = "is" if len(waiting) == 1 else "are"
            say(f"  {names} {verb} still starting; see {logs}", "dim")
            slow_at += SLOW_S
        time.sleep(0.2)


def _tell_ended(
    running: Sequence[tuple[Program, subprocess.Popen[bytes]]], logs: Path, say: Callable[..., None]
) -> None:
    for program, process in running:
        if process.poll() is not None:
            last = (
                (logs / f"{program.name}.log").read_text(errors="replace").strip().splitlines()[-3:]
            )
            say(f"{program.name} ended with {process.returncode}: {' / '.join(last)}", "red")


def _stop(running: Sequence[tuple[Program, subprocess.Popen[bytes]]]) -> None:
    """Ask every group to end, then make what is left of it end, children of children too."""
    for _, process in running:
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    for _, process in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.1, deadline - time.monotonic()))
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0
