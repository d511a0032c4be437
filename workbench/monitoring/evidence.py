"""Whether a challenger has proved itself: what it did beside the champion, judged without a clock.

Pure functions of counts and samples. It may be asked after each request: by bounds that hold at all
times at once (`sequential`), a challenger that is no worse is withdrawn with a chance of at most
`alpha`, and one that is worse than allowed is promoted with a chance of at most `alpha`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from workbench.core.deploy import Levels, Rollout
from workbench.monitoring.sequential import Array, distance_bounds, lower, upper
from workbench.storage.windows import BOUNDS_MS, ServingWindow, bin_of

MEASURES = 5
"""That may withdraw a challenger; each may be wrong with its share of alpha."""

_LOG_MS = np.log([*BOUNDS_MS, BOUNDS_MS[-1]])
_SPAN = float(_LOG_MS[-1] - _LOG_MS[0])
_BINS = (_LOG_MS - _LOG_MS[0]) / _SPAN
"""Each bin's latency on a logarithmic scale from 0 to 1."""

_GRID = 256
_LOSSES = np.arange(_GRID + 1) / _GRID
"""Losses are taken to the nearest of these, so that a judgement costs the same with any number."""

Decision = Literal["promote", "withdraw", "wait"]


def _nothing() -> Array:
    return np.empty(0)


@dataclass(frozen=True)
class Side:
    """What one release did since the rollout began.

    requests: errors included. latency: counts by bin of BOUNDS_MS. scores: what it answered, one
    number a row. losses: of answers whose outcome is known, each within [0, 1].
    """

    requests: int = 0
    errors: int = 0
    latency: tuple[int, ...] = (0,) * len(_BINS)
    scores: Array = field(default_factory=_nothing)
    losses: Array = field(default_factory=_nothing)


@dataclass(frozen=True)
class Measure:
    """One comparison: the difference (or ratio, or distance) is within [lo, hi]; bound: allowed.

    [lo, hi] is what decides: below lo with little chance at any time, see `judge`.
    """

    name: str
    champion: float | None
    challenger: float | None
    value: float
    lo: float
    hi: float
    bound: float
    sentence: str

    @property
    def is_worse(self) -> bool:
        return self.lo > self.bound

    @property
    def is_no_worse(self) -> bool:
        return self.hi <= self.bound


@dataclass(frozen=True)
class Verdict:
    """What the evidence says. reasons: in sentences. requests: of the challenger so far."""

    decision: Decision
    reasons: tuple[str, ...]
    requests: int
    measures: tuple[Measure, ...] = ()

    @property
    def numbers(self) -> dict[str, Any]:
        """Plain values, for the log."""
        return {"requests": self.requests} | {
            m.name: {"value": m.value, "lo": m.lo, "hi": m.hi, "bound": m.bound}
            for m in self.measures
        }


def judge(champion: Side, challenger: Side, rollout: Rollout, levels: Levels) -> Verdict:
    """Compare two sides of one rollout.

    It may be withdrawn after any number of requests, and promoted after `min_requests`, once every
    measure is known to be within its bound. Outcomes come late and seldom: they hold a promotion
    back only where there are as many of them.
    """
    measures = tuple(_measures(champion, challenger, rollout, levels))
    requests = challenger.requests
    worse = [m.sentence for m in measures if m.is_worse]
    if worse:
        return Verdict("withdraw", tuple(worse), requests, measures)
    if requests < rollout.min_requests:
        reason = f"{requests:,} of {rollout.min_requests:,} requests have been answered."
        return Verdict("wait", (reason,), requests, measures)
    is_enough = len(challenger.losses) >= rollout.min_requests
    asked = [m for m in measures if m.name != "quality" or is_enough]
    unclear = [m.sentence for m in asked if not m.is_no_worse]
    if unclear or not measures:
        return Verdict("wait", tuple(unclear) or ("Nothing to compare.",), requests, measures)
    return Verdict("promote", tuple(m.sentence for m in measures), requests, measures)


def counted(windows: Iterable[ServingWindow]) -> Side:
    """Add up windows of one release."""
    requests = errors = 0
    latency = np.zeros(len(_BINS), dtype=int)
    for window in windows:
        requests += window.requests
        errors += window.errors
        if window.latency:
            latency += window.latency
    return Side(requests, errors, tuple(latency.tolist()))


def late(side: Side, latency_ms: float) -> int:
    """How many requests were slower than `latency_ms`, to the width of a bin."""
    return sum(side.latency[bin_of(latency_ms) + 1 :])


def _measures(
    champion: Side, challenger: Side, rollout: Rollout, levels: Levels
) -> Iterator[Measure]:
    if not champion.requests or not challenger.requests:
        return
    alphas = (rollout.alpha / MEASURES, rollout.alpha)
    yield _share(
        "errors",
        "fails",
        (champion.errors, champion.requests),
        (challenger.errors, challenger.requests),
        rollout.error_margin_fraction,
        alphas,
    )
    bound_ms = levels.latency_ms
    timed = sum(champion.latency), sum(challenger.latency)
    if all(timed):
        yield _share(
            "late",
            f"is slower than {bound_ms:g} ms",
            (late(champion, bound_ms), timed[0]),
            (late(challenger, bound_ms), timed[1]),
            rollout.error_margin_fraction,
            alphas,
        )
        yield _latency(champion, challenger, rollout.latency_ratio, alphas)
    if len(champion.scores) and len(challenger.scores):
        yield _scores(champion.scores, challenger.scores, rollout.score_shift, alphas)
    if len(champion.losses) and len(challenger.losses):
        yield _losses(champion.losses, challenger.losses, rollout.quality_margin, alphas)


Alphas = tuple[float, float]
"""Chances of being wrong: of a lower bound, which withdraws, and of an upper, which promotes."""


def _share(
    name: str,
    verb: str,
    champion: tuple[int, int],
    challenger: tuple[int, int],
    bound: float,
    alphas: Alphas,
) -> Measure:
    """Difference of two shares, each as (hits, of)."""
    counts = [np.array([of - hits, hits]) for hits, of in (champion, challenger)]
    lo, hi = _difference(np.array([0.0, 1.0]), counts[0], counts[1], alphas)
    theirs, its = champion[0] / champion[1], challenger[0] / challenger[1]
    sentence = (
        f"It {verb} in {its:.2%} of {challenger[1]:,} requests, the champion in {theirs:.2%} of "
        f"{champion[1]:,}: a difference within [{lo:+.2%}, {hi:+.2%}]; {bound:.2%} is allowed."
    )
    return Measure(name, theirs, its, its - theirs, lo, hi, bound, sentence)


def _latency(champion: Side, challenger: Side, bound: float, alphas: Alphas) -> Measure:
    """Ratio of typical latencies: geometric means, which a few outliers of a machine do not move.

    On a logarithmic scale, cut at both ends by the histogram, a mean is bounded, and a ratio is a
    difference.
    """
    counts = [np.array(side.latency) for side in (champion, challenger)]
    lo, hi = np.exp(np.array(_difference(_BINS, counts[0], counts[1], alphas)) * _SPAN)
    theirs, its = (np.exp(c @ _LOG_MS / c.sum()) for c in counts)
    sentence = (
        f"It typically takes {its:.3g} ms, the champion {theirs:.3g} ms: within [{lo:.2f}, "
        f"{hi:.2f}] times as long; {bound:g} is allowed."
    )
    ends = float(lo), float(hi)
    return Measure(
        "latency", float(theirs), float(its), float(its / theirs), *ends, bound, sentence
    )


def _scores(champion: Array, challenger: Array, bound: float, alphas: Alphas) -> Measure:
    """How far apart the distributions of their answers are (Kolmogorov-Smirnov)."""
    value, lo, _ = distance_bounds(challenger, champion, alphas[0])
    hi = distance_bounds(challenger, champion, alphas[1])[2]
    sentence = (
        f"Its answers are distributed otherwise than the champion's by {value:.3f} "
        f"({len(challenger):,} and {len(champion):,} rows): within [{lo:.3f}, {hi:.3f}]; "
        f"{bound:g} is allowed."
    )
    return Measure("scores", None, None, value, lo, hi, bound, sentence)


def _losses(champion: Array, challenger: Array, bound: float, alphas: Alphas) -> Measure:
    """How much more it errs where the truth is known."""
    theirs, its = float(champion.mean()), float(challenger.mean())
    lo, hi = _difference(_LOSSES, _loss_counts(champion), _loss_counts(challenger), alphas)
    sentence = (
        f"Its loss is {its:.4f} on {len(challenger):,} known outcomes, the champion's "
        f"{theirs:.4f} on {len(champion):,}: a difference within [{lo:+.4f}, {hi:+.4f}]; "
        f"{bound:g} is allowed."
    )
    return Measure("quality", theirs, its, its - theirs, lo, hi, bound, sentence)


def _difference(
    values: Array, champion: Array, challenger: Array, alphas: Alphas
) -> tuple[float, float]:
    """Bounds of the difference of two means: the doubt of both, which may be at its worst at once.

    values: [v] within [0, 1]; champion, challenger: how often each was seen, [v].
    """
    withdraws, promotes = (alpha / 2 for alpha in alphas)
    lo = lower(values, challenger, withdraws) - upper(values, champion, withdraws)
    hi = upper(values, challenger, promotes) - lower(values, champion, promotes)
    return float(lo), float(hi)


def _loss_counts(losses: Array) -> Array:
    return np.bincount(np.rint(np.clip(losses, 0, 1) * _GRID).astype(int), minlength=_GRID + 1)
