"""The places of a checkout's state, as a backup names them.

A backup is a tar file of plain members and, last, `manifest.json` with the SHA-256 of each: a file
that was cut short has none. Only what is listed here goes in, so that tokens and `config.local`
never do, and only what is listed here comes out, so that no name leads elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from workbench.execution.dvcfiles import Cache
from workbench.metering.database import parse_url

if TYPE_CHECKING:
    from workbench.core.paths import Paths

ARCHIVE_VERSION = 2
MANIFEST = "manifest.json"
LEDGER, MLFLOW, POINTER = "ledger.db", "mlflow.db", "serving.json"
_KEY = re.compile(r"trusted/[^/]+\.pub")
_CACHED = re.compile(r"cache/(?:files/md5/[0-9a-f]{2}/[0-9a-f]{30}(?:\.dir)?|runs/[0-9a-f/]+)")


@dataclass(frozen=True)
class Manifest:
    """What a backup holds.

    made: ISO 8601, UTC. artifacts: where MLflow's artefacts stood, a URI. members: SHA-256 by name.
    """

    version: int
    made: str
    artifacts: str
    members: dict[str, str] = field(default_factory=dict)


def folders(paths: Paths) -> dict[str, Path]:
    """Where the folders of a backup stand here, by the first part of their members' names."""
    return {
        "releases": paths.release_log("any").parent,
        "bundles": paths.bundles,
        "trusted": paths.trusted,
        "predictions": paths.predictions,
        "runs": paths.runs,
        "evidence": paths.evidence,
        "artifacts": paths.artifacts,
        "cache": Cache(paths.root).folder,
    }


def place(paths: Paths, name: str) -> Path | None:
    """Where a member belongs here; None for a name that no backup of ours holds."""
    files = {LEDGER: ledger_file(paths), MLFLOW: mlflow_file(paths), POINTER: paths.pointer}
    if name in files:
        return files[name] or paths.home / name
    pure = PurePosixPath(name)
    inner = pure.parts[1:]
    if pure.as_posix() != name or not inner or ".." in inner or "\\" in name or "\0" in name:
        return None
    if pure.parts[0] == "cache" and not _CACHED.fullmatch(name):
        return None
    if pure.parts[0] == "trusted" and not _KEY.fullmatch(name):
        return None
    folder = folders(paths).get(pure.parts[0])
    return folder.joinpath(*inner) if folder else None


def ledger_file(paths: Paths) -> Path | None:
    """The ledger's file; None where a server keeps it."""
    url = parse_url(paths.ledger_url)
    is_file = url.get_backend_name() == "sqlite" and url.database
    return Path(url.database or "") if is_file else None


def mlflow_file(paths: Paths) -> Path | None:
    """MLflow's database file; None where a server keeps it."""
    file = paths.tracking_url.partition("sqlite:///")[2]
    return Path(file) if file else None
