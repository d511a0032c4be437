"""A model that is judged: its candidate, its bundle, and what it answered on its test side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core.errors import BundleError, ReleaseError
from workbench.core.files import digest_folder, read_json
from workbench.data.examples import read_spec
from workbench.storage.bundle import read_signature, verify
from workbench.tracking.evidence import CANDIDATE, read_candidate

if TYPE_CHECKING:
    from workbench.core.paths import Paths
    from workbench.core.records import Signature

PREDICTIONS = "predictions.parquet"


@dataclass(frozen=True)
class Contender:
    """One side of a comparison.

    candidate: content of `candidate.json`. predictions: key columns, `label` and `model` for each
    test row, or the pipeline's own numbers. test, key: examples of the candidate's test side and
    the columns that name one.
    """

    digest: str
    candidate: dict[str, Any]
    bundle: Path
    signature: Signature
    predictions: Path | None
    test: Path | None = None
    key: tuple[str, ...] = ()

    def metric(self, name: str) -> dict[str, float]:
        """One of its measured metrics, `{value[, lo, hi]}`; empty if it has none of that name."""
        return self.candidate["metrics"].get(name, {})


def candidate(paths: Paths, pipeline: str) -> Contender:
    """Return the workspace's candidate with its verified bundle.

    Raises ReleaseError where there is none or where bundle and predictions belong to another one.
    """
    again = f"run `workbench repro {pipeline}`"
    content = read_candidate(paths, pipeline)
    if content is None:
        raise ReleaseError(f"Pipeline '{pipeline}' has no candidate to release.", fix=again)
    bundle, answered = paths.stage("export", pipeline), paths.stage("evaluate", pipeline)
    if verify(bundle) != content["bundle"]:
        raise ReleaseError(
            f"The exported bundle of '{pipeline}' is not the one its candidate was judged by.",
            kept="today's champion",
            fix=again,
        )
    if not answered.is_dir() or digest_folder(answered) != content["data"]["evaluate"]:
        raise ReleaseError(
            f"The predictions of '{pipeline}' are not those its candidate was judged by.",
            kept="today's champion",
            fix=again,
        )
    return Contender(
        digest=content["bundle"],
        candidate=content,
        bundle=bundle,
        signature=read_signature(bundle),
        predictions=_if_file(answered / PREDICTIONS),
        test=_if_file(paths.stage("split", pipeline) / "test.parquet"),
        key=read_spec(paths.stage("split", pipeline)).key,
    )


def released(paths: Paths, digest: str) -> Contender | None:
    """Return a released model from the store; None where this checkout does not have it whole."""
    bundle, beside = paths.bundles / digest, paths.bundles / f"{digest}.evidence"
    if not (beside / CANDIDATE).is_file():
        return None
    try:
        found = verify(bundle)
    except BundleError:
        return None
    if found != digest:
        return None
    return Contender(
        digest=digest,
        candidate=read_json(beside / CANDIDATE),
        bundle=bundle,
        signature=read_signature(bundle),
        predictions=_if_file(beside / PREDICTIONS),
    )


def _if_file(path: Path) -> Path | None:
    return path if path.is_file() else None
