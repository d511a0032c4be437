"""clean: rows leave by named rules, and every one that left is kept with its rule."""

from __future__ import annotations

from workbench.core.errors import DataError
from workbench.core.params import Clean
from workbench.data.schemas import validate
from workbench.data.tables import Tables, read_tables
from workbench.stages.frame import opened


def run(pipeline: str) -> None:
    """Run the pipeline's `clean`; write kept rows, quarantine, and counts by rule."""
    with opened("clean", pipeline, Clean, after=("collect",)) as stage:
        data = read_tables(stage.input("collect"), stage.backend)
        before = {name: int(table.count().execute()) for name, table in data.items()}
        data = stage.notebook.clean(data, stage.params)
        if not isinstance(data, Tables):
            raise DataError(
                f"`clean` of {pipeline} did not return its tables.", fix="`return data`"
            )
        kept = data.write(stage.out)
        for name, schema in data.schemas.items():
            validate(name, stage.backend.read_parquet(stage.out / f"{name}.parquet"), schema)
        counts = data.write_quarantine(stage.out / "quarantine")
        stage.report = {
            "rows_in": before,
            "rows_out": {name: d["rows"] for name, d in kept.items()},
            "dropped": counts,
        }
        stage.plots["dropped"] = [
            {"x": rule, "y": rows, "table": name}
            for name, by_rule in counts.items()
            for rule, rows in by_rule.items()
        ]
