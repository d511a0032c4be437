"""One real server for all protocols: every kind of pipeline, asked by the clients people have."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.serving import bundles
from tests.serving.conftest import Server
from tests.serving.test_app import Asgi
from workbench.core.paths import Paths

NAMES = ("fraud", "shop", "drive", "ask", "fragile", "talk")


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """A checkout with six pipelines released; only to be looked at."""
    root = tmp_path_factory.mktemp("protocols")
    paths = Paths(root, root / ".workbench")
    for name in NAMES:
        bundles.release(paths, name, getattr(bundles, name)(root / name), number=3)
    return paths


@pytest.fixture(scope="session")
def server(released: Paths) -> Iterator[Server]:
    """A process that serves them on loopback."""
    one = Server(released)
    try:
        one.until_loaded()
        yield one
    finally:
        one.client.close()
        if one.process.poll() is None:
            os.kill(one.process.pid, signal.SIGKILL)
        one.process.communicate()


@pytest.fixture(scope="session")
def url(server: Server) -> str:
    return str(server.client.base_url).rstrip("/")


@pytest.fixture(scope="module")
def asgi(released: Paths) -> Iterator[Asgi]:
    """The same without a socket, for what is asked thousands of times."""
    served = Asgi(released)
    yield served
    served.close()
