"""Start and stop: a socket on this machine, uvicorn on it, a clean end on SIGTERM."""

from __future__ import annotations

import gc
import signal
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workbench.core.errors import BusyError, MissingError
from workbench.core.paths import Paths
from workbench.serving.local import is_local_address

if TYPE_CHECKING:
    from workbench.serving.models import Models
    from workbench.serving.tls import Tls

HOST = "127.0.0.1"
PORT = 8000
DRAIN_S = 10
"""Seconds that requests under way are given to end after a signal to stop."""


def listen(host: str = HOST, port: int = PORT, *, has_key: bool = False) -> socket.socket:
    """Return a listening socket; port 0 takes a free one (`socket.getsockname()[1]`).

    has_key: whether there is a key that opens this server's door; without one MissingError for an
    address that other machines can reach. BusyError when the port is taken.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise MissingError(f"There is no address '{host}': {error.strerror}.") from None
    if not has_key and not is_local_address(address[0]):
        raise MissingError(
            f"Address {host} can be reached from other machines, and there are no keys to ask "
            "them for.",
            fix=f"add one with `workbench keys add NAME`, or serve on {HOST}",
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
    paths: Paths,
    listening: socket.socket,
    on_ready: Callable[[Models], None] | None = None,
    tls: Tls | None = None,
    *,
    access_log: bool = False,
) -> None:
    """Answer on `listening` until SIGTERM or SIGINT; then end requests, write passports, return.

    Ready a moment after it starts to listen: `/v2/health/ready` says when, or what is missing, and
    `on_ready` is called once with what was loaded. access_log: good answers are logged too.
    """
    import uvicorn

    from workbench.serving import tracing
    from workbench.serving.app import App
    from workbench.serving.logs import AccessLog, log_as_json
    from workbench.serving.wire import MAX_CONNECTIONS, BoundedProtocol

    log = log_as_json()
    # A request leaves no cycles behind: to look for them every 700 objects is in vain.
    gc.set_threshold(50_000, 20, 100)
    app = App(paths, on_ready, [AccessLog()] if access_log else [])
    server = uvicorn.Server(
        uvicorn.Config(
            tracing.Traced(app) if tracing.is_wanted() else app,
            loop="workbench.serving.tls:HandshakeLoop" if tls else "uvloop",
            http=BoundedProtocol,
            limit_concurrency=MAX_CONNECTIONS,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=DRAIN_S,
            ssl_certfile=tls.certificate if tls else None,
            ssl_keyfile=tls.key if tls else None,
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
        log.flush()
