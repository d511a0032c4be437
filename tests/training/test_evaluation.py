"""Our weighted metrics are the well-known ones, ties and weights included."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics

from workbench.training import evaluation

RNG = np.random.default_rng(3)
LABEL = (RNG.random(500) < 0.2).astype(float)
# Rounded, so that many scores are equal.
SCORE = np.round(np.clip(0.3 * LABEL + RNG.random(500) * 0.7, 0.01, 0.99), 2)
WEIGHT = RNG.integers(0, 4, 500).astype(float)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (evaluation.auc, metrics.roc_auc_score),
        (evaluation.average_precision, metrics.average_precision_score),
        (evaluation.log_loss, metrics.log_loss),
        (evaluation.brier, metrics.brier_score_loss),
    ],
)
def test_a_weighted_metric_is_that_of_scikit_learn(ours, theirs) -> None:
    found = ours(LABEL, SCORE)(WEIGHT)
    assert found == pytest.approx(theirs(LABEL, SCORE, sample_weight=WEIGHT), abs=1e-9)


@pytest.mark.parametrize("metric", [evaluation.auc, evaluation.average_precision])
@pytest.mark.parametrize("label", [np.zeros(5), np.ones(5)])
def test_one_class_alone_has_no_ranking_and_does_not_fail(metric, label: np.ndarray) -> None:
    found = metric(label, np.linspace(0, 1, 5))(np.ones(5))
    only_hits = metric is evaluation.average_precision and label.all()
    assert found == 1.0 if only_hits else math.isnan(found)


def test_curves_follow_the_steep_part_at_the_highest_scores() -> None:
    label = np.r_[np.zeros(9_900), np.ones(100)]
    score = np.linspace(0, 1, 10_000)
    points = evaluation.curves(label, score)["precision_recall"]
    assert sum(p["y"] == 1.0 for p in points) > 50


def test_a_difference_from_the_model_is_paired_and_zero_for_itself() -> None:
    judged = evaluation.judge(
        "binary", LABEL, {"model": SCORE, "twin": SCORE}, bootstrap=20, seed=1
    )
    twin = judged["twin"]["auc"]
    assert twin["minus_model"] == twin["minus_model_lo"] == twin["minus_model_hi"] == 0.0
    assert twin["lo"] < twin["value"] < twin["hi"]
