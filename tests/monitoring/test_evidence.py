from __future__ import annotations

import numpy as np
import pytest

from workbench.core.deploy import Levels, Rollout
from workbench.monitoring.breach import breach
from workbench.monitoring.evidence import MEASURES, Side, counted, judge, late
from workbench.monitoring.sequential import lower, share_bounds, upper
from workbench.storage.windows import BOUNDS_MS, ServingWindow

ROLLOUT, LEVELS = Rollout(), Levels()
BINS = len(BOUNDS_MS) + 1


def latencies(rng, requests: int, ms: float) -> tuple[int, ...]:
    found = np.searchsorted(BOUNDS_MS, ms * np.exp(rng.normal(0, 0.5, requests)))
    return tuple(np.bincount(found, minlength=BINS).tolist())


def side(seed: int, requests: int, *, errors: int = 0, ms: float = 2.0, mean: float = 2.0) -> Side:
    rng = np.random.default_rng(seed)
    return Side(
        requests, errors, latencies(rng, requests, ms), rng.beta(mean, 5, requests), np.empty(0)
    )


def test_a_challenger_that_is_as_good_is_promoted_once_there_is_enough_of_it():
    wait = judge(side(1, 900), side(2, 100), ROLLOUT, LEVELS)
    assert (wait.decision, wait.requests) == ("wait", 100)
    assert "100 of 500" in wait.reasons[0]
    done = judge(side(1, 9000), side(2, 1000), ROLLOUT, LEVELS)
    assert done.decision == "promote"
    assert {measure.name for measure in done.measures} == {"errors", "late", "latency", "scores"}
    assert done.numbers["errors"]["hi"] <= 0.01


def test_one_that_is_not_yet_known_to_be_as_good_waits_and_says_what_is_not_known():
    found = judge(side(1, 4500), side(2, 500), ROLLOUT, LEVELS)
    assert found.decision == "wait"
    assert any("1.00% is allowed" in reason for reason in found.reasons)


@pytest.mark.parametrize(
    ("bad", "requests", "name"),
    [
        ({"errors": 6}, 6, "errors"),
        ({"errors": 60}, 200, "errors"),
        ({"ms": 8.0}, 100, "latency"),
        ({"ms": 400.0}, 20, "late"),
        ({"mean": 20.0}, 150, "scores"),
    ],
)
def test_a_bad_challenger_is_withdrawn_after_few_requests_and_says_why(bad, requests, name):
    found = judge(side(1, 9 * requests), side(2, requests, **bad), ROLLOUT, LEVELS)
    assert found.decision == "withdraw"
    assert name in {measure.name for measure in found.measures if measure.is_worse}
    assert "is allowed" in found.reasons[0]


def test_a_challenger_whose_answers_turn_out_wrong_is_withdrawn():
    rng = np.random.default_rng(5)
    champion, challenger = (
        Side(600, 0, latencies(rng, 600, 2), np.empty(0), rng.beta(*shape, 600))
        for shape in ((1, 9), (3, 6))
    )
    found = judge(champion, challenger, ROLLOUT, LEVELS)
    assert found.decision == "withdraw"
    assert "known outcomes" in found.reasons[0]


def test_a_few_outcomes_do_not_hold_a_promotion_back():
    rng = np.random.default_rng(5)
    sides = [
        Side(n, 0, latencies(rng, n, 2), np.empty(0), rng.beta(1, 9, few))
        for n, few in ((9000, 90), (1000, 10))
    ]
    assert judge(sides[0], sides[1], ROLLOUT, LEVELS).decision == "promote"


def test_nothing_is_decided_before_both_have_answered():
    assert judge(side(1, 100), Side(), ROLLOUT, LEVELS).decision == "wait"
    assert judge(Side(), side(1, 1000), ROLLOUT, LEVELS).decision == "wait"


def shares(rng, share: float, runs: int, looks: int, each: int):
    return rng.binomial(each, share, (runs, looks)).cumsum(1)


def test_who_looks_after_each_twenty_requests_withdraws_a_good_one_in_at_most_alpha_of_the_runs():
    """The bounds of `judge`, for many rollouts at once; both sides fail alike and are as quick.

    The challenger is at the very edge of what is allowed, where a wrong verdict is likeliest.
    """
    runs, looks, each = 300, 80, 20
    rng = np.random.default_rng(11)
    alpha = ROLLOUT.alpha / MEASURES / 2
    of = np.broadcast_to(np.arange(1, looks + 1) * each, (runs, looks))
    champion = shares(rng, 0.01, runs, looks, 9 * each)
    edge = shares(rng, 0.01 + ROLLOUT.error_margin_fraction, runs, looks, each)
    lo = share_bounds(edge, of, alpha)[0] - share_bounds(champion, 9 * of, alpha)[1]
    assert (lo > ROLLOUT.error_margin_fraction).any(1).mean() <= ROLLOUT.alpha

    bins = np.linspace(0, 1, BINS)
    same = [
        np.array([latencies(rng, n, 2.0) for _ in range(40 * 25)]).reshape(40, 25, BINS).cumsum(1)
        for n in (9 * each, each)
    ]
    lo = lower(bins, same[1], alpha) - upper(bins, same[0], alpha)
    assert (lo > 0).any(1).mean() <= ROLLOUT.alpha


def test_the_whole_verdict_withdraws_no_good_challenger_however_often_it_is_asked():
    wrong = 0
    for seed in range(15):
        champion, challenger = side(seed, 4500, errors=0), side(seed + 100, 500, errors=0)
        rng = np.random.default_rng(seed)
        order = rng.permutation(np.repeat(np.arange(BINS), challenger.latency))
        for seen in range(50, 501, 50):
            part = Side(
                seen,
                0,
                tuple(np.bincount(order[:seen], minlength=BINS).tolist()),
                challenger.scores[:seen],
            )
            wrong += judge(champion, part, ROLLOUT, LEVELS).decision == "withdraw"
    assert wrong == 0


def test_one_that_is_worse_than_allowed_is_promoted_in_at_most_alpha_of_the_runs():
    runs, looks, each = 300, 80, 25
    rng = np.random.default_rng(13)
    of = np.broadcast_to(np.arange(1, looks + 1) * each, (runs, looks))
    champion = shares(rng, 0.01, runs, looks, 9 * each)
    worse = shares(rng, 0.01 + ROLLOUT.error_margin_fraction, runs, looks, each)
    half = ROLLOUT.alpha / 2
    hi = share_bounds(worse, of, half)[1] - share_bounds(champion, 9 * of, half)[0]
    assert (hi <= ROLLOUT.error_margin_fraction).any(1).mean() <= ROLLOUT.alpha


def window(**more) -> ServingWindow:
    latency = [0] * BINS
    latency[3] = more.get("requests", 0)
    known = {"start_s": 1.0, "end_s": 2.0, "pid": 1, "pipeline": "fraud", "alias": "champion"}
    return ServingWindow(**known, release=1, digest="d" * 64, latency=tuple(latency), **more)


def test_windows_are_added_up_and_quiet_ones_change_nothing():
    quiet = ServingWindow(
        start_s=2.0, end_s=3.0, pid=1, pipeline="fraud", alias="champion", release=1, digest="d"
    )
    found = counted([window(requests=5, errors=1), quiet, window(requests=7)])
    assert (found.requests, found.errors, found.latency[3]) == (12, 1, 12)
    assert late(found, BOUNDS_MS[3]) == 0
    assert late(found, BOUNDS_MS[2]) == 12


def test_a_new_champion_that_burns_its_budget_breaks_the_levels():
    fine, failing, slow = side(1, 200), side(2, 200, errors=20), side(3, 200, ms=400.0)
    assert breach(fine, fine, LEVELS) is None
    found = breach(failing, fine, LEVELS)
    assert found is not None
    assert "20 of 200 requests failed" in found.sentence
    found = breach(slow, fine, LEVELS)
    assert found is not None
    assert "longer than 100 ms" in found.sentence


def test_it_is_not_taken_back_for_what_the_one_before_did_too_or_on_little_evidence():
    failing = side(2, 200, errors=20)
    assert breach(failing, failing, LEVELS) is None
    assert breach(side(2, 40, errors=40), side(1, 200), LEVELS) is None
    assert breach(side(2, 1000, errors=10), side(1, 200), LEVELS) is None
