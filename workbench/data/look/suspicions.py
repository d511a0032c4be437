"""Columns that may give the answer away: each alone against the target, on the sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workbench.core.records import Task
from workbench.data.kinds import Date, Kind, Text, Word, typed
from workbench.data.look.beliefs import Suspicion
from workbench.data.look.names import words_of
from workbench.data.look.target import Target

if TYPE_CHECKING:
    import numpy as np

SUSPECT = {"binary": 0.99, "multiclass": 0.99, "regression": 0.995}
CERTAIN = {"binary": 0.999, "multiclass": 0.999, "regression": 0.9995}
MIN_SEEN = 20
MAX_LEVELS = 200

_MEASURES = {
    "binary": "area under the curve",
    "multiclass": "accuracy",
    "regression": "rank correlation",
}


def suspect(cells: Any, kinds: Mapping[str, Kind], target: Target) -> list[Suspicion]:
    """Suspicions about the columns of `kinds`, the target's aside; cells: Arrow, typed.

    Strongest first. A column is suspected for what it says, for being there at all, or for its
    name.
    """
    label, known = _label(cells, target)
    found: list[Suspicion] = []
    for name, kind in kinds.items():
        if name == target.name:
            continue
        column = cells[name].filter(known)
        said = _by_value(name, column, kind, label, target) or _by_absence(
            name, column, label, target
        )
        if said or (said := _by_name(name, target)):
            found.append(said)
    return sorted(found, key=lambda one: (not one.certain, -(one.strength or 0), one.column))


def later(table: Any, kinds: Mapping[str, Kind], moment: str | None) -> list[Suspicion]:
    """Dates that are after the decision in any row of the whole table: nobody knew them then."""
    others = [n for n, kind in kinds.items() if isinstance(kind, Date) and n != moment]
    if not moment or not others:
        return []
    then = typed(table[moment], kinds[moment])
    counts = {
        f"c{i}": (typed(table[name], kinds[name]).epoch_seconds() > then.epoch_seconds()).sum()
        for i, name in enumerate(others)
    }
    found = table.aggregate(**counts).to_pyarrow().to_pylist()[0]
    return [
        Suspicion(
            name, f"'{name}' is later than '{moment}' in {rows:,} rows: not known then", None, True
        )
        for i, name in enumerate(others)
        if (rows := found[f"c{i}"])
    ]


def _label(cells: Any, target: Target) -> tuple[np.ndarray, Any]:
    """The target of the sample's rows that have one, as numbers, and which rows those are."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    values = cells[target.name]
    if target.task == "regression":
        known = pc.is_valid(values)  # type: ignore[attr-defined]
        return values.filter(known).to_numpy(), known
    names = pa.array([one.value for one in target.classes], pa.string())
    place = pc.index_in(values.cast("string"), value_set=names)  # type: ignore[attr-defined]
    known = pc.is_valid(place)  # type: ignore[attr-defined]
    codes = place.filter(known).to_numpy()
    if target.task == "binary":
        return (codes == names.to_pylist().index(target.positive)).astype(np.float64), known
    return codes.astype(np.int64), known


def _by_value(
    name: str, column: Any, kind: Kind, label: np.ndarray, target: Target
) -> Suspicion | None:
    import numpy as np

    if isinstance(kind, Text):
        return None
    codes, values = _coded(column) if isinstance(kind, Word) else (None, _numbers(column, kind))
    if target.task == "multiclass":
        codes = codes if codes is not None else _binned(values)
        power = _accuracy(codes, label)
    else:
        score = values if codes is None else _others(codes, label)
        seen = ~np.isnan(score)
        if seen.sum() < MIN_SEEN or len(np.unique(label[seen])) < 2:
            return None
        power = _strength(score[seen], label[seen], target.task)
    if power < SUSPECT[target.task]:
        return None
    why = f"'{name}' alone tells '{target.name}' ({_MEASURES[target.task]} {power:.4f})"
    return Suspicion(name, why, round(power, 4), power >= CERTAIN[target.task])


def _by_absence(name: str, column: Any, label: np.ndarray, target: Target) -> Suspicion | None:
    """A value that is there only for some outcomes was written down after the outcome."""
    import numpy as np

    absent = column.is_null().to_numpy().astype(np.int64)
    if target.task == "regression" or len(absent) < MIN_SEEN or absent.min() == absent.max():
        return None
    if target.task == "multiclass":
        power = _accuracy(absent, label)
    else:
        power = _strength(absent.astype(np.float64), label, "binary")
    if power < SUSPECT[target.task]:
        return None
    why = f"whether '{name}' is missing alone tells '{target.name}'"
    return Suspicion(name, why, round(power, 4), power >= CERTAIN[target.task])


def _by_name(name: str, target: Target) -> Suspicion | None:
    said = words_of(target.name)
    if len(target.name) < 4 or not said or not said < words_of(name):
        return None
    return Suspicion(name, f"'{name}' is named after '{target.name}': is it known beforehand?")


def _coded(column: Any) -> tuple[np.ndarray, Any]:
    """Words as whole numbers; a missing one is a word too."""
    coded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    return coded.indices.to_numpy(zero_copy_only=False), None


def _numbers(column: Any, kind: Kind) -> np.ndarray:
    values = column.cast("timestamp[us]").cast("int64") if isinstance(kind, Date) else column
    return values.cast("float64").to_numpy(zero_copy_only=False)


def _binned(values: np.ndarray) -> np.ndarray:
    """Numbers as at most MAX_LEVELS levels of about equal size; missing is a level."""
    import numpy as np

    there = values[~np.isnan(values)]
    edges = np.unique(np.quantile(there, np.linspace(0, 1, MAX_LEVELS))) if len(there) else []
    return np.where(np.isnan(values), -1, np.searchsorted(edges, values)) + 1


def _others(codes: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Mean label of the rows with the same word in the *other half*; NaN for a word without any.

    Leaving out only the row itself would tell its label by how the mean falls.
    """
    import numpy as np

    half = np.arange(len(codes)) % 2
    place = codes.astype(np.int64) * 2 + half
    size = 2 * (int(codes.max()) + 1)
    rows, total = np.bincount(place, minlength=size), np.bincount(place, label, minlength=size)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (total / rows)[place ^ 1]


def _accuracy(codes: np.ndarray, label: np.ndarray) -> float:
    """How often the commonest class of its value is right; 0 where that says nothing.

    Values must stand in five rows on average, and the commonest class of all must be wrong often
    enough.
    """
    import numpy as np

    classes = int(label.max()) + 1
    pairs, rows = np.unique(codes.astype(np.int64) * classes + label, return_counts=True)
    best = np.zeros(int(codes.max()) + 1, np.int64)
    np.maximum.at(best, pairs // classes, rows)
    guessed = np.bincount(label).max() / len(label)
    if len(label) < max(MIN_SEEN, 5 * np.count_nonzero(best)) or guessed > 0.95:
        return 0.0
    return float(best.sum() / len(label))


def _strength(score: np.ndarray, label: np.ndarray, task: Task) -> float:
    """Area under the curve, the better of both directions; for regression |rank correlation|."""
    import numpy as np

    rank = _ranks(score)
    if task == "regression":
        if score.min() == score.max():
            return 0.0
        return float(abs(np.corrcoef(rank, _ranks(label))[0, 1]))
    yes = label > 0.5
    count = int(yes.sum())
    area = (rank[yes].sum() - count * (count + 1) / 2) / (count * (len(score) - count))
    return float(max(area, 1 - area))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal values share their middle."""
    import numpy as np

    order = np.argsort(values, kind="stable")
    ordered = values[order]
    edges = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1], True])
    rank = np.empty(len(values))
    rank[order] = np.repeat((edges[:-1] + edges[1:] + 1) / 2, np.diff(edges))
    return rank
