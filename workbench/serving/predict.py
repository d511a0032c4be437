"""Predict without a server: the champion answers in this process and leaves a passport too."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.core.errors import ReleaseError, did_you_mean
from workbench.core.paths import Paths
from workbench.serving.columns import columns_of
from workbench.serving.models import ANSWERS, load_model
from workbench.serving.service import recorded
from workbench.serving.session import check_finite
from workbench.storage.pointer import read_pointer
from workbench.storage.predictions.log import PassportLog

if TYPE_CHECKING:
    from workbench.core.deploy import Log


@dataclass(frozen=True)
class Answer:
    """Outputs by name, a list with one entry a row; `id` finds the passport."""

    id: str
    pipeline: str
    release: int
    digest: str
    outputs: dict[str, list[Any]]
    notice: str
    latency_ms: float


def predict(
    paths: Paths,
    pipeline: str,
    rows: Sequence[dict[str, Any]],
    settings: Callable[[str], Log] | None = None,
) -> Answer:
    """Answer rows of named fields with the pipeline's champion.

    settings: of the prediction log, by pipeline; without it the answer is logged in full.
    ReleaseError when it has none; DataError names a field that does not fit; BundleError when the
    bundle was altered.
    """
    released = {
        name: aliases[ANSWERS]
        for name, aliases in read_pointer(paths.pointer).pipelines.items()
        if ANSWERS in aliases
    }
    if pipeline not in released:
        raise ReleaseError(
            f"'{pipeline}' has no released champion.{did_you_mean(pipeline, released)}",
            fix="run `workbench release`",
        )
    model = load_model(paths, pipeline, released[pipeline])
    log = PassportLog(paths.predictions, settings)
    try:
        start = time.perf_counter()
        columns = columns_of(rows, model.bundle.inputs)
        outputs = model.bundle.predict(columns)
        check_finite(outputs)
        answer = recorded(log, model, columns, len(rows), outputs, start)
    finally:
        log.close()
    return Answer(
        id=answer.id,
        pipeline=pipeline,
        release=model.target.release,
        digest=model.target.digest,
        outputs=model.bundle.named(outputs),
        notice=model.bundle.signature.notice,
        latency_ms=answer.latency_s * 1000,
    )
