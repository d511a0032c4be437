"""Quality of `wb.Tabular` against histogram gradient boosting on ten public tables.

The tables, and those that defaults were tuned on, stand in `benchmarks/tables.py`. Ours is one
default setting for all of them (`effort`), by the library's own functions: split, fit, batches,
loop and answer. Theirs is scikit-learn's HistGradientBoosting with words as categories, up to
500 trees and early stopping. Both learn on the same training side, stop by the same valid side
and are judged on the same test side; three splits each, medians.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables import LABEL, ROW, TEN, Table, read

SEEDS = (0, 1, 2)
TARGET = 0.01
THREADS = 1  # of both: with more, waiting threads would count as work on a busy machine
CATEGORIES = 250  # of a column at most; HistGradientBoosting takes no more than 255
SYNTHETIC_ROWS = 100_000


@dataclass(frozen=True)
class Sides:
    """A table after the split (Arrow), and what is fitted on its training side."""

    train: Any
    valid: Any
    test: Any
    fitted: Any


@dataclass(frozen=True)
class Fight:
    """One table, one split: the metric of both (AUC or RMSE) and their processor seconds."""

    ours: float
    theirs: float
    ours_s: float
    theirs_s: float
    epochs: int


def split(data: Any, spec: Any, seed: int) -> Sides:
    """The library's split by hash, and its fit."""
    import ibis

    from workbench.core.params import Split
    from workbench.data.fitted import fit
    from workbench.data.splits import SIDE, assign

    sided, _ = assign(ibis.memtable(data), spec, Split(by="hash", salt=str(seed)))
    rows = sided.order_by(ROW).to_pyarrow()
    # The engine may change types; rows come back in the order they had.
    side = rows[SIDE].to_numpy(zero_copy_only=False)
    parts = {name: data.filter(side == name) for name in ("train", "valid", "test")}
    return Sides(**parts, fitted=fit(parts["train"], spec))


def ours(sides: Sides, seed: int) -> tuple[Any, float, int]:
    """Answer of the default model on the test side, its processor seconds and epochs."""
    import torch

    from workbench.core.params import Train
    from workbench.training.batches import Batches, targets, tensors
    from workbench.training.devices import placed
    from workbench.training.effort import effort
    from workbench.training.loop import train
    from workbench.training.loss import Answer, default_loss
    from workbench.training.tabular import Tabular

    fitted = sides.fitted
    settings = Train(**{**effort(fitted.rows), "seed": seed, "threads": THREADS, "device": "cpu"})
    with placed("cpu", THREADS) as place, tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        torch.manual_seed(seed)
        model = Tabular(fitted)
        rows, valid = (
            Batches.of(tensors(part, fitted), targets(part, fitted), place.device)
            for part in (sides.train, sides.valid)
        )
        loss = default_loss(fitted, settings.balance)
        steps = list(train(model, rows, valid, loss, settings, place, Path(folder)))
        spent = time.process_time() - began
        with torch.no_grad():
            answer = Answer(model, fitted, settings.balance)(tensors(sides.test, fitted))
    return next(iter(answer.values())).numpy(), spent, len(steps)


def theirs(sides: Sides, seed: int) -> tuple[Any, float]:
    """Answer of histogram gradient boosting on the test side, and its processor seconds."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    fitted = sides.fitted
    regression = fitted.task == "regression"
    kind: Any = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    trees = kind(
        max_iter=500,
        early_stopping=True,
        n_iter_no_change=20,
        categorical_features=[
            f.role == "word" and len(f.words) <= CATEGORIES for f in fitted.columns.values()
        ],
        random_state=seed,
    )
    with threadpool_limits(THREADS):
        began = time.process_time()
        trees.fit(
            _matrix(sides.train, fitted),
            _label(sides.train),
            X_val=_matrix(sides.valid, fitted),
            y_val=_label(sides.valid),
        )
        spent = time.process_time() - began
        test = _matrix(sides.test, fitted)
        answer = trees.predict(test) if regression else trees.predict_proba(test)
    return (answer[:, 1] if fitted.task == "binary" else answer), spent


def _matrix(rows: Any, fitted: Any) -> Any:
    """Columns as trees take them: codes of words by frequency, times as seconds, missing as NaN."""
    from workbench.data.fitted import arrays, codes

    fits = fitted.columns
    raw = arrays(rows, {name: fit.role for name, fit in fits.items()})
    return np.stack(
        [
            (codes(value, fits[n].words) if fits[n].role == "word" else value).astype(np.float64)
            for n, value in raw.items()
        ],
        axis=1,
    )


def _label(rows: Any) -> Any:
    return rows[LABEL].to_numpy(zero_copy_only=False)


def score(fitted: Any, label: Any, answer: Any) -> float:
    """AUC (mean of one class against the rest, where there are several) or RMSE."""
    from sklearn.metrics import roc_auc_score

    if fitted.task == "regression":
        return float(np.sqrt(np.mean((label - answer) ** 2)))
    if fitted.task == "binary":
        return float(roc_auc_score(label, answer))
    return float(
        np.mean([roc_auc_score(label == c, answer[:, i]) for i, c in enumerate(fitted.classes)])
    )


def fight(table: Table, seed: int) -> Fight:
    """Both on one split of one table."""
    from workbench.data.examples import Spec

    data, roles = read(table)
    sides = split(data, Spec(key=(ROW,), roles=roles, task=table.task, targets=(LABEL,)), seed)
    label = _label(sides.test)
    mine, mine_s, epochs = ours(sides, seed)
    other, other_s = theirs(sides, seed)
    return Fight(
        score(sides.fitted, label, mine),
        score(sides.fitted, label, other),
        mine_s,
        other_s,
        epochs,
    )


def gap(table: Table, found: Fight) -> float:
    """How much worse ours is, as a fraction of theirs; below zero it is better."""
    worse = found.ours - found.theirs
    return (worse if table.task == "regression" else -worse) / found.theirs


def compare(tables: tuple[Table, ...], report: Callable[[str], None] = print) -> float:
    """Print one line a table as it is known; return the median of the relative gaps."""
    report("| table | rows | columns | task | metric | ours | HGB | gap % | ours s | HGB s |")
    report("|---|---|---|---|---|---|---|---|---|---|")
    gaps: list[float] = []
    for table in tables:
        data, roles = read(table)
        fights = [fight(table, seed) for seed in SEEDS]
        gaps.append(statistics.median(gap(table, found) for found in fights))
        middle = {
            name: statistics.median(getattr(found, name) for found in fights)
            for name in ("ours", "theirs", "ours_s", "theirs_s")
        }
        metric = "RMSE" if table.task == "regression" else "AUC"
        report(
            f"| {table.name} | {data.num_rows:,} | {len(roles)} | {table.task} | {metric} "
            f"| {middle['ours']:.5g} | {middle['theirs']:.5g} | {gaps[-1] * 100:+.2f} "
            f"| {middle['ours_s']:.1f} | {middle['theirs_s']:.1f} |"
        )
    return statistics.median(gaps)


def synthetic(rows: int = SYNTHETIC_ROWS) -> Any:
    """A mixed table: 20 numbers, 8 words of 10 to 290 values, 2 times; a target of two classes."""
    import pyarrow as pa

    rng = np.random.default_rng(0)
    numbers = {f"n{i:02d}": rng.normal(size=rows) for i in range(20)}
    words = {f"w{i}": rng.integers(0, 10 + 40 * i, rows) for i in range(8)}
    times = {
        f"t{i}": pa.array(rng.integers(1_500_000_000, 1_700_000_000, rows), pa.timestamp("s"))
        for i in range(2)
    }
    signal = numbers["n00"] * numbers["n01"] + (numbers["n02"] > 0.5) + np.sin(words["w7"])
    label = (signal + rng.normal(size=rows) > 0.5).astype(np.float64)
    spelt = {name: pa.array(code.astype(str)) for name, code in words.items()}
    return pa.table({ROW: range(rows), LABEL: label, **numbers, **spelt, **times})


def speed() -> str:
    """Processor seconds of training on the mixed table, 65 % of its rows being the train side."""
    from workbench.core.records import Role
    from workbench.data.examples import Spec

    kinds: dict[str, Role] = {"n": "number", "w": "word", "t": "time"}
    data = synthetic()
    roles: dict[str, Role] = {
        name: kinds[name[0]] for name in data.column_names if name not in (ROW, LABEL)
    }
    sides = split(data, Spec(key=(ROW,), roles=roles, task="binary", targets=(LABEL,)), 0)
    answer, spent, epochs = ours(sides, 0)
    seen = sides.train.num_rows * epochs
    return (
        f"{data.num_rows:,} rows x {len(roles)} columns: {spent:.1f} processor seconds for "
        f"{epochs} epochs, {seen / spent:,.0f} rows/s, "
        f"AUC {score(sides.fitted, _label(sides.test), answer):.4f}"
    )


def main() -> None:
    print("\n**Quality (median of three splits; gap: how much worse than HGB)**\n")
    median = compare(TEN)
    print(f"\nmedian gap {median * 100:+.2f} %, target <= {TARGET * 100:.0f} %: ", end="")
    print("holds" if median <= TARGET else "**does not hold**")
    print(speed())


if __name__ == "__main__":
    main()
