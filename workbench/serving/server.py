"""Start and stop: a socket on this machine, uvicorn on it, a clean end on SIGTERM."""

from __future__ import annotations

import gc
import ipaddress
import signal
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workbench.core.errors import BusyError, MissingError
from workbench.core.paths import Paths

if TYPE_CHECKING:
    from workbench.serving.models import Models

HOST = "127.0.0.1"
PORT = 8000
DRAIN_S = 10
"""Seconds that requests under way are given to end after a signal to stop."""


def listen(host: str = HOST, port: int = PORT) -> socket.socket:
    """Return a listening socket; port 0 takes a free one (`socket.getsockname()[1]`).

    MissingError for an address that other machines can reach; BusyError when the port is taken.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise MissingError(f"There is no address '{host}': {error.strerror}.") from None
    if not ipaddress.ip_address(address[0]).is_loopback:
        raise MissingError(
            f"Address {host} can be reached from other machines, and this server has no keys yet: "
            "they come later.",
            fix=f"serve on {HOST}, behind a proxy that checks who asks",
        )
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind(address)
    except OSError as error:
        server.close()
        raise BusyError(
            f"Port {port} of {host} cannot be had: {error.strerror}.",
            fix="stop what listens there, or choose another port",
        ) from None
    server.listen(2048)
    return server


def serve(
    paths: Paths, listening: socket.socket, on_ready: Callable[[Models], None] | None = None
) -> None:
    """Answer on `listening` until SIGTERM or SIGINT; then end requests, write passports, return.

    Ready a moment after it starts to listen: `/v2/health/ready` says when, or what is missing, and
    `on_ready` is called once with what was loaded.
    """
    import uvicorn

    from workbench.serving.app import App
    from workbench.serving.wire import MAX_CONNECTIONS, BoundedProtocol

    # A request leaves no cycles behind: to look for them every 700 objects is in vain.
    gc.set_threshold(50_000, 20, 100)
    server = uvicorn.Server(
        uvicorn.Config(
            App(paths, on_ready),
            loop="uvloop",
            http=BoundedProtocol,
            limit_concurrency=MAX_CONNECTIONS,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=DRAIN_S,
        )
    )

    def stop(*_: Any) -> None:
        server.should_exit = True

    # uvicorn sets its own handlers while it runs, and sends itself the signal again at its end:
    # with these it then returns here instead of ending the process by that signal.
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.run(sockets=[listening])
    finally:
        listening.close()
        for number, handler in before.items():
            signal.signal(number, handler)
