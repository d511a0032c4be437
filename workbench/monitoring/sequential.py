"""Bounds that hold at every moment at once, so that one may look as often as one likes.

A usual 95 % interval is wrong once in twenty times when it is looked at once; who looks each second
and acts on the first that suits will find one. These are confidence sequences: the chance that they
are wrong at any time, ever, is at most `alpha`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_STAKES = np.geomspace(0.002, 0.99, 16)
_STEPS = 24


def lower(values: Array, counts: Array, alpha: float) -> Array:
    """Lower bound of a mean: of `values` [v] within [0, 1], seen `counts` [..., v] times; [...].

    By betting (Waudby-Smith and Ramdas, 2024): who stakes a share `c` of his capital on each value
    being above `m` has, after all of them, the product of 1 - c + c * value / m. While the mean is
    at most `m` that is a game that cannot be won, so that the chance of ever having 1 / alpha times
    the first capital is at most alpha (Ville). The bound is the largest `m` at which that much was
    won, the capital being shared by several stakes. The product knows no order: sums are enough.
    """
    counts = np.asarray(counts, dtype=float)
    seen = counts.any(axis=tuple(range(counts.ndim - 1)))
    values, counts = np.asarray(values, dtype=float)[seen], counts[..., seen]
    low, high = np.zeros(counts.shape[:-1]), np.ones(counts.shape[:-1])
    goal = np.log(len(_STAKES) / alpha)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        gain = _STAKES[:, None] * (values / middle[..., None, None] - 1)
        won = (np.log1p(gain) @ counts[..., None])[..., 0]
        is_won = np.logaddexp.reduce(won, axis=-1) >= goal
        low, high = np.where(is_won, middle, low), np.where(is_won, high, middle)
    return low


def upper(values: Array, counts: Array, alpha: float) -> Array:
    """Upper bound of a mean, as `lower`."""
    return 1 - lower(1 - np.asarray(values), counts, alpha)


def share_bounds(hits: Array, of: Array, alpha: float) -> tuple[Array, Array]:
    """Bounds of a share of which `hits` among `of` were seen, each wrong with chance `alpha`."""
    counts = np.stack([np.asarray(of) - hits, np.asarray(hits)], axis=-1)
    values = np.array([0.0, 1.0])
    return lower(values, counts, alpha), upper(values, counts, alpha)


def distance_bounds(ours: Array, theirs: Array, alpha: float) -> tuple[float, float, float]:
    """The largest distance of two distribution functions, and its bounds, from two samples.

    The band around each (Dvoretzky, Kiefer, Wolfowitz; Massart) holds at one sample size; here it
    may be wrong with alpha / (n (n + 1)) / 2 at each size n, which is alpha / 2 over all of them.
    """
    ours, theirs = np.sort(ours), np.sort(theirs)
    at = np.concatenate([ours, theirs])
    shares = [np.searchsorted(side, at, side="right") / len(side) for side in (ours, theirs)]
    found = float(np.abs(shares[0] - shares[1]).max())
    doubt = _band(len(ours), alpha / 2) + _band(len(theirs), alpha / 2)
    return found, max(0.0, found - doubt), min(1.0, found + doubt)


def _band(count: int, alpha: float) -> float:
    return float(np.sqrt(np.log(2 * count * (count + 1) / alpha) / (2 * count)))
