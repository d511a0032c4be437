"""Net benefit as Vickers and Elkin define it."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.training.decisions import decision_curve, net_benefit

LABEL = np.array([1, 0, 0, 0, 1, 0, 0, 0, 0, 0], float)
SCORE = np.array([0.9, 0.8, 0.1, 0.1, 0.3, 0.1, 0.1, 0.1, 0.1, 0.1])
EQUAL = np.full(10, 0.1)


def test_false_alarms_are_weighed_with_the_odds_of_the_threshold() -> None:
    # From 0.2 on one acts on three rows: two found, one false alarm at odds 0.25.
    assert net_benefit(LABEL, SCORE, 0.2, EQUAL) == pytest.approx(0.2 - 0.1 * 0.25)
    assert net_benefit(LABEL, SCORE, 0.85, EQUAL) == pytest.approx(0.1)


def test_beside_the_model_stand_acting_on_all_and_on_none() -> None:
    points = decision_curve(LABEL, {"model": SCORE, "linear": 1 - SCORE})
    assert list(dict.fromkeys(p["who"] for p in points)) == [
        "model",
        "linear",
        "act on all",
        "act on none",
    ]
    for point in points:
        odds = point["x"] / (1 - point["x"])
        if point["who"] == "act on all":
            assert point["y"] == pytest.approx(0.2 - 0.8 * odds)
        if point["who"] == "act on none":
            assert point["y"] == 0


def test_who_knows_the_outcome_gains_all_there_is_at_every_threshold() -> None:
    points = decision_curve(LABEL, {"model": LABEL})
    assert {round(p["y"], 9) for p in points if p["who"] == "model"} == {0.2}
    assert max(p["x"] for p in points) < 1


def test_a_row_of_weight_two_is_two_rows() -> None:
    weight = np.array([2, 1, 1, 0, 1, 3, 1, 1, 1, 1], float)
    twice = np.repeat(np.arange(10), weight.astype(int))
    share = weight / weight.sum()
    told = net_benefit(LABEL[twice], SCORE[twice], 0.2, np.full(len(twice), 1 / len(twice)))
    assert net_benefit(LABEL, SCORE, 0.2, share) == pytest.approx(told)
    curve = decision_curve(LABEL, {"model": SCORE}, weight=weight)
    at = curve[10]
    assert at["y"] == pytest.approx(net_benefit(LABEL, SCORE, at["x"], share))
