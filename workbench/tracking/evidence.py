"""Candidates as they were seen, kept by the digest of what was trained.

The workspace holds one candidate at a time, but MLflow must be made again with all of them. So a
sync keeps a copy of each: `.workbench/evidence/<digest>/` with `candidate.json`, `report.json`,
`plots/`, `card.md` and `params.json`, some kilobytes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from workbench.core.errors import StateError
from workbench.core.files import digest_file, folder_aside, read_json, write_json

if TYPE_CHECKING:
    from workbench.core.paths import Paths
    from workbench.core.records import RunRecord

CANDIDATE = "candidate.json"


@dataclass(frozen=True)
class Evidence:
    """What is known of one trained model beyond its run.

    train: digest of the train stage's outputs. digest: of `candidate.json`. seen_s: when the
    candidate was made, seconds since 1970 UTC.
    """

    folder: Path
    train: str
    digest: str
    candidate: dict[str, Any]
    seen_s: float

    def read(self, name: str) -> Any:
        """One of its JSON files, an empty mapping where it was not kept."""
        file = self.folder / name
        return read_json(file) if file.is_file() else {}


def read_candidate(paths: Paths, pipeline: str) -> dict[str, Any] | None:
    """Return the workspace's candidate, None if there is none; StateError if it is damaged."""
    file = paths.stage("candidate", pipeline) / CANDIDATE
    try:
        return read_json(file, dict[str, Any])
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise StateError(
            f"The candidate of '{pipeline}' cannot be read: {error}.",
            fix=f"run `dvc checkout {file.parent.relative_to(paths.root)}` or `workbench repro`",
        ) from None


def collect(paths: Paths, pipeline: str) -> None:
    """Keep the workspace's candidate, unless it is kept already.

    Reports that do not belong to it (a later evaluation has begun) are left out.
    """
    candidate = read_candidate(paths, pipeline)
    if candidate is None:
        return
    folder = paths.evidence / candidate["data"]["train"]
    source = paths.stage("candidate", pipeline) / CANDIDATE
    kept = folder / CANDIDATE
    if kept.is_file() and kept.read_bytes() == source.read_bytes():
        return
    with folder_aside(folder) as aside:
        shutil.copy2(source, aside / CANDIDATE)
        report = paths.report("evaluate", pipeline)
        found = read_json(report) if report.is_file() else {}
        if found.get("metrics") == candidate["metrics"]:
            shutil.copyfile(report, aside / "report.json")
            plots = paths.plots(pipeline) / "evaluate"
            if plots.is_dir():
                shutil.copytree(plots, aside / "plots")
        bundle = paths.stage("export", pipeline)
        card, sums = bundle / "card.md", bundle / "checksums.json"
        if card.is_file() and sums.is_file() and digest_file(sums) == candidate["bundle"]:
            shutil.copyfile(card, aside / "card.md")
        write_json(aside / "params.json", _locked_params(paths, pipeline))


def read_evidence(paths: Paths) -> dict[str, Evidence]:
    """Return all kept candidates by what was trained; StateError names a damaged one."""
    found = {}
    for file in sorted(paths.evidence.glob(f"*/{CANDIDATE}")):
        if file.parent.name.startswith("."):
            continue
        try:
            content = read_json(file, dict[str, Any])
        except msgspec.DecodeError as error:
            raise StateError(
                f"The kept candidate {file} cannot be read: {error}.",
                kept="the runs and releases",
                fix=f"`rm -r {file.parent}`; if it is still the candidate, the next sync keeps it",
            ) from None
        found[file.parent.name] = Evidence(
            folder=file.parent,
            train=file.parent.name,
            digest=digest_file(file),
            candidate=content,
            seen_s=file.stat().st_mtime,
        )
    return found


def run_of(records: Iterable[RunRecord], pipeline: str, train: str) -> str:
    """Return the id of the newest run that trained this; a restored one stands in for none."""
    made = [
        record.id
        for record in records
        if record.pipeline == pipeline
        and record.stage == "train"
        and record.outputs.get("train") == train
    ]
    return max(made, default=restored_id(train))


def restored_id(train: str) -> str:
    """Name of a run whose outputs came from DVC's cache, not from a run here."""
    return f"restored-{train[:16]}"


def _locked_params(paths: Paths, pipeline: str) -> dict[str, Any]:
    """The train params that `dvc.lock` remembers: those that made a restored model."""
    if not paths.dvc_lock.is_file():
        return {}
    lock = yaml.load(paths.dvc_lock.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    stage = (lock.get("stages") or {}).get(f"train@{pipeline}") or {}
    return (stage.get("params") or {}).get("params.yaml", {}).get(f"{pipeline}.train") or {}
