"""A warm process that stages are forked from. Runs as a script, with the standard library only.

Three kinds of process, all begun in this file:

    server   imports the preload list one by one and, between two, forks a minder for each request
    minder   compares the client with the server, forks the stage, passes signals and exit status
    stage    becomes what `python -m workbench.stages ...` would be, then runs the code on disk

Nobody outlives whom it works for: the minder kills the stage when the client or the owner is gone,
and the kernel ends minder and stage when the server dies.

The server imports none of our packages, so a stage always runs the code that is on disk. A client
that a cold start would treat differently (another interpreter, flag or environment variable, say
OMP_NUM_THREADS) is refused and starts cold.

What a forked stage shares with its siblings, unlike a cold one: the seed of `hash()`, and resource
limits, CPU affinity and cgroup, which are the owner's. Its `ru_maxrss` starts at what the server
holds (about 0.6 GB with everything loaded).

Linux only: elsewhere system libraries do not survive a fork, and stages start cold.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]  # the folder of this file, which `python FILE` puts first

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import threading
import warnings
from typing import Any, NamedTuple, NoReturn

VARIABLE = "WORKBENCH_FORKSERVER"
"""Environment variable with the path of the server's socket."""

PATIENCE_S = 60.0
"""How long client and minder wait for each other before the stage has started."""

_OWN_VARIABLES = ("DVC_", "WORKBENCH_")
_SHELL_VARIABLES = frozenset(
    {"_", "COLUMNS", "LINES", "OLDPWD", "PWD", "SHLVL"}
    # Prompts: `activate` may export them, and DVC's shell, which asks nobody, takes them away.
    | {"PS1", "PS2", "PS3", "PS4", "PROMPT", "PROMPT_COMMAND", "RPROMPT", "RPS1", "RPS2"}
)
_PR_SET_PDEATHSIG = 1


# ---- protocol ------------------------------------------------------------------------------------


def identity() -> dict[str, Any]:
    """What must be the same in client and server for a fork to equal a cold start."""
    return {
        "interpreter": os.path.realpath(sys.executable),
        "prefix": sys.prefix,
        "version": sys.version,
        "flags": list(sys.flags),
        "warnings": list(sys.warnoptions),
        "options": dict(sys._xoptions),
        "buffering": bool(getattr(sys.stdout, "write_through", False)),
        "environ": dict(os.environ),
    }


def difference(client: dict[str, Any], server: dict[str, Any]) -> str | None:
    """Name the first thing that would make a forked stage differ from a cold one."""
    for key in server.keys() - {"environ"}:
        if client[key] != server[key]:
            return f"Python's {key}"
    ours, theirs = client["environ"], server["environ"]
    for name in sorted(ours.keys() | theirs.keys()):
        free = name.startswith(_OWN_VARIABLES) or name in _SHELL_VARIABLES
        if not free and ours.get(name) != theirs.get(name):
            return name
    return None


def send_request(connection: socket.socket, request: dict[str, Any], fds: list[int]) -> None:
    """Send a request and the open files 0, 1 and 2 that come with it."""
    content = json.dumps(request).encode()
    socket.send_fds(connection, [len(content).to_bytes(8, "big")], fds)
    connection.sendall(content)


def _receive_request(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Read what `send_request` sent."""
    size, fds, _, _ = socket.recv_fds(connection, 8, 3)
    return json.loads(_read(connection, int.from_bytes(size, "big"))), fds


def _read(connection: socket.socket, size: int) -> bytes:
    """Read `size` bytes; EOFError when the client left before."""
    content = b""
    while len(content) < size:
        part = connection.recv(size - len(content))
        if not part:
            raise EOFError
        content += part
    return content


# ---- server --------------------------------------------------------------------------------------


class _Stage(NamedTuple):
    """What a freshly forked process has to become."""

    request: dict[str, Any]
    fds: list[int]
    environ: dict[str, str]


def _serve(listener: socket.socket, lifeline: int, preload: list[str]) -> _Stage | None:
    """Load and fork until the owner is gone; returns a stage only in a process forked for it."""
    itself = identity()
    events = select.poll()
    events.register(listener, select.POLLIN)
    events.register(lifeline, select.POLLIN)
    minders: list[int] = []
    while True:
        ready = [fd for fd, _ in events.poll(0 if preload else None)]
        if lifeline in ready:
            _remove(listener.getsockname())
            return None
        if listener.fileno() in ready:
            connection, _ = listener.accept()
            minder = _fork()
            if minder == 0:
                listener.close()
                return _mind(connection, lifeline, itself)
            connection.close()
            minders = [pid for pid in [*minders, minder] if os.waitpid(pid, os.WNOHANG)[0] == 0]
        elif preload:
            _load(preload.pop(0))


def _remove(path: str) -> None:
    """Remove the socket and its folder, which the owner can no longer do."""
    with contextlib.suppress(OSError):
        os.unlink(path)
        os.rmdir(os.path.dirname(path))


def _load(name: str) -> None:
    """Import one module. A stage that needs a missing or broken one says so itself."""
    with contextlib.suppress(Exception):
        importlib.import_module(name)  # dynamic: third-party names of PRELOAD


def _fork() -> int:
    """Fork; return 0 in the child, which dies with its parent."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    gc.freeze()  # what is shared stays shared: the collector no longer touches it
    parent = os.getpid()
    with warnings.catch_warnings():
        # Python 3.12 warns of threads. Those here are idle pools of OpenBLAS and jemalloc, which
        # have fork handlers; tests/execution compares results with those of a cold start.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        _die_with(parent)
    return pid


def _die_with(parent: int) -> None:
    """As `parent.die_with_parent`, which this file must not import."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


# ---- minder --------------------------------------------------------------------------------------


def _mind(connection: socket.socket, lifeline: int, server: dict[str, Any]) -> _Stage | None:
    """Fork the stage that the client asks for and watch it; returns only in the stage."""
    try:
        stage = _agree(connection, server)
        if stage is not None:
            pid = _fork()
            if pid == 0:
                os.setpgid(0, 0)
                connection.close()
                os.close(lifeline)
                return stage
            for fd in stage.fds:
                os.close(fd)
            _watch(pid, connection, lifeline)
    except (EOFError, ConnectionError, TimeoutError):
        pass  # the client left, and nothing is left to do for it
    except Exception as error:
        sys.excepthook(type(error), error, error.__traceback__)
    os._exit(0)


def _agree(connection: socket.socket, server: dict[str, Any]) -> _Stage | None:
    """Read the request and answer it; nothing runs before the client says `go`."""
    connection.settimeout(PATIENCE_S)
    request, fds = _receive_request(connection)
    differs = difference(request["identity"], server)
    if differs is not None:
        connection.sendall(f"no {differs}\n".encode())
        return None
    connection.sendall(b"ready\n")
    _read(connection, len(b"go"))
    connection.settimeout(None)
    return _Stage(request, fds, _environ(request["identity"]["environ"], server["environ"]))


def _environ(client: dict[str, str], server: dict[str, str]) -> dict[str, str]:
    """The client's variables and those that the imports have set, as they would have there."""
    loaded = {name: value for name, value in os.environ.items() if server.get(name) != value}
    environ = {**client, **loaded}
    environ.pop(VARIABLE, None)  # a stage that asked again would never begin
    return environ


def _watch(pid: int, connection: socket.socket, lifeline: int) -> None:
    """Pass the client's signals on until the stage ends, then tell how; end it with them."""
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid)  # the stage does the same; whoever comes first
    handle = os.pidfd_open(pid)
    events = select.poll()
    for fd in (connection.fileno(), lifeline, handle):
        events.register(fd, select.POLLIN)
    while True:
        ready = [fd for fd, _ in events.poll()]
        if handle in ready:
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            connection.sendall(f"exit {code}\n".encode())
            return
        numbers = b"" if lifeline in ready else _signals(connection)
        if not numbers:
            os.killpg(pid, signal.SIGKILL)
            return
        for number in numbers:
            # A terminal interrupts a stage with all that it started; `kill` means the stage.
            (os.kill if number == signal.SIGTERM else os.killpg)(pid, number)


def _signals(connection: socket.socket) -> bytes:
    """Numbers of the signals that the client caught; none when it is gone."""
    try:
        return connection.recv(64)
    except ConnectionResetError:
        return b""


# ---- stage ---------------------------------------------------------------------------------------


def _become(stage: _Stage) -> NoReturn:
    """Turn this process into what a cold start would be, run the module and end."""
    request = stage.request
    for target, fd in enumerate(stage.fds):
        os.dup2(fd, target)
        os.close(fd)
    os.chdir(request["cwd"])
    os.umask(request["umask"])
    os.environ.clear()
    os.environ.update(stage.environ)
    _reset_interpreter(request)
    _leave(_run_module(request["module"]))


def _reset_interpreter(request: dict[str, Any]) -> None:
    """Undo what this process inherited and a new interpreter would not have."""
    for number in request["caught"]:
        signal.signal(number, signal.SIG_DFL)
    for number in request["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    if signal.SIGINT in request["caught"]:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):
        lines = os.isatty(1) and not sys.stdout.write_through
        sys.stdout.reconfigure(line_buffering=lines)
    sys.executable = request["executable"]  # dynamic: as at a cold start
    sys.orig_argv = request["orig_argv"]  # dynamic: the same
    sys.argv = ["-m", *request["argv"]]  # dynamic: the same
    if not sys.flags.safe_path:
        sys.path.insert(0, request["cwd"])
    importlib.invalidate_caches()
    # `random` seeds itself after a fork; the global generators of NumPy and torch do not.
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.seed()


def _run_module(module: str) -> int:
    """Run the code; return the exit status that the interpreter would give (`-N`: signal N)."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        sys.stderr.write(f"{end.code}\n")
        return 1
    except BaseException as error:
        here = error.__traceback__
        sys.excepthook(type(error), error, here and here.tb_next)
        return -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _leave(code: int) -> NoReturn:
    """End in the interpreter's order, except that modules are not torn down.

    Tearing down thousands of shared modules would copy their pages and took longer than many a
    stage: 1.5 s. So a file that a module other than the stage's own main keeps open is not flushed.
    """
    threading._shutdown()  # type: ignore[attr-defined]  # as multiprocessing ends its forks
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        sys.stderr.write(f"Exception ignored in: {sys.stdout}\n{type(error).__name__}: {error}\n")
        code = 120  # the interpreter's word for it
    if code == -signal.SIGINT:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code & 0xFF)


def _main(arguments: list[str]) -> None:
    """Run the server; in a process forked for a stage, become that stage."""
    listener = socket.socket(fileno=int(arguments[0]))
    stage = _serve(listener, int(arguments[1]), arguments[2:])
    if stage is not None:
        _become(stage)


if __name__ == "__main__":
    _main(sys.argv[1:])
