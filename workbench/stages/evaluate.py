"""evaluate: judge the bundle itself, the file that will be served, on the test side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workbench.core.errors import DataError, PipelineError
from workbench.core.files import read_json
from workbench.core.params import Evaluate
from workbench.data.examples import WEIGHT, read_columns, read_sides, weights_of
from workbench.data.fitted import Fitted, arrays, numbers
from workbench.data.tables import read_tables
from workbench.serving.session import Bundle
from workbench.stages.frame import opened
from workbench.training import evaluation, pictures
from workbench.training.baselines import baseline_answers
from workbench.training.decisions import decision_curve
from workbench.training.loss import output_names


def run(pipeline: str) -> None:
    """Answer the test side with the bundle; report metrics, slices, calibration, baselines."""
    with opened(
        "evaluate", pipeline, Evaluate, after=("clean", "split", "train", "export")
    ) as stage:
        fitted = read_json(stage.input("train") / "fitted.json", Fitted)
        bundle = Bundle(stage.input("export"), threads=2)
        sides = read_sides(stage.input("split"), stage.backend)
        test = pq.read_table(stage.input("split") / "test.parquet")
        report: dict[str, Any] = {"rows": test.num_rows, "metrics": {}, "slices": {}}
        kept = {name: test[name] for name in (*sides.spec.key, WEIGHT) if name in test.column_names}
        if fitted.task in evaluation.METRICS and _answers_targets(bundle, fitted):
            needed = [*sides.spec.roles, *sides.spec.targets, WEIGHT]
            train = read_columns(stage.input("split") / "train.parquet", needed)
            given = bundle.predict(_raw(bundle, test))
            for target, output in zip(fitted.targets, output_names(fitted), strict=True):
                kept |= _standard(
                    target,
                    given[output].astype(np.float64),
                    bundle,
                    fitted,
                    train,
                    test,
                    sides.spec.slices,
                    stage.params,
                    report,
                    stage.plots,
                )
        if own := stage.function("evaluate"):
            data = read_tables(stage.input("clean"), stage.backend)
            found = own(_predictor(bundle), sides, data, stage.params)
            kept |= _merge(found, report, stage.plots, stage.params, test.num_rows)
        if not report["metrics"]:
            raise PipelineError(
                f"Nothing says how good {pipeline} is.",
                fix="define `evaluate(predict, examples, data, params)` in the pipeline",
            )
        # Releases are compared on it, row by row.
        pq.write_table(pa.table(kept), stage.out / "predictions.parquet", compression="zstd")
        stage.report = report
        stage.quality = {name: entry["value"] for name, entry in report["metrics"].items()}
        stage.quality |= report.get("operating_point", {})


def _answers_targets(bundle: Bundle, fitted: Fitted) -> bool:
    """Whether the bundle takes columns of the examples and gives what its task gives by default."""
    inputs = {c.name for c in bundle.signature.inputs}
    return inputs <= set(fitted.columns) and set(output_names(fitted)) <= set(bundle.output_names)


def _raw(bundle: Bundle, rows: Any) -> dict[str, Any]:
    """Rows of an Arrow table as the bundle takes them."""
    return arrays(rows, {c.name: c.role for c in bundle.signature.inputs})


def _standard(
    target: str,
    answer: np.ndarray,
    bundle: Bundle,
    fitted: Fitted,
    train: Any,
    test: Any,
    slices: tuple[str, ...],
    params: Evaluate,
    report: dict[str, Any],
    plots: dict[str, Any],
) -> dict[str, Any]:
    """The evaluation of one target; returns label and answers by column name, to be kept.

    Where there are several targets, names of metrics and columns begin with theirs.
    """
    prefix = f"{target}_" if len(fitted.targets) > 1 else ""
    label, train_label = _labels(test, fitted, target), _labels(train, fitted, target)
    weight = weights_of(test)
    if fitted.task == "binary":
        require_both(target, label, weight)
    answers = {"model": answer} | baseline_answers(
        train,
        test,
        train_label,
        fitted,
        rows=params.baseline_rows,
        seed=params.seed,
        weight=weights_of(train),
    )
    judged = evaluation.judge(
        fitted.task, label, answers, bootstrap=params.bootstrap, seed=params.seed, weight=weight
    )
    main = evaluation.MAIN[fitted.task]
    if target == fitted.target:
        report["main"] = f"{prefix}{main}"
        report["higher_is_better"] = evaluation.HIGHER_IS_BETTER.get(main, False)
    model = judged.pop("model")
    report["metrics"] |= {f"{prefix}{name}": entry for name, entry in model.items()}
    for who, entries in judged.items():
        baseline = report.setdefault("baselines", {}).setdefault(who, {})
        baseline |= {f"{prefix}{name}": entry for name, entry in entries.items()}
    if target == fitted.target:
        report["slices"] |= evaluation.slices(
            test, slices, label, answer, fitted.task, weight=weight
        )
    if fitted.task == "binary":
        threshold = bundle.signature.threshold
        assert threshold is not None  # training chose one for a binary task
        points, error = evaluation.calibration(label, answer, weight=weight)
        report["operating_point"] = evaluation.at_threshold(label, answer, threshold, weight)
        report["calibration_error"] = error
        plots["calibration"] = points
        plots["decision_curve"] = decision_curve(label, answers, weight=weight)
        plots |= evaluation.curves(label, answer, weight=weight)
    elif fitted.task == "multiclass":
        report["unseen_class_rows"] = int((label < 0).sum())
        plots["confusion"] = pictures.confusion(label, answer, fitted.classes)
    elif target == fitted.target:
        plots["answers"] = pictures.answers(label, answer)
    named = {"label": test[target]} | {
        who: pa.array(a if a.ndim == 1 else list(a)) for who, a in answers.items()
    }
    return {f"{prefix}{name}": values for name, values in named.items()}


def require_both(target: str, label: np.ndarray, weight: np.ndarray | None = None) -> None:
    """Raise DataError when the rows that count are all of one class: nothing could be judged."""
    counted = label if weight is None else label[weight > 0]
    if len(np.unique(counted > 0.5)) < 2:
        raise DataError(
            f"The test side has only one class of '{target}': nothing can be judged on it.",
            fix="use more data, or another split in params.yaml (`by: hash`, a larger "
            "`test_fraction`)",
        )


def _labels(rows: Any, fitted: Fitted, target: str) -> np.ndarray:
    """The target as float64, or as class numbers; -1 is a class that training never saw."""
    if fitted.task == "multiclass":
        place = {name: i for i, name in enumerate(fitted.classes)}
        return np.array([place.get(str(v), -1) for v in rows[target].to_pylist()])
    return numbers(rows[target])


def _predictor(bundle: Bundle) -> Any:
    """`predict` as a pipeline's own `evaluate` gets it: named outputs, as a client sees them.

    It takes columns as a client sends them, or a side of the examples (an Ibis or Arrow table).
    """

    def predict(rows: Any) -> dict[str, list[Any]]:
        if not isinstance(rows, Mapping):
            table = rows if isinstance(rows, pa.Table) else rows.to_pyarrow()
            rows = _raw(bundle, table)
        return bundle.named(bundle.predict(rows))

    return predict


def _merge(
    own: evaluation.Report,
    report: dict[str, Any],
    plots: dict[str, Any],
    params: Evaluate,
    rows: int,
) -> dict[str, Any]:
    """Add what the pipeline's own evaluation found; return what it says of each test row."""
    how = {"bootstrap": params.bootstrap, "seed": params.seed}
    report["metrics"] |= {n: evaluation.measured(v, **how) for n, v in own.metrics.items()}
    for who, values in own.baselines.items():
        entries = report.setdefault("baselines", {}).setdefault(who, {})
        for name, value in values.items():
            entries[name] = evaluation.measured(value, **how)
            if name in own.metrics:
                entries[name] |= evaluation.minus_model(value, own.metrics[name], **how)
    if own.main:
        report["main"], report["higher_is_better"] = own.main, own.higher_is_better
    report["slices"].update(own.slices)
    plots.update(own.plots)
    return {n: np.asarray(v) for n, v in own.metrics.items() if np.shape(v) == (rows,)}
