"""What acting on a score is worth, by the score from which on one acts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def decision_curve(
    label: Array, answers: Mapping[str, Array], *, weight: Array | None = None, points: int = 60
) -> list[dict[str, Any]]:
    """Net benefit by the score from which on one acts (Vickers and Elkin 2006).

    Found ones less false alarms, a false alarm weighed with the odds of the threshold: who acts
    from 10 % on takes nine false alarms for one that is found. In units of found ones a row.
    Beside each answerer stand acting on all and on none. Thresholds run up to where the model
    acts on one row in a hundred. Returns points `{"x": threshold, "y": net benefit, "who"}`.
    """
    count = np.ones(len(label)) if weight is None else weight
    share = count / count.sum()
    top = min(float(np.quantile(answers["model"], 0.99)), 0.99)
    thresholds = np.linspace(top / points, top, points)
    everyone = np.ones(len(label))
    told = {**answers, "act on all": everyone, "act on none": everyone - 1}
    return [
        {
            "x": float(threshold),
            "y": net_benefit(label, score, float(threshold), share),
            "who": who,
        }
        for who, score in told.items()
        for threshold in thresholds
    ]


def net_benefit(label: Array, score: Array, threshold: float, share: Array) -> float:
    """Found ones less false alarms at the odds of `threshold`; share: of each row, summing to 1."""
    acted = share * (score >= threshold)
    found = float(acted @ label)
    return found - float(acted @ (1 - label)) * threshold / (1 - threshold)
