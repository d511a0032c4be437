"""Weights for rows whose outcome nobody waited for: exact, and from the training side alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from workbench.core.errors import DataError
from workbench.data.censoring import Censored, chance_of_staying, weights

HORIZON = 20
CENSORED = Censored("followed", "known")


def people(rows: int, seed: int, *, groups: int = 1) -> pa.Table:
    """Lives in whole days, so that many end on the same one: sick (1), dead (2), lost or done (0).

    Who belongs to a later group is lost earlier and gets ill more often.
    """
    rng = np.random.default_rng(seed)
    group = rng.integers(0, groups, rows)
    ill, dead, lost = (
        np.ceil(rng.exponential(scale, rows)) for scale in (60 / (1 + 2 * group), 80, 40)
    )
    lost = np.ceil(lost / (1 + group))
    days = np.minimum.reduce([ill, dead, lost, np.full(rows, HORIZON)])
    cause = np.where(ill <= days, 1, np.where(dead <= days, 2, 0))
    return pa.table(
        {
            "followed": days,
            "known": (cause > 0) | (days >= HORIZON),
            "sick": cause == 1,
            "cause": cause,
            "group": [f"g{g}" for g in group],
        }
    )


def aalen_johansen(days: np.ndarray, cause: np.ndarray) -> float:
    """Straight from the textbook, a day at a time."""
    free, risk = 1.0, 0.0
    for day in np.unique(days):
        here, at_risk = days == day, (days >= day).sum()
        risk += free * (here & (cause == 1)).sum() / at_risk
        free *= 1 - (here & (cause > 0)).sum() / at_risk
    return risk


def everybody(table: pa.Table) -> np.ndarray:
    return np.ones(table.num_rows, bool)


def column(table: pa.Table, name: str) -> np.ndarray:
    return table[name].to_numpy(zero_copy_only=False)


def test_the_chance_of_staying_is_kaplan_meiers_of_leaving() -> None:
    # One is lost on day 1 of five; of the three on day 3, one falls ill *before* one is lost.
    followed, known = np.array([1, 2, 3, 3, 4.0]), np.array([False, True, False, True, True])
    stays = chance_of_staying(followed, known)
    assert stays(np.array([1, 2, 3, 4.0])).tolist() == pytest.approx([1, 4 / 5, 4 / 5, 2 / 5])


@pytest.mark.parametrize("seed", range(5))
def test_the_weighted_rate_is_the_aalen_johansen_estimate(seed: int) -> None:
    table = people(400, seed)
    weight = weights(table, CENSORED, everybody(table))
    assert weight.sum() == pytest.approx(table.num_rows)
    rate = float(weight @ column(table, "sick")) / table.num_rows
    assert rate == pytest.approx(aalen_johansen(column(table, "followed"), column(table, "cause")))


def test_by_groups_the_rate_of_each_group_is_right() -> None:
    table = people(3_000, 1, groups=2)
    apart = weights(table, Censored("followed", "known", by=("group",)), everybody(table))
    together = weights(table, CENSORED, everybody(table))
    for group in ("g0", "g1"):
        at = column(table, "group") == group
        seen = aalen_johansen(column(table, "followed")[at], column(table, "cause")[at])
        assert np.average(column(table, "sick")[at], weights=apart[at]) == pytest.approx(seen)
        assert np.average(column(table, "sick")[at], weights=together[at]) != pytest.approx(
            seen, rel=0.01
        )


def test_whose_outcome_is_not_known_counts_for_nothing() -> None:
    table = people(300, 2)
    weight = weights(table, CENSORED, everybody(table))
    known = column(table, "known")
    assert not weight[~known].any()
    assert (weight[known] >= 1).all()


def test_nothing_of_the_test_side_reaches_the_weights_of_training() -> None:
    table, other = people(500, 3), people(500, 4)
    training = np.arange(500) < 300
    mixed = pa.concat_tables([table.slice(0, 300), other.slice(300)])
    ours, theirs = (weights(t, CENSORED, training) for t in (table, mixed))
    assert ours[:300].tolist() == theirs[:300].tolist()
    assert ours[300:].tolist() != theirs[300:].tolist()


def test_who_was_followed_longer_than_anybody_in_training_is_told() -> None:
    table = pa.table({"followed": [1.0, 5.0, 9.0], "known": [True, False, True], "g": ["a"] * 3})
    with pytest.raises(DataError, match="followed for longer"):
        weights(table, CENSORED, np.array([True, True, False]))
    with pytest.raises(DataError, match="g 'a'"):
        weights(table, Censored("followed", "known", by=("g",)), np.array([True, True, False]))


def test_a_group_that_training_never_saw_is_told() -> None:
    table = pa.table({"followed": [1.0, 1.0], "known": [True, True], "g": ["a", None]})
    with pytest.raises(DataError, match="training side"):
        weights(table, Censored("followed", "known", by=("g",)), np.array([True, False]))


def test_a_row_without_follow_up_is_told() -> None:
    table = pa.table({"followed": [1.0, None], "known": [True, False]})
    with pytest.raises(DataError, match="how long"):
        weights(table, CENSORED, np.array([True, True]))
