"""Where a released bundle comes from: `bundles/<digest>.json`, beside the bundle itself.

The registry writes it when it releases; whoever explains a prediction reads it, and needs no
MLflow, no DVC and no network for that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.core.files import read_kept, write_json
from workbench.core.records import Commit, Window


@dataclass(frozen=True)
class Origin:
    """The way back from a bundle to code and data.

    digest: of the bundle. run_id, commit, notebook, function, fingerprint: of the training run.
    fingerprints, data: digests by stage, as its candidate states them. facts: licence, address
    and hash by collected table. window: what the training run used.
    """

    version: int
    digest: str
    pipeline: str
    run_id: str
    commit: Commit
    notebook: str
    function: str
    fingerprint: str
    fingerprints: dict[str, str] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=dict)
    as_of: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    window: Window | None = None


def write_origin(bundles: Path, origin: Origin) -> None:
    """Write the origin beside its bundle in the folder `bundles`."""
    write_json(bundles / f"{origin.digest}.json", origin)


def read_origin(bundles: Path, digest: str) -> Origin | None:
    """Read a bundle's origin; None when none was written, StateError when it is damaged."""
    return read_kept(
        bundles / f"{digest}.json",
        Origin,
        f"The origin of bundle {digest[:12]}",
        kept="the bundle and its passports",
        fix="run `workbench release` to write it again",
    )
