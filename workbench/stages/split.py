"""split: train, valid and test, decided by time or by hash, and checked for leaks."""

from __future__ import annotations

import shutil

from workbench.core.errors import DataError
from workbench.core.params import Collect, Split
from workbench.data import leaks
from workbench.data.engine import count_rows, write_parquet
from workbench.data.examples import SIDES, read_spec
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
        stage.report = {"rows": rows, "decided": decided, "leaks": checked}
