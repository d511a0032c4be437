from __future__ import annotations

import numpy as np
import pytest

from workbench.monitoring.sequential import distance_bounds, lower, share_bounds, upper

ALPHA = 0.1


@pytest.mark.parametrize("share", [0.02, 0.3])
def test_a_bound_of_a_share_holds_at_all_times_at_once_in_all_but_alpha_of_the_runs(share):
    runs, looks, each = 400, 60, 25
    rng = np.random.default_rng(7)
    hits = rng.binomial(each, share, (runs, looks)).cumsum(1)
    of = np.broadcast_to(np.arange(1, looks + 1) * each, hits.shape)
    low, high = share_bounds(hits, of, ALPHA)
    assert (low > share).any(1).mean() <= ALPHA
    assert (high < share).any(1).mean() <= ALPHA
    assert (high - low)[:, -1].mean() < 0.12  # and says something


def test_an_interval_that_holds_once_does_not_hold_at_all_times():
    """What the usual interval would do, so that the test above could fail."""
    runs, looks, each, share = 400, 60, 25, 0.3
    rng = np.random.default_rng(7)
    hits = rng.binomial(each, share, (runs, looks)).cumsum(1)
    of = np.arange(1, looks + 1) * each
    usual = hits / of - 1.28 * np.sqrt(hits / of * (1 - hits / of) / of)
    assert (usual > share).any(1).mean() > 2 * ALPHA


def test_a_bound_of_a_mean_of_many_values_holds_and_is_close():
    rng = np.random.default_rng(1)
    values = np.linspace(0, 1, 11)
    counts = rng.multinomial(200, [1 / 11] * 11, size=300).cumsum(0)
    low, high = lower(values, counts, ALPHA), upper(values, counts, ALPHA)
    assert (low < 0.5).all()
    assert (high > 0.5).all()
    assert high[-1] - low[-1] < 0.02


def test_nothing_seen_is_nothing_known():
    low, high = share_bounds(np.array(0), np.array(0), ALPHA)
    assert (float(low), float(high)) == (pytest.approx(0, abs=1e-6), pytest.approx(1, abs=1e-6))


def test_equal_distributions_are_never_found_apart_and_other_ones_are():
    rng = np.random.default_rng(3)
    wrong = 0
    for _ in range(60):
        ours, theirs = rng.beta(2, 5, 600), rng.beta(2, 5, 3000)
        looks = [distance_bounds(ours[:n], theirs[: 5 * n], ALPHA) for n in range(20, 601, 20)]
        wrong += any(low > 0 for _, low, _ in looks)
    assert wrong / 60 <= ALPHA
    value, low, high = distance_bounds(rng.beta(5, 2, 300), rng.beta(2, 5, 1500), ALPHA)
    assert low > 0.2
    assert value <= high
