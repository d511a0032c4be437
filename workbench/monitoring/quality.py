"""How good answers were, once true outcomes are known: by release, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from workbench.core.records import Signature
from workbench.training.evaluation import HIGHER_IS_BETTER, METRICS, judge

MIN_ROWS, MIN_EACH = 50, 10
"""Outcomes, and of a yes-no question outcomes of each kind, below which nothing is said."""

DECIDES = {"binary": "auc", "multiclass": "log_loss", "regression": "rmse"}
"""The metric that says "worse". Average precision would sink with the share of positives alone."""

_BOOTSTRAP, _SEED = 200, 1

Verdict = Literal["as good", "worse", "too few outcomes", "nothing to compare with"]


@dataclass(frozen=True)
class Quality:
    """One metric of one release on true outcomes, with its 95 % interval.

    released, released_lo, released_hi: the same on the test side at release. decides: whether it
    is the metric by which a release is said to have become worse.
    """

    metric: str
    rows: int
    value: float | None
    lo: float | None
    hi: float | None
    released: float | None = None
    released_lo: float | None = None
    released_hi: float | None = None
    decides: bool = False
    verdict: Verdict = "nothing to compare with"

    @property
    def sentence(self) -> str:
        """What was found, for people."""
        if self.value is None:
            return f"Too few outcomes ({self.rows:,}) to say how good answers are."
        said = f"{self.metric} on {self.rows:,} true outcomes is {self.value:.3f}"
        if self.released is None:
            return f"{said}."
        return f"{said}, {self.verdict} than at release ({self.released:.3f}).".replace(
            "as good than", "as good as"
        )


def quality_of(
    signature: Signature,
    answers: Sequence[Any],
    outcomes: Sequence[Any],
    released: Mapping[str, Mapping[str, float]],
) -> list[Quality]:
    """Measure answers of the main output, one a row, against outcomes, one a row.

    answers: a score, a value, or scores by class. outcomes: as clients report them; those that
    say nothing of the target (other words, no number) are left out. released: metrics of the
    release on its test side. Empty where the task has no standard metrics.
    """
    task = signature.task
    if task not in METRICS:
        return []
    labels = [label_of(signature, outcome) for outcome in outcomes]
    kept = [i for i, label in enumerate(labels) if label is not None]
    label = np.array([labels[i] for i in kept], np.float64)
    answer = np.array([answers[i] for i in kept], np.float64)
    if not _enough(task, label):
        return [Quality(DECIDES[task], len(kept), None, None, None, verdict="too few outcomes")]
    if task == "multiclass":
        label = label.astype(int)
    judged = judge(task, label, {"model": answer}, bootstrap=_BOOTSTRAP, seed=_SEED)["model"]
    return [
        _compared(name, len(kept), found, released.get(name), name == DECIDES[task])
        for name, found in judged.items()
    ]


def label_of(signature: Signature, outcome: Any) -> float | None:
    """An outcome as the number that metrics take; None where it is none of the target's values."""
    if signature.task == "multiclass":
        name = str(outcome)
        return float(signature.classes.index(name)) if name in signature.classes else None
    if isinstance(outcome, str):
        outcome = {"true": 1, "yes": 1, "false": 0, "no": 0}.get(outcome.lower(), outcome)
    try:
        number = float(outcome)
    except (TypeError, ValueError, OverflowError):
        return None
    if not np.isfinite(number) or (signature.task == "binary" and number not in (0.0, 1.0)):
        return None
    return number


def _enough(task: str, label: np.ndarray[Any, Any]) -> bool:
    if len(label) < MIN_ROWS:
        return False
    return task != "binary" or MIN_EACH <= label.sum() <= len(label) - MIN_EACH


def _compared(
    metric: str,
    rows: int,
    found: Mapping[str, float],
    released: Mapping[str, float] | None,
    decides: bool,
) -> Quality:
    """Worse only where the two intervals do not meet: both are samples."""
    verdict: Verdict = "nothing to compare with"
    if "lo" in found and released and {"lo", "hi"} <= released.keys():
        higher = HIGHER_IS_BETTER.get(metric, False)
        is_worse = found["hi"] < released["lo"] if higher else found["lo"] > released["hi"]
        verdict = "worse" if is_worse else "as good"
    released = released or {}
    return Quality(
        metric,
        rows,
        found["value"],
        found.get("lo"),
        found.get("hi"),
        released.get("value"),
        released.get("lo"),
        released.get("hi"),
        decides,
        verdict,
    )
