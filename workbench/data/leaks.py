"""A leak check: finds the ways in which a split or a feature would let the model see the answer."""

from __future__ import annotations

import datetime as dt
from typing import Any

from workbench.core.errors import LeakError
from workbench.data.examples import Spec
from workbench.data.splits import SIDE

PERFECT_AUC = 0.9995
SAMPLE_ROWS = 200_000


def check(table: Any, spec: Spec, *, by: str, as_of: dt.date) -> dict[str, Any]:
    """Raise LeakError for the first leak; return what was checked.

    table: examples with their `side`. by: how they were split. as_of: nothing may be later.
    """
    _shared(table, spec.key, "key")
    if by == "group" and spec.group:
        _shared(table, (spec.group,), "group")
    _future(table, spec, as_of)
    strength = _answers(table, spec) if spec.task == "binary" and spec.target else {}
    return {
        "shared_keys": 0,
        "future_rows": 0,
        "strongest_features": dict(sorted(strength.items(), key=lambda kv: -kv[1])[:5]),
    }


def _shared(table: Any, columns: tuple[str, ...], what: str) -> None:
    """No key (or group) may stand on two sides, nor a key twice."""
    live = table.filter(table[SIDE] != "gap")
    sides = live.group_by(list(columns)).agg(sides=live[SIDE].nunique(), rows=live.count())
    bad = sides.filter(sides.sides > 1)
    if what == "key":
        twice = int(sides.filter(sides.rows > 1).count().execute())
        if twice:
            raise LeakError(
                f"{twice} keys ({', '.join(columns)}) name more than one example.",
                kept="the examples; nothing was split",
                fix="make the key unique in `label`",
            )
    count = int(bad.count().execute())
    if count:
        raise LeakError(
            f"{count} values of the {what} ({', '.join(columns)}) are on two sides of the split.",
            kept="the examples; nothing was split",
            fix="split by that group",
        )


def _future(table: Any, spec: Spec, as_of: dt.date) -> None:
    """Nothing may be later than the data itself, no feature later than its decision."""
    import ibis

    end = ibis.timestamp(dt.datetime.combine(as_of, dt.time()) + dt.timedelta(days=1))
    for column in (spec.time, spec.known_at):
        if column:
            late = int(table.filter(table[column].cast("timestamp") >= end).count().execute())
            if late:
                raise LeakError(
                    f"{late} rows have '{column}' after the data's own date {as_of}.",
                    kept="the examples; nothing was split",
                    fix="move `as_of`, or drop these rows in `clean`",
                )
    if not spec.time:
        return
    moment = table[spec.time].cast("timestamp").epoch_seconds()
    for column, role in spec.roles.items():
        if role == "time" and column != spec.time:
            late = int(table.filter(_seconds(table[column]) > moment).count().execute())
            if late:
                raise LeakError(
                    f"Feature '{column}' is later than its decision in {late} rows.",
                    kept="the examples; nothing was split",
                    fix=f"take '{column}' as known at '{spec.time}'",
                )


def _seconds(column: Any) -> Any:
    return column if column.type().is_integer() else column.cast("timestamp").epoch_seconds()


def _answers(table: Any, spec: Spec) -> dict[str, float]:
    """Raise if one feature alone gives the label away; return each feature's own AUC."""
    import numpy as np

    columns = [c for c, role in spec.roles.items() if role in ("number", "word", "time")]
    rows = (
        table.order_by(list(spec.key)).limit(SAMPLE_ROWS).select(spec.target, *columns).to_pyarrow()
    )
    label = rows[spec.target].cast("float64").to_numpy(zero_copy_only=False)
    strength: dict[str, float] = {}
    for column in columns:
        value = _as_score(rows[column], label, spec.roles[column])
        seen = ~np.isnan(value)
        if seen.sum() < 20 or len(set(label[seen])) < 2:
            continue
        area = _auc(label[seen], value[seen])
        # A word's score leaves its own row out, so one that says nothing comes out below a half.
        turned = 0.5 if spec.roles[column] == "word" else 1 - area
        strength[column] = round(max(area, turned), 4)
        if strength[column] >= PERFECT_AUC:
            raise LeakError(
                f"Feature '{column}' alone tells the label '{spec.target}' "
                f"(area under curve {strength[column]:.4f}).",
                kept="the examples; nothing was split",
                fix=f"take '{column}' out of the roles in `label`, or compute it as known then",
            )
    return strength


def _as_score(values: Any, label: Any, role: str) -> Any:
    """A feature as numbers: words by how often their *other* rows carry the label."""
    import numpy as np

    if role != "word":
        if role == "time" and not _is_number(values):
            values = values.cast("timestamp[us]").cast("int64")
        return values.cast("float64", safe=False).to_numpy(zero_copy_only=False)
    coded = values.combine_chunks().dictionary_encode()
    codes = coded.indices.fill_null(len(coded.dictionary)).to_numpy(zero_copy_only=False)
    size = len(coded.dictionary) + 1
    total = np.bincount(codes, minlength=size)[codes]
    yes = np.bincount(codes, weights=label, minlength=size)[codes]
    with np.errstate(invalid="ignore"):
        return np.where(total > 1, (yes - label) / (total - 1), np.nan)


def _is_number(values: Any) -> bool:
    import pyarrow.types as kinds

    return kinds.is_integer(values.type) or kinds.is_floating(values.type)


def _auc(label: Any, score: Any) -> float:
    """Area under the ROC curve with ties counted half (Mann-Whitney)."""
    import numpy as np

    order = np.argsort(score, kind="stable")
    ordered = score[order]
    edges = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1], True])
    middle = (edges[:-1] + edges[1:] + 1) / 2
    rank = np.empty(len(score))
    rank[order] = np.repeat(middle, np.diff(edges))
    yes = label > 0.5
    count = int(yes.sum())
    return float((rank[yes].sum() - count * (count + 1) / 2) / (count * (len(score) - count)))
