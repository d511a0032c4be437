"""What a comparison with plain models says, in words that claim no more than its interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def verdict(report: Mapping[str, Any]) -> str:
    """How the model of an `evaluate.json` stands against its best baseline, in a sentence or two.

    The difference on the same rows decides, with its interval of 95 %: where that holds zero,
    neither is ahead. A release warns only of a baseline that is ahead beyond its interval.
    """
    main, higher = report["main"], report["higher_is_better"]
    found = {who: metrics[main] for who, metrics in report.get("baselines", {}).items()}
    if not found:
        return "There is no plain model to compare it with."
    best = (max if higher else min)(found, key=lambda who: found[who]["value"])
    theirs = found[best]
    if theirs["value"] == report["metrics"][main]["value"]:
        return f"The model and the plain {best} one are equal."
    ahead = (theirs["value"] < report["metrics"][main]["value"]) == higher
    who = "The model" if ahead else f"The plain {best} model"
    ends = [theirs.get(f"minus_model_{end}") for end in ("lo", "hi")]
    if None in ends:
        return f"{who} is ahead; by how much chance alone would do, was not measured."
    if min(ends) <= 0 <= max(ends):
        return f"{who} is ahead, within the noise: other rows could turn it round."
    if ahead:
        return "The model is ahead, by more than chance."
    return (
        f"The plain {best} model is ahead, by more than chance, as it often is with few rows. "
        "The release warned of it."
    )
