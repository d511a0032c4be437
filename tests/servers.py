"""Real servers for tests, on loopback, each in a folder of its own and ended by its pid."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.needs import not_run


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _postgres_binaries() -> Path:
    found = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr/pgsql").glob("*/bin")]
    on_path = shutil.which("initdb")
    if on_path:
        found.append(Path(on_path).parent)
    whole = [path for path in sorted(found) if (path / "postgres").exists()]
    return whole[-1] if whole else not_run("PostgreSQL (apt-get install postgresql)")


@contextlib.contextmanager
def postgres_url() -> Iterator[str]:
    """Yield the URL of a fresh PostgreSQL server: `postgresql://tester@127.0.0.1:PORT/postgres`.

    It trusts connections from loopback, forgets everything, and refuses to be root: as root it
    runs as `nobody`.
    """
    binaries = _postgres_binaries()
    as_user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if _is_root() else {}
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server: subprocess.Popen[bytes] | None = None
    try:
        if as_user:
            shutil.chown(folder, "nobody", "nogroup")
        subprocess.run(
            [binaries / "initdb", "-D", folder / "data", "-U", "tester", "-A", "trust", "-N"],
            check=True,
            capture_output=True,
            cwd=folder,
            **as_user,
        )
        port = free_port()
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": folder}
        options |= {"port": port, "fsync": "off", "shared_buffers": "16MB"}
        settings = [f"-c{name}={value}" for name, value in options.items()]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [binaries / "postgres", "-D", folder / "data", *settings],
                stdout=log,
                stderr=log,
                cwd=folder,
                **as_user,
            )
        _wait_until_ready(server, port, folder / "log")
        yield f"postgresql://tester@127.0.0.1:{port}/postgres"
    finally:
        if server is not None:
            server.send_signal(signal.SIGINT)  # fast shutdown: sessions are cut off
            server.wait(30)
        shutil.rmtree(folder)


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _wait_until_ready(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    import psycopg

    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(
                host="127.0.0.1", port=port, user="tester", dbname="postgres", connect_timeout=5
            ).close()
            return
        time.sleep(0.05)
    raise RuntimeError(f"PostgreSQL did not start: {log.read_text(errors='replace')}")
