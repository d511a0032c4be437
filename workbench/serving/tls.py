"""HTTPS: the certificate that a server shows, and a bound on the time that shaking hands takes."""

from __future__ import annotations

import ssl
from asyncio import AbstractServer
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from workbench.core.errors import MissingError
from workbench.serving.wire import HEAD_S


@dataclass(frozen=True)
class Tls:
    """What a server shows and proves itself by: files in PEM, the key without a password."""

    certificate: Path
    key: Path

    def check(self) -> None:
        """MissingError where they cannot be read or do not belong together."""

        def unasked() -> str:
            raise ValueError("the key has a password, which nobody is there to type")

        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
                self.certificate, self.key, unasked
            )
        except (OSError, ValueError) as error:
            raise MissingError(
                f"Certificate {self.certificate} with key {self.key} cannot be used: {error}.",
                fix="give the files in PEM that belong together, with --tls-cert and --tls-key",
            ) from None


class HandshakeLoop(uvloop.Loop):
    """uvloop, with as long for a handshake as for a head; else it waits a minute for each.

    A subclass, because uvicorn passes the bound on from nowhere.
    """

    async def create_server(  # type: ignore[override]
        self, protocol_factory: Callable[[], Any], *args: Any, **kwargs: Any
    ) -> AbstractServer:
        """Listen as uvicorn asks, with the bound."""
        if kwargs.get("ssl") is not None:
            kwargs["ssl_handshake_timeout"] = HEAD_S
        return await super().create_server(protocol_factory, *args, **kwargs)
