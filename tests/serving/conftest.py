"""A checkout of its own and a real server process on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from workbench.core.paths import Paths

SERVE = """
import sys
from pathlib import Path
from workbench.core.paths import Paths
from workbench.serving.server import listen, serve

root = Path(sys.argv[1])
listening = listen(port=0)
print(listening.getsockname()[1], flush=True)
serve(Paths(root, root / ".workbench"), listening)
"""


class Server:
    """A server process of `paths` and a client that talks to it."""

    def __init__(self, paths: Paths) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", SERVE, str(paths.root)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        port = self.process.stdout.readline().strip()
        if not port:
            raise RuntimeError(self.process.communicate()[1])
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20)

    def until_loaded(self) -> dict:
        """Wait until models are loaded, or found wanting; return what readiness says."""
        return self.until(lambda said: "models" not in said["problems"])

    def until(self, holds) -> dict:
        deadline = time.monotonic() + 20
        said = {}
        while time.monotonic() < deadline and self.process.poll() is None:
            said = self.client.get("/v2/health/ready").json()
            if holds(said):
                return said
            time.sleep(0.05)
        raise RuntimeError(f"the server still says {said}")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(20)

    def stop(self) -> str:
        """End it as a person does; return what it said on stderr."""
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=20)[1]


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path, tmp_path / ".workbench")


@pytest.fixture
def serve() -> Iterator:
    """Start servers; whatever still runs at the end is ended by its pid."""
    started: list[Server] = []

    def start(paths: Paths) -> Server:
        started.append(Server(paths))
        return started[-1]

    yield start
    for server in started:
        server.client.close()
        if server.process.poll() is None:
            os.kill(server.process.pid, signal.SIGKILL)
        server.process.communicate()
