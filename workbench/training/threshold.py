"""The operating point: the score from which on the answer is yes."""

from __future__ import annotations

import numpy as np


def best_threshold(label: np.ndarray, score: np.ndarray) -> float:
    """Return the score with the best F1 on these rows (0/1 `label`, `score` in 0..1).

    Lies halfway between two scores, so that rounding of either does not turn a decision. 0.5
    when there is no positive row.
    """
    order = np.argsort(-score, kind="stable")
    ranked = label[order]
    if not ranked.sum():
        return 0.5
    hits = np.cumsum(ranked)
    f1 = 2 * hits / (np.arange(1, len(ranked) + 1) + ranked.sum())
    sorted_score = score[order]
    last_of_tie = np.r_[sorted_score[1:] != sorted_score[:-1], True]
    place = int(np.argmax(np.where(last_of_tie, f1, -1)))
    below = sorted_score[place + 1] if place + 1 < len(score) else 0.0
    return float((sorted_score[place] + below) / 2)
