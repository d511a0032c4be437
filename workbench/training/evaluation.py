"""How good answers are: metrics with bootstrap intervals, compared on the same resamples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Weighted = Callable[[Array], float]
Metric = Callable[[Array, Array], Weighted]
"""From label and answer ([rows], or answer [rows, classes]) to a function of the rows' weights.

What does not depend on weights (the sorting) is done once, not for each of hundreds of resamples.
"""


@dataclass
class Report:
    """What a pipeline's own `evaluate` adds.

    metrics: name to a number, or to one number a row (of the test side, in its order), of which
    the mean and its interval are reported. baselines: the same by who answered instead; where
    both give a number a row, their difference is paired. slices: name of a slice to its numbers.
    plots: name to points `{"x", "y"}`. main: the metric by which releases are judged;
    higher_is_better says how.
    """

    metrics: Mapping[str, Any] = field(default_factory=dict)
    baselines: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    slices: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    plots: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    main: str | None = None
    higher_is_better: bool = True


def auc(label: Array, score: Array) -> Weighted:
    """Area under the ROC curve, ties counted half."""
    by_score = _by_score(label, score)

    def weighted(weight: Array) -> float:
        yes, no = by_score(weight)
        total = yes.sum() * no.sum()
        return float((yes * (np.cumsum(no) - no / 2)).sum() / total) if total else float("nan")

    return weighted


def average_precision(label: Array, score: Array) -> Weighted:
    """Average precision: area under precision and recall as a step function."""
    by_score = _by_score(label, score)

    def weighted(weight: Array) -> float:
        yes, no = (part[::-1] for part in by_score(weight))
        hits, total = np.cumsum(yes), yes.sum()
        seen = np.cumsum(yes + no)
        precision = np.divide(hits, seen, out=np.zeros(len(hits)), where=seen > 0)
        return float((yes * precision).sum() / total) if total else float("nan")

    return weighted


def _by_score(label: Array, score: Array) -> Callable[[Array], tuple[Array, Array]]:
    """Return a function to the weight of positive and of negative rows at each score, ascending."""
    order = np.argsort(score, kind="stable")
    ranked, yes_rows = score[order], label[order] > 0.5
    group = np.cumsum(np.r_[False, ranked[1:] != ranked[:-1]])
    groups = int(group[-1]) + 1 if len(group) else 0
    yes_order, no_order = order[yes_rows], order[~yes_rows]
    yes_group, no_group = group[yes_rows], group[~yes_rows]

    def sums(weight: Array) -> tuple[Array, Array]:
        return (
            np.bincount(yes_group, weight[yes_order], groups),
            np.bincount(no_group, weight[no_order], groups),
        )

    return sums


def _mean(values: Array) -> Weighted:
    return lambda weight: float(values @ weight / weight.sum())


def log_loss(label: Array, score: Array) -> Weighted:
    """Mean negative log likelihood in nats; binary score or [rows, classes] with class numbers.

    Of a class that training never saw, number -1, nothing was said.
    """
    if score.ndim == 2:
        chosen = np.where(label < 0, 0, score[np.arange(len(label)), label.astype(int)])
    else:
        chosen = np.where(label > 0.5, score, 1 - score)
    return _mean(-np.log(np.clip(chosen, 1e-7, 1)))


def brier(label: Array, score: Array) -> Weighted:
    """Mean squared difference of score and outcome."""
    return _mean((score - label) ** 2)


def accuracy(label: Array, score: Array) -> Weighted:
    """Share of rows whose most likely class is right."""
    return _mean((score.argmax(1) == label).astype(float))


def rmse(label: Array, value: Array) -> Weighted:
    """Root of the mean squared error, in the target's unit."""
    mean_square = _mean((value - label) ** 2)
    return lambda weight: mean_square(weight) ** 0.5


def mae(label: Array, value: Array) -> Weighted:
    """Mean absolute error, in the target's unit."""
    return _mean(np.abs(value - label))


METRICS: dict[str, dict[str, Metric]] = {
    "binary": {
        "auc": auc,
        "average_precision": average_precision,
        "log_loss": log_loss,
        "brier": brier,
    },
    "multiclass": {"accuracy": accuracy, "log_loss": log_loss},
    "regression": {"rmse": rmse, "mae": mae},
}
MAIN = {"binary": "average_precision", "multiclass": "log_loss", "regression": "rmse"}
HIGHER_IS_BETTER = {"auc": True, "average_precision": True, "accuracy": True}


def at_threshold(
    label: Array, score: Array, threshold: float, weight: Array | None = None
) -> dict[str, float]:
    """Precision, recall, F1 and share of alarms at the operating point."""
    count = _counted(label, weight)
    alarm = count * (score >= threshold)
    hits, alarms = float(alarm @ label), float(alarm.sum())
    true = float(count @ label)
    precision = hits / alarms if alarms else 0.0
    recall = hits / true if true else 0.0
    return {
        "threshold": threshold,
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(2 * precision * recall / (precision + recall)) if hits else 0.0,
        "alarm_fraction": alarms / float(count.sum()),
    }


def judge(
    task: str,
    label: Array,
    answers: Mapping[str, Array],
    *,
    bootstrap: int,
    seed: int,
    weight: Array | None = None,
) -> dict[str, dict[str, dict[str, float]]]:
    """Metrics of each answerer with 95 % intervals, and each one's difference from `model`.

    weight: how much each row counts. Resamples are shared by all answerers, so differences are
    paired: their intervals leave out what all have in common. Returns
    {answerer: {metric: {value, lo, hi[, minus_model, ...]}}}.
    """
    rng = np.random.default_rng(seed)
    count = _counted(label, weight)
    measures = {
        (who, name): metric(label, answer)
        for who, answer in answers.items()
        for name, metric in METRICS[task].items()
    }
    samples = {key: np.empty(bootstrap) for key in measures}
    # One resample at a time, for all: hundreds of them, of a million rows each, are gigabytes.
    for number in range(bootstrap):
        rows = rng.integers(0, len(label), len(label))
        drawn = count * np.bincount(rows, minlength=len(label))
        for key, measure in measures.items():
            samples[key][number] = measure(drawn)
    found: dict[str, dict[str, dict[str, float]]] = {who: {} for who in answers}
    for (who, name), measure in measures.items():
        found[who][name] = {"value": measure(count), **_interval(samples[who, name])}
    for who in answers:
        if who == "model" or "model" not in answers:
            continue
        for name in METRICS[task]:
            gap = samples[who, name] - samples["model", name]
            entry = found[who][name]
            entry["minus_model"] = entry["value"] - found["model"][name]["value"]
            entry |= {f"minus_model_{k}": v for k, v in _interval(gap).items()}
    return found


def measured(value: Any, *, bootstrap: int, seed: int) -> dict[str, float]:
    """A number as it is, or the mean of one number a row with its interval."""
    values = np.asarray(value, dtype=np.float64)
    if values.ndim == 0:
        return {"value": float(values)}
    return mean_interval(values, bootstrap=bootstrap, seed=seed)


def minus_model(value: Any, model: Any, *, bootstrap: int, seed: int) -> dict[str, float]:
    """A baseline's difference from the model, paired by row where both have a number a row."""
    gap = np.asarray(value, dtype=np.float64) - np.asarray(model, dtype=np.float64)
    found = measured(gap, bootstrap=bootstrap, seed=seed)
    return {
        "minus_model" if name == "value" else f"minus_model_{name}": number
        for name, number in found.items()
    }


def mean_interval(values: Array, *, bootstrap: int, seed: int) -> dict[str, float]:
    """Mean of one number a row with its 95 % bootstrap interval."""
    rng = np.random.default_rng(seed)
    drawn = np.array(
        [values[rng.integers(0, len(values), len(values))].mean() for _ in range(bootstrap)]
    )
    return {"value": float(values.mean()), **_interval(drawn)}


def _interval(drawn: Array) -> dict[str, float]:
    if not len(drawn) or np.isnan(drawn).all():
        return {}
    lo, hi = np.nanpercentile(drawn, [2.5, 97.5])
    return {"lo": float(lo), "hi": float(hi)}


def calibration(
    label: Array, score: Array, bins: int = 10, weight: Array | None = None
) -> tuple[list[dict[str, float]], float]:
    """Mean score and observed rate in bins of equal size, and the expected calibration error."""
    order = np.argsort(score, kind="stable")
    count = _counted(label, weight)
    points, error = [], 0.0
    for part in np.array_split(order, bins):
        own = count[part]
        if own.sum() > 0:
            said, seen = (float(np.average(v[part], weights=own)) for v in (score, label))
            points.append({"x": said, "y": seen, "rows": float(len(part))})
            error += abs(said - seen) * float(own.sum() / count.sum())
    return points, error


def curves(
    label: Array, score: Array, points: int = 200, weight: Array | None = None
) -> dict[str, list[dict[str, float]]]:
    """ROC and precision-recall curves, thinned to about `points` for drawing."""
    yes, no = _by_score(label, score)(_counted(label, weight))
    hits, false = np.cumsum(yes[::-1]), np.cumsum(no[::-1])
    recall, fall_out = hits / (hits[-1] or 1), false / (false[-1] or 1)
    # Even steps along both curves: even steps through the rows would skip where they bend.
    steps = np.linspace(0, 1, points // 2)
    along = np.concatenate([np.searchsorted(recall, steps), np.searchsorted(fall_out, steps)])
    keep = np.unique(np.clip(along, 0, len(hits) - 1))
    alarms = hits + false
    precision = np.divide(hits, alarms, out=np.zeros(len(hits)), where=alarms > 0)
    return {
        "roc": [{"x": 0.0, "y": 0.0}]
        + [{"x": float(fall_out[i]), "y": float(recall[i])} for i in keep],
        "precision_recall": [{"x": float(recall[i]), "y": float(precision[i])} for i in keep],
    }


def _counted(label: Array, weight: Array | None) -> Array:
    """How much each row counts: one, where nothing else is said."""
    return np.ones(len(label)) if weight is None else weight


def slices(
    table: Any,
    columns: tuple[str, ...],
    label: Array,
    answer: Array,
    task: str,
    most: int = 12,
    weight: Array | None = None,
) -> dict[str, dict[str, Any]]:
    """The main metric by value of each column (the `most` frequent values)."""
    import pyarrow.compute as pc

    name = MAIN[task]
    count = _counted(label, weight)
    found: dict[str, dict[str, Any]] = {}
    for column in columns:
        values = pc.cast(table[column], "string").fill_null("(missing)")
        counts = values.value_counts().to_pylist()
        frequent = sorted(counts, key=lambda c: (-c["counts"], c["values"]))[:most]
        plain = values.to_numpy(zero_copy_only=False)
        for entry in frequent:
            at = plain == entry["values"]
            own = count[at]
            if not own.sum() > 0:
                continue  # of nobody in it is the outcome known
            value = METRICS[task][name](label[at], answer[at])(own)
            found[f"{column}={entry['values']}"] = {
                "rows": int(at.sum()),
                "label_mean": float(np.average(label[at], weights=own)),
                name: None if np.isnan(value) else value,
            }
    return found
