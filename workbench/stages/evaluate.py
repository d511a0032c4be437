"""evaluate: judge the bundle itself, the file that will be served, on the test side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workbench.core.files import read_json
from workbench.core.params import Evaluate
from workbench.data.examples import read_sides
from workbench.data.fitted import Fitted, arrays
from workbench.data.tables import read_tables
from workbench.serving.session import Bundle
from workbench.stages.frame import opened
from workbench.training import evaluation
from workbench.training.baselines import baseline_answers

TABULAR = ("binary", "multiclass", "regression")


def run(pipeline: str) -> None:
    """Answer the test side with the bundle; report metrics, slices, calibration, baselines."""
    with opened("evaluate", pipeline, Evaluate, after=("clean", "split", "train", "export")) as stage:
        fitted = read_json(stage.input("train") / "fitted.json", Fitted)
        bundle = Bundle(stage.input("export"), threads=2)
        sides = read_sides(stage.input("split"), stage.backend)
        test = pq.read_table(stage.input("split") / "test.parquet")
        report: dict[str, Any] = {"rows": test.num_rows}
        names = {c.name for c in bundle.signature.inputs}
        if fitted.task in TABULAR and names <= set(test.column_names):
            train = pq.read_table(stage.input("split") / "train.parquet")
            answers = _standard(bundle, fitted, train, test, sides.spec.slices, stage.params,
                                report, stage.plots)
            _keep(test, sides.spec.key, fitted, answers, stage.out)
        if own := stage.function("evaluate"):
            data = read_tables(stage.input("clean"), stage.backend)
            _merge(own(_predictor(bundle), sides, data, stage.params), report, stage.plots,
                   stage.params)
        stage.report = report


def _standard(
    bundle: Bundle, fitted: Fitted, train: Any, test: Any, slices: tuple[str, ...],
    params: Evaluate, report: dict[str, Any], plots: dict[str, Any],
) -> dict[str, Any]:
    """The evaluation of a table task; returns the answers by who gave them."""
    roles = {c.name: c.role for c in bundle.signature.inputs}
    given = bundle.predict(arrays(test, roles))
    answer = next(iter(given.values())).astype(np.float64)
    label, train_label = _labels(test, fitted), _labels(train, fitted)
    answers = {"model": answer} | baseline_answers(
        train, test, train_label, fitted, rows=params.baseline_rows, seed=params.seed
    )
    judged = evaluation.judge(
        fitted.task, label, answers, bootstrap=params.bootstrap, seed=params.seed
    )
    main = evaluation.MAIN[fitted.task]
    report |= {
        "main": main,
        "higher_is_better": evaluation.HIGHER_IS_BETTER.get(main, False),
        "metrics": judged.pop("model"),
        "baselines": judged,
        "slices": evaluation.slices(test, slices, label, answer, fitted.task),
    }
    if fitted.task == "binary":
        threshold = bundle.signature.threshold
        assert threshold is not None  # training chose one for a binary task
        points, error = evaluation.calibration(label, answer)
        report["operating_point"] = evaluation.at_threshold(label, answer, threshold)
        report["calibration_error"] = error
        plots["calibration"] = points
        plots |= evaluation.curves(label, answer)
    return answers


def _labels(rows: Any, fitted: Fitted) -> np.ndarray:
    """The target as float64, or as class numbers."""
    if fitted.task == "multiclass":
        place = {name: i for i, name in enumerate(fitted.classes)}
        return np.array([place.get(str(v), 0) for v in rows[fitted.target].to_pylist()])
    return rows[fitted.target].cast("float64").to_numpy(zero_copy_only=False)


def _keep(test: Any, key: tuple[str, ...], fitted: Fitted, answers: Mapping[str, Any], out: Any) -> None:
    """Keep what was answered for each test row: releases are compared on it row by row."""
    columns = {name: test[name] for name in key} | {"label": test[fitted.target]}
    columns |= {
        who: pa.array(a if a.ndim == 1 else list(a)) for who, a in answers.items()
    }
    pq.write_table(pa.table(columns), out / "predictions.parquet", compression="zstd")


def _predictor(bundle: Bundle) -> Any:
    """`predict` as a pipeline's own `evaluate` gets it: columns in, named outputs out."""

    def predict(columns: Mapping[str, Any]) -> dict[str, Any]:
        return bundle.named(bundle.predict(columns))

    return predict


def _merge(own: evaluation.Report, report: dict[str, Any], plots: dict[str, Any],
           params: Evaluate) -> None:
    """Add what the pipeline's own evaluation found."""
    metrics = report.setdefault("metrics", {})
    for name, value in own.metrics.items():
        row_values = np.asarray(value, dtype=np.float64)
        metrics[name] = (
            {"value": float(row_values)} if row_values.ndim == 0
            else evaluation.mean_interval(
                row_values, bootstrap=params.bootstrap, seed=params.seed
            )
        )
    if own.main:
        report["main"], report["higher_is_better"] = own.main, own.higher_is_better
    report.setdefault("slices", {}).update(own.slices)
    plots.update(own.plots)
