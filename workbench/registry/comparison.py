"""Is one model worse than another? Asked on the same rows, so that what both share cancels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.data.examples import WEIGHT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.core.records import Role
    from workbench.registry.contender import Contender
    from workbench.training.evaluation import Metric

MIN_ROWS = 100
DRAWS = 300
SEED = 0
_REPLAYED_ROLES = {"number", "word", "time", "list", "image"}
_BATCH_ROWS = 8192


@dataclass(frozen=True)
class Comparison:
    """Candidate minus champion on one metric, turned so that more is better.

    lo, hi: 95 % interval. rows: shared by both, 0 where each was measured on its own. how: the
    kind of comparison, in words.
    """

    metric: str
    candidate: float
    champion: float
    difference: float
    lo: float
    hi: float
    rows: int
    how: str


@dataclass(frozen=True)
class Columns:
    """The columns of `predictions.parquet` that a metric is made of.

    label is None where the pipeline's own evaluation kept one number a row: their mean is the
    metric. again: whether a bundle's first output gives `answer` anew.
    """

    answer: str
    label: str | None
    measure: Metric
    again: bool


def compare(candidate: Contender, champion: Contender, metric: str) -> Comparison | str:
    """Compare on the same rows; returns the reason, in words, where that cannot be.

    In order: the rows that both answered in their evaluation, if that is the candidate's whole
    test side; the champion's bundle asked again on that test side; the rows that both share.
    Metrics that are not made of rows are compared as each measured them.
    """
    import numpy as np

    task = candidate.signature.task
    if champion.signature.task != task:
        return f"the champion's task is {champion.signature.task}, the candidate's is {task}"
    if task == "multiclass" and champion.signature.classes != candidate.signature.classes:
        return "the two models know different classes"
    ours = _read(candidate.predictions) if candidate.predictions else None
    made_of = _columns(ours.column_names, metric, candidate) if ours else None
    if ours is None or made_of is None:
        return _apart(candidate, champion, metric)
    theirs, shared = _kept(candidate, champion, ours, made_of)
    how = "on the same test rows"
    if len(shared) < ours.num_rows:
        asked = _asked(candidate, champion, ours.num_rows) if made_of.again else None
        if asked is not None:
            theirs, shared = asked, np.arange(ours.num_rows)
            how = "with the champion asked again on the candidate's test rows"
        else:
            how = f"on the test rows that both answered, of {ours.num_rows:,}"
    if theirs is None:
        return "the champion's answers to these rows are not kept and cannot be had again"
    if len(shared) < MIN_ROWS:
        return f"only {len(shared)} test rows were answered by both, {MIN_ROWS} are needed"
    answer = _numbers(ours[made_of.answer])[shared]
    if theirs.shape != answer.shape:
        return "the two models answer in different shapes"
    label = answer
    if made_of.label:
        label = _labels(ours[made_of.label], candidate)[shared]
    count = np.ones(len(shared))
    if made_of.label and WEIGHT in ours.column_names:
        count = _numbers(ours[WEIGHT])[shared]
    return _paired(candidate, metric, made_of.measure, label, answer, theirs, how, count)


def _columns(names: list[str], metric: str, candidate: Contender) -> Columns | None:
    """Find what a metric is made of; where there are several targets, its name begins with one."""
    from workbench.training.evaluation import METRICS

    if metric in names:
        return Columns(metric, None, _mean, again=False)
    for base, measure in METRICS.get(candidate.signature.task, {}).items():
        prefix = metric.removesuffix(base)
        if metric.endswith(base) and {f"{prefix}label", f"{prefix}model"} <= set(names):
            first = prefix in ("", f"{candidate.signature.target}_")
            return Columns(f"{prefix}model", f"{prefix}label", measure, again=first)
    return None


def _mean(_label: NDArray[Any], values: NDArray[Any]) -> Any:
    """Mean of one number a row, as a function of the rows' weights."""
    return lambda weight: float(values @ weight / weight.sum())


def _paired(
    candidate: Contender,
    metric: str,
    measure: Metric,
    label: NDArray[Any],
    answer: NDArray[Any],
    other: NDArray[Any],
    how: str,
    count: NDArray[Any],
) -> Comparison:
    """Paired bootstrap: both models on the same resamples; count: how much each row counts."""
    import numpy as np

    rows = len(label)
    ours, theirs = measure(label, answer), measure(label, other)
    rng = np.random.default_rng(SEED)
    sign = _sign(candidate, metric)
    value, value_other = ours(count), theirs(count)
    drawn = np.empty(DRAWS)
    for i in range(DRAWS):
        weight = count * np.bincount(rng.integers(0, rows, rows), minlength=rows)
        drawn[i] = sign * (ours(weight) - theirs(weight))
    lo, hi = np.nanpercentile(drawn, [2.5, 97.5])
    gap = sign * (value - value_other)
    return Comparison(metric, value, value_other, gap, float(lo), float(hi), rows, how)


def _apart(candidate: Contender, champion: Contender, metric: str) -> Comparison | str:
    """Compare what each measured on its own test side; the interval is as wide as both allow."""
    ours, theirs = candidate.metric(metric), champion.metric(metric)
    for who, found in (("candidate", ours), ("champion", theirs)):
        if "value" not in found:
            return f"the {who} has no metric '{metric}'"
    sign = _sign(candidate, metric)
    ends = sorted(
        sign * (ours.get(a, ours["value"]) - theirs.get(b, theirs["value"]))
        for a, b in (("lo", "hi"), ("hi", "lo"))
    )
    gap = sign * (ours["value"] - theirs["value"])
    how = "each on its own test side, not paired"
    return Comparison(metric, ours["value"], theirs["value"], gap, ends[0], ends[1], 0, how)


def _kept(
    candidate: Contender, champion: Contender, ours: Any, made_of: Columns
) -> tuple[NDArray[Any] | None, NDArray[Any]]:
    """The champion's kept answers and the places in `ours` of the rows that both answered."""
    import numpy as np
    import pyarrow as pa

    key = list(candidate.key)
    theirs = _read(champion.predictions) if champion.predictions else None
    if theirs is None or not key or not {*key, made_of.answer} <= set(theirs.column_names):
        return None, np.empty(0, dtype=np.int64)
    left = ours.select(key).append_column("_ours", pa.array(range(ours.num_rows)))
    right = theirs.select(key).append_column("_theirs", pa.array(range(theirs.num_rows)))
    if left.schema.remove(len(key)).types != right.schema.remove(len(key)).types:
        return None, np.empty(0, dtype=np.int64)
    joined = left.join(right, keys=key, join_type="inner").sort_by("_ours")
    places = joined["_theirs"].to_numpy()
    return _numbers(theirs[made_of.answer])[places], joined["_ours"].to_numpy()


def _asked(candidate: Contender, champion: Contender, rows: int) -> NDArray[Any] | None:
    """The champion's answers on the candidate's test side, None where it cannot take its rows."""
    import numpy as np
    import pyarrow.parquet as pq

    roles: dict[str, Role] = {column.name: column.role for column in champion.signature.inputs}
    if candidate.test is None or not set(roles.values()) <= _REPLAYED_ROLES:
        return None
    if not set(roles) <= set(pq.read_schema(candidate.test).names):
        return None
    import onnxruntime as ort

    from workbench.data.fitted import arrays

    test = pq.read_table(candidate.test, columns=[*roles])
    if test.num_rows != rows:
        return None
    model = str(champion.bundle / "model.onnx")
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    name = session.get_outputs()[0].name
    answers = [
        np.asarray(session.run([name], dict(arrays(test.slice(start, _BATCH_ROWS), roles)))[0])
        for start in range(0, rows, _BATCH_ROWS)
    ]
    return np.concatenate(answers).astype(np.float64)


def _read(path: Path) -> Any:
    import pyarrow.parquet as pq

    return pq.read_table(path)


def _numbers(values: Any) -> NDArray[Any]:
    """A column as float64 [rows], or [rows, classes]."""
    import numpy as np
    import pyarrow.types as kinds

    if kinds.is_list(values.type):
        return np.array(values.to_pylist(), dtype=np.float64)
    return values.cast("float64").to_numpy()


def _labels(values: Any, candidate: Contender) -> NDArray[Any]:
    """Labels as float64, or as class numbers; -1 is a class that training never saw."""
    import numpy as np

    if candidate.signature.task == "multiclass":
        place = {name: float(i) for i, name in enumerate(candidate.signature.classes)}
        return np.array([place.get(str(value), -1.0) for value in values.to_pylist()])
    return _numbers(values)


def _sign(candidate: Contender, metric: str) -> float:
    """1 where more is better, else -1; of the main metric the candidate says so itself."""
    from workbench.training.evaluation import HIGHER_IS_BETTER

    said = bool(candidate.candidate.get("higher_is_better", True))
    if candidate.candidate.get("main") != metric:
        said = any(better and metric.endswith(name) for name, better in HIGHER_IS_BETTER.items())
    return 1.0 if said else -1.0
