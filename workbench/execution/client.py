"""The thin side of the fork server: what `python -m workbench.stages` does before any import.

Stands in for the stage towards DVC and the terminal: its death is the stage's death, its signals
and its exit status are the stage's. Imports the standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

from workbench.execution.parent import die_with_parent
from workbench.execution.warm import PATIENCE_S, VARIABLE, identity, send_request

_FORWARDED = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGTSTP,
    signal.SIGCONT,
)


def run_stage(argv: list[str], module: str = "workbench.stages") -> int | None:
    """Run `python -m MODULE *ARGV` in a process forked from the fork server, and wait for it.

    Returns its exit code, `-N` when signal N ended it (see `end_like`), or None when it was not
    started and has to start cold in this process: no server, a server that is gone or does not
    answer, or one that differs from this process. A stage that was started is never started again.

    Raises StateError when the server died while the stage ran.
    """
    path = os.environ.get(VARIABLE)
    if not path:
        return None
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.settimeout(PATIENCE_S)
            server.connect(path)
            send_request(server, _request(argv, module), [0, 1, 2])
            answer = _read_line(server)
        except OSError:
            return None
        if answer != "ready":
            _say_why(answer)
            return None
        die_with_parent()
        return _stand_in(server)


def end_like(code: int) -> NoReturn:
    """End this process as the stage ended: with its exit code, or by the same signal."""
    if code < 0:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        number = signal.Signals(-code)
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    sys.exit(code if code >= 0 else 128 - code)


def _request(argv: list[str], module: str) -> dict[str, Any]:
    umask = os.umask(0o077)
    os.umask(umask)
    ignored = [number for number in _FORWARDED if signal.getsignal(number) is signal.SIG_IGN]
    return {
        "module": module,
        "argv": argv,
        "cwd": os.getcwd(),
        "umask": umask,
        "executable": sys.executable,
        "orig_argv": sys.orig_argv,
        "ignored": ignored,
        "caught": [number for number in _FORWARDED if number not in ignored],
        "identity": identity(),
    }


def _say_why(answer: str) -> None:
    """Tell why this stage starts slowly, where the server refused it."""
    if answer.startswith("no "):
        sys.stderr.write(
            f"Not forked but started cold: {answer[3:]} differs from workbench's. "
            "The result is the same, only slower.\n"
        )


def _stand_in(server: socket.socket) -> int | None:
    """Start the agreed stage, pass signals on to it and return how it ended."""
    with _forward_signals(server):
        try:
            server.sendall(b"go")
        except OSError:
            return None  # nobody was there to hear it
        server.settimeout(None)
        with contextlib.suppress(ConnectionResetError):
            word, _, code = _read_line(server).partition(" ")
            if word == "exit":
                return int(code)
    from workbench.core.errors import StateError

    raise StateError(
        "The fork server ended while this stage ran in it, and the stage ended with it.",
        kept="results of the stages before it",
        fix="run `workbench repro` again",
    )


@contextlib.contextmanager
def _forward_signals(server: socket.socket) -> Iterator[None]:
    """Send what this process is told by signals to the stage, for the time of the block."""

    def forward(number: int, _frame: object) -> None:
        stop = number == signal.SIGTSTP
        with contextlib.suppress(OSError):
            server.send(bytes([signal.SIGSTOP if stop else number]))
        if stop:
            os.kill(os.getpid(), signal.SIGSTOP)

    before = {
        number: signal.signal(number, forward)
        for number in _FORWARDED
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _read_line(server: socket.socket) -> str:
    """Read up to a line's end, byte by byte: nothing that follows may be lost; "" at the end."""
    line = b""
    while byte := server.recv(1):
        if byte == b"\n":
            return line.decode()
        line += byte
    return ""
