"""A row that counts twice is two rows, and one that counts nothing is none: everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from workbench.data.examples import WEIGHT, Spec
from workbench.data.fitted import fit
from workbench.training import evaluation
from workbench.training.baselines import baseline_answers
from workbench.training.batches import Batches, row_weights
from workbench.training.loss import default_loss
from workbench.training.threshold import best_threshold

RNG = np.random.default_rng(5)
ROWS = 300
NUMBER = RNG.normal(size=ROWS)
LABEL = (RNG.random(ROWS) < 1 / (1 + np.exp(1 - 2 * NUMBER))).astype(float)
SCORE = np.round(1 / (1 + np.exp(1 - NUMBER + RNG.normal(size=ROWS))), 2)
COUNT = RNG.integers(0, 4, ROWS)
WEIGHTS = COUNT.astype(float)
REPEATED = np.repeat(np.arange(ROWS), COUNT)
TARGETS = {
    "binary": LABEL > 0,
    "multiclass": np.array(["a", "b", "c"])[RNG.integers(0, 3, ROWS)],
    "regression": NUMBER + RNG.normal(size=ROWS),
}


def table(task: str, *, weighted: bool = True) -> pa.Table:
    columns: dict[str, Any] = {"x": NUMBER, "y": TARGETS[task]}
    return pa.table(columns | ({WEIGHT: WEIGHTS} if weighted else {}))


def spec(task: Any) -> Spec:
    return Spec(key=("x",), roles={"x": "number"}, task=task, targets=("y",))


class Answers(torch.nn.Module):
    """Answers that were given before, read from a column."""

    def forward(self, columns: dict[str, torch.Tensor]) -> torch.Tensor:
        return columns["answer"]


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression", "several", "ranking"])
def test_every_default_loss_counts_rows_by_their_weight(task: str) -> None:
    torch.manual_seed(1)
    kind = "regression" if task == "several" else task
    fitted = fit(table("binary"), spec("binary"))
    loss = default_loss(fitted.__class__(**{**fitted.__dict__, "task": kind}), "none")
    wide = {"multiclass": (3,), "ranking": (3,), "several": (2,)}.get(task, ())
    answer = torch.randn(ROWS, *wide)
    target = torch.rand(ROWS, 2) if task == "several" else torch.rand(ROWS).round()
    if wide and task != "several":
        target = torch.randint(1, 3, (ROWS,))
    weight = torch.from_numpy(WEIGHTS).float() / WEIGHTS.mean()
    found = loss(Answers(), {"answer": answer, WEIGHT: weight}, target)
    wanted = loss(Answers(), {"answer": answer[REPEATED]}, target[REPEATED])
    assert float(found) == pytest.approx(float(wanted), rel=1e-5)
    equal = loss(Answers(), {"answer": answer, WEIGHT: torch.ones(ROWS)}, target)
    assert float(equal) == pytest.approx(float(loss(Answers(), {"answer": answer}, target)))


def test_weights_reach_the_loss_beside_the_columns_of_each_batch() -> None:
    rows = Batches.of(
        {"x": torch.arange(ROWS).float(), **row_weights(table("binary"), WEIGHTS.mean())},
        None,
        torch.device("cpu"),
    )
    for index in rows.shuffled(64, seed=1):
        columns, _ = rows.take(index)
        wanted = WEIGHTS[columns["x"].int().numpy()] / WEIGHTS.mean()
        assert columns[WEIGHT].tolist() == pytest.approx(wanted.tolist())
    assert row_weights(table("binary", weighted=False), 1.0) == {}


def test_the_share_of_positives_counts_rows_by_their_weight() -> None:
    fitted = fit(table("binary"), spec("binary"))
    assert fitted.positive_fraction == pytest.approx(LABEL[REPEATED].mean())


def test_the_operating_point_counts_rows_by_their_weight() -> None:
    weighted = best_threshold(LABEL, SCORE, WEIGHTS)
    assert weighted == best_threshold(LABEL[REPEATED], SCORE[REPEATED])
    found = evaluation.at_threshold(LABEL, SCORE, weighted, WEIGHTS)
    assert found == pytest.approx(
        evaluation.at_threshold(LABEL[REPEATED], SCORE[REPEATED], weighted)
    )


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_linear_baselines_count_rows_by_their_weight(task: str) -> None:
    fitted = fit(table(task), spec(task))
    label = TARGETS[task].astype(float) if task != "multiclass" else RNG.integers(0, 3, ROWS)
    how: Any = {"fitted": fitted, "rows": 10_000, "seed": 1}
    test = table(task)
    found = baseline_answers(table(task), test, label, weight=WEIGHTS, **how)
    wanted = baseline_answers(table(task).take(REPEATED), test, label[REPEATED], **how)
    plain = baseline_answers(table(task), test, label, **how)
    assert np.abs(found["linear"] - wanted["linear"]).max() < 1e-3
    assert np.abs(found["linear"] - plain["linear"]).max() > 1e-3
    assert np.abs(found["boosting"] - plain["boosting"]).max() > 1e-3


def test_of_many_rows_the_baselines_keep_the_weights_of_the_last() -> None:
    fitted = fit(table("binary"), spec("binary"))
    half = ROWS // 2
    how: Any = {"fitted": fitted, "seed": 1}
    whole = baseline_answers(
        table("binary"), table("binary"), LABEL, weight=WEIGHTS, rows=half, **how
    )
    last = table("binary").slice(half)
    alone = baseline_answers(
        last, table("binary"), LABEL[half:], weight=WEIGHTS[half:], rows=ROWS, **how
    )
    assert whole["linear"].tolist() == alone["linear"].tolist()


def test_metrics_and_curves_count_rows_by_their_weight() -> None:
    how: Any = {"bootstrap": 40, "seed": 1}
    answers = {"model": SCORE}
    found = evaluation.judge("binary", LABEL, answers, weight=WEIGHTS, **how)["model"]
    doubled = {"model": SCORE[REPEATED]}
    wanted = evaluation.judge("binary", LABEL[REPEATED], doubled, **how)["model"]
    for name in evaluation.METRICS["binary"]:
        assert found[name]["value"] == pytest.approx(wanted[name]["value"])
        assert found[name]["lo"] <= found[name]["value"] <= found[name]["hi"]
    ours = evaluation.curves(LABEL, SCORE, weight=WEIGHTS)["roc"]
    theirs = evaluation.curves(LABEL[REPEATED], SCORE[REPEATED])["roc"]
    places = [np.array([[p["x"], p["y"]] for p in points]) for points in (ours, theirs)]
    np.testing.assert_allclose(*places)


def test_calibration_compares_weighted_means() -> None:
    (point,), error = evaluation.calibration(LABEL, SCORE, bins=1, weight=WEIGHTS)
    assert point["x"] == pytest.approx(SCORE[REPEATED].mean())
    assert point["y"] == pytest.approx(LABEL[REPEATED].mean())
    assert error == pytest.approx(abs(point["x"] - point["y"]))
    nothing = np.where(SCORE.argsort(kind="stable").argsort() < ROWS // 2, 0.0, 1.0)
    assert len(evaluation.calibration(LABEL, SCORE, bins=2, weight=nothing)[0]) == 1


def test_slices_count_rows_by_their_weight_and_leave_out_who_counts_nothing() -> None:
    words = np.where(COUNT > 0, np.where(NUMBER > 0, "high", "low"), "lost")
    rows = pa.table({"s": words})
    found = evaluation.slices(rows, ("s",), LABEL, SCORE, "binary", weight=WEIGHTS)
    wanted = evaluation.slices(
        rows.take(REPEATED), ("s",), LABEL[REPEATED], SCORE[REPEATED], "binary"
    )
    assert found.keys() == wanted.keys() == {"s=high", "s=low"}
    for name, entry in found.items():
        assert entry["label_mean"] == pytest.approx(wanted[name]["label_mean"])
        assert entry["average_precision"] == pytest.approx(wanted[name]["average_precision"])
        assert entry["rows"] < wanted[name]["rows"]
