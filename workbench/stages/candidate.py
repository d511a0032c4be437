"""candidate: what DVC ends in. Digests and measured values, ready to be judged; nothing else."""

from __future__ import annotations

from typing import Any

from workbench.core.files import digest_folder, read_json, write_json
from workbench.core.params import Part
from workbench.core.paths import Paths
from workbench.core.records import VERSION
from workbench.stages.frame import opened
from workbench.storage.bundle import verify

BEFORE = ("collect", "clean", "label", "split", "train", "export", "evaluate")


class Nothing(Part):
    """candidate has no settings."""


def run(pipeline: str) -> None:
    """Gather what a release is judged by into `candidate.json`."""
    with opened("candidate", pipeline, Nothing, after=BEFORE) as stage:
        reports = {name: read_json(stage.paths.report(name, pipeline)) for name in BEFORE}
        candidate = {
            "version": VERSION,
            "pipeline": pipeline,
            "bundle": verify(stage.input("export")),
            "data": {name: digest_folder(stage.input(name)) for name in BEFORE},
            "fingerprints": _fingerprints(stage.paths, pipeline),
            "facts": {name: table["facts"] for name, table in reports["collect"]["tables"].items()},
            "as_of": reports["collect"]["as_of"],
            "metrics": reports["evaluate"].get("metrics", {}),
            "main": reports["evaluate"].get("main"),
            "higher_is_better": reports["evaluate"].get("higher_is_better", True),
            "baselines": reports["evaluate"].get("baselines", {}),
            "parity_max_difference": reports["export"].get("parity_max_difference"),
            "bytes": reports["export"]["bytes"],
            "leaks": reports["split"]["leaks"],
        }
        write_json(stage.out / "candidate.json", candidate)
        stage.report = {k: candidate[k] for k in ("bundle", "metrics", "main", "bytes")}


def _fingerprints(paths: Paths, pipeline: str) -> dict[str, Any]:
    """Digest of what each stage's code means."""
    return {
        name: read_json(paths.fingerprint(name, pipeline))["digest"]
        for name in (*BEFORE, "candidate")
    }
