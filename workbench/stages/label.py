"""label: tables become examples, a row per decision, as known at that time."""

from __future__ import annotations

from workbench.core.errors import DataError
from workbench.core.params import Label
from workbench.data.examples import Examples
from workbench.data.tables import read_tables
from workbench.stages.frame import opened


def run(pipeline: str) -> None:
    """Run the pipeline's `label` and keep its examples with the meaning of their columns."""
    with opened("label", pipeline, Label, after=("clean",)) as stage:
        data = read_tables(stage.input("clean"), stage.backend)
        examples = stage.notebook.label(data, stage.params)
        if not isinstance(examples, Examples):
            raise DataError(
                f"`label` of {pipeline} returned no examples.", fix="return wb.Examples"
            )
        spec = examples.write(stage.out)
        table = stage.backend.read_parquet(stage.out / "examples.parquet")
        rows = int(table.count().execute())
        if not rows:
            raise DataError(f"`label` of {pipeline} left no example.", fix="look at its filters")
        stage.report = {"rows": rows, "features": len(spec.roles), "origin": spec.origin}
        if spec.censored:
            known = int(table[spec.censored.known].cast("int64").sum().execute())
            stage.report["known_fraction"] = known / rows
        elif spec.target and spec.task == "binary":
            positive = int(table[spec.target].cast("int64").sum().execute())
            stage.report["positive_fraction"] = positive / rows
