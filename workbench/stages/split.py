"""split: train, valid and test, decided by time or by hash, and checked for leaks."""

from __future__ import annotations

import shutil
from typing import Any

from workbench.core.errors import DataError
from workbench.core.params import Collect, Split
from workbench.data import censoring, leaks
from workbench.data.engine import count_rows, write_parquet
from workbench.data.examples import SIDES, WEIGHT, Spec, read_spec
from workbench.data.splits import SIDE, assign
from workbench.stages.frame import opened


def run(pipeline: str) -> None:
    """Assign every example its side, look for leaks, and write one file a side."""
    with opened("split", pipeline, Split, after=("label",)) as stage:
        labelled = stage.input("label")
        spec = read_spec(labelled)
        examples = stage.backend.read_parquet(labelled / "examples.parquet")
        sided, decided = assign(examples, spec, stage.params)
        # Kept in the database: the check and three writers read it.
        sided = stage.backend.create_table("sided", sided)
        sided, counted = weighed(sided, spec)
        as_of = stage.other_part(Collect).as_of
        checked = leaks.check(sided, spec, by=stage.params.by, as_of=as_of)
        order = [c for c in (spec.time,) if c] + [k for k in spec.key if k != spec.time]
        for side in SIDES:
            part = sided.filter(sided[SIDE] == side).drop(SIDE)
            write_parquet(part, stage.out / f"{side}.parquet", order)
        shutil.copyfile(labelled / "examples.json", stage.out / "examples.json")
        rows = {side: count_rows(stage.out / f"{side}.parquet") for side in SIDES}
        empty = [side for side, count in rows.items() if not count]
        if empty:
            raise DataError(
                f"The split left nothing for {' and '.join(empty)}.",
                fix="change `split:` in params.yaml (fractions, gap_days)",
            )
        stage.report = {"rows": rows, "decided": decided, "leaks": checked, **counted}


def weighed(sided: Any, spec: Spec) -> tuple[Any, dict[str, Any]]:
    """Examples with how much each counts, and what to report of it; as they are where all do."""
    import ibis
    import numpy as np

    if spec.censored:
        names = list(dict.fromkeys([*spec.key, *spec.censored.columns]))
        rows = sided.select(*names, SIDE).order_by(list(spec.key)).to_pyarrow()
        training = np.asarray(rows[SIDE].to_pylist()) == "train"
        weight = censoring.weights(rows, spec.censored, training)
        found = rows.select(list(spec.key)).append_column(WEIGHT, [weight])
        sided = sided.inner_join(ibis.memtable(found), list(spec.key))
        sided = sided.select(c for c in sided.columns if not c.endswith("_right"))
    if WEIGHT not in sided.columns:
        return sided, {}
    weight = sided[WEIGHT]
    bad = int(sided.filter(weight.isnull() | weight.isnan() | (weight < 0)).count().execute())
    if bad:
        raise DataError(
            f"{bad} rows do not say how much they count, or less than nothing.",
            fix="look at the column that `weight` of wb.Examples names",
        )
    counts = sided.select(SIDE, WEIGHT).to_pyarrow()
    return sided, {"weights": _said(counts)}


def _said(counts: Any) -> dict[str, dict[str, float]]:
    """Of each side the rows that count, the largest weight, and how many equal rows tell that."""
    import numpy as np

    side, weight = np.asarray(counts[SIDE].to_pylist()), counts[WEIGHT].to_numpy()
    found = {}
    for name in SIDES:
        own = np.sort(weight[side == name])
        square = float((own**2).sum())
        found[name] = {
            "counted_rows": int((own > 0).sum()),
            "largest": float(own.max(initial=0)),
            "worth_rows": round(float(own.sum()) ** 2 / square if square else 0.0, 1),
        }
    return found
