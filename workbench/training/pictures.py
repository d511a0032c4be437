"""Points to draw of what a model answered, for tasks that have no curve."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
MOST_POINTS, MOST_CLASSES = 500, 30


def confusion(label: Array, scores: Array, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Rows by class said (x) and class that was (y); of many classes the most frequent.

    label: class numbers [rows], -1 for one that training never saw; scores: [rows, classes].
    """
    label, scores = label[label >= 0], scores[label >= 0]
    said, count = scores.argmax(1), len(classes)
    table = np.bincount(label.astype(int) * count + said, minlength=count**2).reshape(count, count)
    frequent = sorted(np.argsort(-table.sum(1), kind="stable")[:MOST_CLASSES])
    return [
        {"x": classes[x], "y": classes[y], "rows": int(table[y, x])}
        for y in frequent
        for x in frequent
    ]


def answers(label: Array, value: Array) -> list[dict[str, float]]:
    """What was said (x) and what was (y), of at most MOST_POINTS rows in even steps by answer."""
    order = np.argsort(value, kind="stable")
    steps = np.unique(np.linspace(0, len(order) - 1, min(MOST_POINTS, len(order))).astype(int))
    return [{"x": float(value[i]), "y": float(label[i])} for i in order[steps]]
