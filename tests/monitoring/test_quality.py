from __future__ import annotations

import numpy as np
import pytest

from workbench.core.records import VERSION, Column, Signature
from workbench.monitoring.quality import label_of, quality_of


def signature(task="binary", classes=()):
    output = {"binary": "score", "multiclass": "scores"}.get(task, "value")
    return Signature(
        version=VERSION,
        pipeline="fraud",
        interface="tabular",
        task=task,
        inputs=(Column("amount", "number"),),
        outputs=(Column(output, "number"),),
        classes=classes,
    )


def answered(rows, sharp, seed=1):
    """Scores and outcomes; the sharper, the better the one tells the other."""
    rng = np.random.default_rng(seed)
    truth = rng.random(rows) < 0.3
    return (sharp * truth + rng.random(rows)) / (sharp + 1), truth.tolist()


def test_quality_is_measured_with_an_interval_around_it():
    scores, truth = answered(800, 0.6)
    found = {one.metric: one for one in quality_of(signature(), scores, truth, {})}
    assert found.keys() == {"auc", "average_precision", "log_loss", "brier"}
    auc = found["auc"]
    assert auc.decides
    assert auc.lo < auc.value < auc.hi
    assert auc.verdict == "nothing to compare with"


def test_a_release_is_worse_only_where_the_intervals_do_not_meet():
    released = {"auc": {"value": 0.95, "lo": 0.93, "hi": 0.97}}
    verdicts = {}
    for sharp in (0.2, 0.9):
        scores, truth = answered(800, sharp)
        (auc,) = [q for q in quality_of(signature(), scores, truth, released) if q.decides]
        verdicts[sharp] = auc.verdict
    assert verdicts == {0.2: "worse", 0.9: "as good"}


def test_a_loss_is_worse_when_it_is_higher():
    released = {"rmse": {"value": 1.0, "lo": 0.9, "hi": 1.1}}
    rng = np.random.default_rng(3)
    truth = rng.normal(size=400)
    for error, verdict in ((1.0, "as good"), (2.0, "worse")):
        values = (truth + error * rng.normal(size=400)).tolist()
        found = quality_of(signature("regression"), values, truth.tolist(), released)
        assert next(q for q in found if q.decides).verdict == verdict


def test_the_likeliest_class_is_compared_with_the_named_outcome():
    rng = np.random.default_rng(4)
    names = ("cat", "dog")
    truth = rng.integers(0, 2, 100)
    scores = np.eye(2)[truth] * 0.8 + 0.1
    outcomes = [*[names[i] for i in truth], "bird"]
    found = quality_of(signature("multiclass", names), [*scores, scores[0]], outcomes, {})
    accuracy = next(q for q in found if q.metric == "accuracy")
    assert (accuracy.value, accuracy.rows) == (1.0, 100)


@pytest.mark.parametrize("rows", [0, 20, 49])
def test_few_outcomes_say_nothing(rows):
    scores, truth = answered(rows, 1.0)
    (one,) = quality_of(signature(), scores, truth, {})
    assert (one.value, one.verdict) == (None, "too few outcomes")
    assert "Too few" in one.sentence


def test_outcomes_of_one_kind_only_say_nothing():
    (one,) = quality_of(signature(), [0.5] * 300, [False] * 300, {})
    assert one.verdict == "too few outcomes"


@pytest.mark.parametrize(
    ("outcome", "label"),
    [(True, 1), (0, 0), ("yes", 1), ("False", 0), ("1", 1), (2, None), ("?", None), (None, None)],
)
def test_what_a_client_reports_is_read_as_it_means_it_or_not_at_all(outcome, label):
    assert label_of(signature(), outcome) == label


def test_a_task_without_standard_metrics_has_no_quality():
    assert quality_of(signature("ranking"), [1], [1], {}) == []
