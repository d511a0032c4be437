"""What simple, well-known models reach on the same split: the bar that a model must pass."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.core.records import Role
from workbench.data.fitted import Fitted, arrays, codes

Matrix = NDArray[np.float64]
PLAIN = ("number", "word", "time")
_FEW_WORDS = 40
ROWS_AT_ONCE = 50_000


def baseline_answers(
    train: Any,
    test: Any,
    label: NDArray[Any],
    fitted: Fitted,
    *,
    rows: int,
    seed: int,
    weight: NDArray[Any] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Fit both baselines on `train` and answer `test` (Arrow tables, the sides of the split).

    linear: logistic (or ridge) regression on scaled numbers and one-hot words; boosting:
    histogram gradient boosting. label, weight: of the training rows, and how much each counts.
    rows: at most so many, the last ones. Where no column is a number, word or time, there is one
    baseline: constant, the mean of the label or the frequency of each class. Returns [test rows]
    or [test rows, classes] by name.
    """
    if not any(f.role in PLAIN for f in fitted.columns.values()):
        return {"constant": _constant(label, test.num_rows, fitted, weight)}
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LogisticRegression, Ridge

    if train.num_rows > rows:
        train, label = train.slice(train.num_rows - rows), label[-rows:]
        weight = None if weight is None else weight[-rows:]
    from threadpoolctl import threadpool_limits

    # More threads of OpenMP than idle cores spin and wait: 6-12 s instead of 1.4 s for the trees.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence of a baseline is its own affair
        if fitted.task == "regression":
            linear: Any = Ridge()
            boosting: Any = HistGradientBoostingRegressor(random_state=seed)
        else:
            linear = LogisticRegression(max_iter=300)
            boosting = HistGradientBoostingClassifier(random_state=seed)
        linear.fit(_linear(train, fitted), label, weight)
        boosting.fit(_tree(train, fitted), label, weight)
        return {
            "linear": _answer(linear, _linear, test, fitted),
            "boosting": _answer(boosting, _tree, test, fitted),
        }


def _answer(
    model: Any, encode: Callable[[Any, Fitted], Matrix], test: Any, fitted: Fitted
) -> NDArray[np.float64]:
    """Answers to all rows of `test`, some at a time: a million one-hot rows are gigabytes."""
    ask = model.predict if fitted.task == "regression" else model.predict_proba
    parts = [
        ask(encode(test.slice(at, ROWS_AT_ONCE), fitted))
        for at in range(0, max(test.num_rows, 1), ROWS_AT_ONCE)
    ]
    whole = np.concatenate(parts)
    return whole[:, 1] if fitted.task == "binary" else whole


def _constant(
    label: NDArray[Any], rows: int, fitted: Fitted, weight: NDArray[Any] | None
) -> NDArray[np.float64]:
    if fitted.task == "multiclass":
        counts = np.bincount(label, weight, minlength=len(fitted.classes))
        share = counts / counts.sum()
        return np.tile(share, (rows, 1))
    return np.full(rows, float(np.average(label, weights=weight)))


def _tree(rows: Any, fitted: Fitted) -> Matrix:
    """Columns as numbers for trees: codes of words by frequency, missing as NaN."""
    parts = []
    for name, raw in _plain(rows, fitted):
        fit = fitted.columns[name]
        value = codes(raw, fit.words) if fit.role == "word" else raw
        parts.append(value.astype(np.float64))
    return np.stack(parts, axis=1)


def _linear(rows: Any, fitted: Fitted) -> Matrix:
    """Columns as scaled numbers with flags for missing ones, and one column a frequent word."""
    parts: list[Matrix] = []
    for name, raw in _plain(rows, fitted):
        fit = fitted.columns[name]
        if fit.role == "word":
            coded = codes(raw, fit.words)
            parts += [
                (coded == i + 1).astype(float) for i in range(min(len(fit.words), _FEW_WORDS))
            ]
        elif fit.role == "time":
            day = 86_400.0
            for period in (day, 7 * day):
                angle = 2 * np.pi * (raw % period) / period
                parts += [np.sin(angle), np.cos(angle)]
        else:
            gone = np.isnan(raw)
            value = np.where(gone, fit.median, raw).astype(np.float64)
            if fit.log:
                value = np.sign(value) * np.log1p(np.abs(value))
            parts.append(np.clip((value - fit.mean) / fit.std, -10, 10))
            if fit.missing_fraction:
                parts.append(gone.astype(float))
    return np.stack(parts, axis=1)


def _plain(rows: Any, fitted: Fitted) -> list[tuple[str, NDArray[Any]]]:
    """The columns that a table model can read."""
    roles: dict[str, Role] = {n: f.role for n, f in fitted.columns.items() if f.role in PLAIN}
    return list(arrays(rows, roles).items())
