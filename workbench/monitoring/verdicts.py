"""Where a rollout stands: the file that pages and commands read, replaced as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workbench.core.files import read_kept
from workbench.core.paths import Paths
from workbench.core.records import VERSION
from workbench.monitoring.evidence import Verdict
from workbench.storage.pointer import Mode


@dataclass(frozen=True)
class Standing:
    """A challenger at one look. at_s, began_s: seconds since 1970-01-01 UTC.

    rehearsal: what was judged is a rehearsal, for there was no life yet.
    """

    pipeline: str
    champion: int
    challenger: int
    mode: Mode
    weight: float
    began_s: float
    at_s: float
    rehearsal: bool
    verdict: Verdict
    version: int = VERSION


def standing_path(paths: Paths, pipeline: str) -> Path:
    """The file of a pipeline; it stays after the challenger has left, to be looked at."""
    return paths.monitoring / f"{pipeline}.rollout.json"


def read_standing(paths: Paths, pipeline: str) -> Standing | None:
    """The last look; None before the first."""
    path = standing_path(paths, pipeline)
    return read_kept(
        path,
        Standing,
        path.name,
        kept="the rollout itself",
        fix="`workbench monitor` writes it again",
    )
