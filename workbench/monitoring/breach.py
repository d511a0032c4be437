"""Whether a champion that was promoted a short while ago breaks the service levels.

Nothing answers beside it to be compared with, so that the bar is higher than for a challenger: it
burns its error budget many times too fast, with little chance of that being chance, and the release
before did not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.core.deploy import Levels
from workbench.monitoring.evidence import Side, late
from workbench.monitoring.sequential import share_bounds

BURN = 14.4
"""Times too fast: a month's budget would be gone in two days."""

MIN_REQUESTS = 50
ALPHA = 0.001
"""Chance of a wrong alarm in one stretch of time."""


@dataclass(frozen=True)
class Breach:
    """What is broken, in a sentence and in numbers."""

    sentence: str
    numbers: dict[str, Any]


def breach(now: Side, before: Side, levels: Levels) -> Breach | None:
    """What the champion breaks now; None while it holds, or as long as little is known.

    now: of the last stretch of time; before: of the release before it, in its last minutes.
    """
    if now.requests < MIN_REQUESTS:
        return None
    for verb, hits, of, theirs, allowed in (
        (
            "failed",
            now.errors,
            now.requests,
            _share(before.errors, before.requests),
            1 - levels.available_fraction,
        ),
        (
            f"took longer than {levels.latency_ms:g} ms",
            late(now, levels.latency_ms),
            sum(now.latency),
            _share(late(before, levels.latency_ms), sum(before.latency)),
            1 - levels.latency_fraction,
        ),
    ):
        bar = min(0.5, BURN * allowed)
        lo = float(share_bounds(np.array(hits), np.array(of), ALPHA)[0]) if of else 0.0
        if lo > bar and theirs <= bar:
            sentence = (
                f"{hits:,} of {of:,} requests {verb}: at least {lo:.1%}, while {allowed:.2%} is "
                f"allowed; of the release before it was {theirs:.1%}."
            )
            return Breach(sentence, {"requests": of, "hits": hits, "lo": lo, "allowed": allowed})
    return None


def _share(hits: int, of: int) -> float:
    return hits / of if of else 0.0
