"""Released bundles: copied from the workspace into `.workbench/bundles`, whole or not at all.

Beside `<digest>/` stand `<digest>.sig` (who vouches for it), `<digest>.json` (its origin, for
passports) and `<digest>.evidence/` (its candidate and predictions, for the next one to be compared
with, and the reference that its life is compared with).
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.core.errors import BundleError, ReleaseError
from workbench.core.files import folder_aside, write_json
from workbench.core.records import VERSION, Commit
from workbench.metering.runs import read_run
from workbench.registry.contender import PREDICTIONS
from workbench.registry.reference import reference_of
from workbench.registry.signing import sign
from workbench.storage.bundle import verify
from workbench.storage.origin import Origin, write_origin
from workbench.storage.reference import reference_path, write_reference
from workbench.tracking.evidence import CANDIDATE

if TYPE_CHECKING:
    from workbench.core.paths import Paths
    from workbench.registry.contender import Contender


def has(paths: Paths, digest: str) -> bool:
    """Whether the bundle is here, whole and unaltered."""
    try:
        return verify(paths.bundles / digest) == digest
    except BundleError:
        return False


def keep(paths: Paths, candidate: Contender, pipeline: str, run_id: str) -> None:
    """Copy the candidate into the store and sign it; one that is there already is only checked.

    Raises ReleaseError where the copy is not the bundle that was judged.
    """
    if not has(paths, candidate.digest):
        with folder_aside(paths.bundles / candidate.digest) as aside:
            _copy(candidate.bundle, aside)
            if verify(aside) != candidate.digest:
                raise ReleaseError(
                    f"The bundle of '{pipeline}' changed while it was copied.",
                    kept="today's champion",
                    fix=f"run `workbench release {pipeline}` again",
                )
    # The files are the candidate's: a signature that says otherwise is what is wrong here.
    sign(paths, candidate.digest, again=True)
    beside = paths.bundles / f"{candidate.digest}.evidence"
    if not (beside / CANDIDATE).is_file():
        with folder_aside(beside) as aside:
            if candidate.predictions:
                _link(candidate.predictions, aside / PREDICTIONS)
            write_json(aside / CANDIDATE, candidate.candidate)
    if not reference_path(paths.bundles, candidate.digest).is_file():
        reference = reference_of(candidate)
        if reference is not None:
            write_reference(paths.bundles, reference)
    if not (paths.bundles / f"{candidate.digest}.json").is_file():
        write_origin(paths.bundles, _origin(paths, candidate, pipeline, run_id))


def _origin(paths: Paths, candidate: Contender, pipeline: str, run_id: str) -> Origin:
    """The way back; of a restored model only what its candidate says."""
    content, run = candidate.candidate, read_run(paths, run_id)
    return Origin(
        version=VERSION,
        digest=candidate.digest,
        pipeline=pipeline,
        run_id=run_id,
        commit=run.commit if run else Commit(sha=None, branch=None, dirty=False),
        notebook=run.notebook if run else f"pipelines/{pipeline}.py",
        function=run.function if run else "train",
        fingerprint=run.fingerprint if run else content["fingerprints"]["train"],
        fingerprints=content["fingerprints"],
        data=content["data"],
        as_of=content.get("as_of"),
        facts=content.get("facts", {}),
        window=run.window if run else None,
    )


def _copy(source: Path, target: Path) -> None:
    for file in sorted(source.rglob("*")):
        if file.is_file():
            _link(file, target / file.relative_to(source))


def _link(source: Path, target: Path) -> None:
    """Link a file that DVC has made read-only; copy one that someone could write into.

    A link costs no space, and a cached file is never changed in place.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(source, os.W_OK) and not source.is_symlink():
        with contextlib.suppress(OSError):
            os.link(source, target)
            return
    shutil.copyfile(source, target)
