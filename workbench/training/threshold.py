"""The operating point: the score from which on the answer is yes."""

from __future__ import annotations

import numpy as np


def best_threshold(label: np.ndarray, score: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Return the score with the best F1 on these rows (0/1 `label`, `score` in 0..1).

    weight: how much each row counts; all the same without it.

    Lies halfway between two scores, so that rounding of either does not turn a decision. 0.5
    when there is no positive row.
    """
    order = np.argsort(-score, kind="stable")
    count = np.ones(len(label)) if weight is None else weight[order]
    ranked = label[order] * count
    if not ranked.sum():
        return 0.5
    hits = np.cumsum(ranked)
    f1 = 2 * hits / (np.cumsum(count) + ranked.sum())
    sorted_score = score[order]
    last_of_tie = np.r_[sorted_score[1:] != sorted_score[:-1], True]
    place = int(np.argmax(np.where(last_of_tie, f1, -1)))
    below = sorted_score[place + 1] if place + 1 < len(score) else 0.0
    return float((sorted_score[place] + below) / 2)
