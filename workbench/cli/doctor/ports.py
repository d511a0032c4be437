"""The ports that `workbench up` listens on."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from workbench.cli.doctor.finding import Finding

TRIED = 20


def ports() -> Iterator[Finding]:
    """Whether each is free, and which one near it is."""
    from workbench.cli.up import PORTS

    taken_by_us = set(PORTS.values())
    for name, port in PORTS.items():
        if not _is_taken(port):
            yield Finding(f"port {port} ({name})", "good", "free")
            continue
        near = (one for one in range(port + 1, port + TRIED) if one not in taken_by_us)
        free = next((one for one in near if not _is_taken(one)), port + 1)
        yield Finding(
            f"port {port} ({name})",
            "note",
            "in use: `workbench up` runs already, or another program has it",
            f"workbench up --{name}-port {free}",
            "to open it in the browser",
        )


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0
