"""collect: take what the source has, as of a date, with its own facts beside it."""

from __future__ import annotations

from workbench.core.errors import DataError
from workbench.core.params import Collect
from workbench.data.tables import Tables
from workbench.stages.frame import opened


def run(pipeline: str) -> None:
    """Run the pipeline's `collect` and keep its tables as Parquet with their facts."""
    with opened("collect", pipeline, Collect) as stage:
        _ = stage.backend  # in-memory tables of the pipeline run in it
        data = stage.notebook.collect(stage.params)
        if not isinstance(data, Tables) or not len(data):
            raise DataError(f"`collect` of {pipeline} returned no tables.", fix="return wb.Tables")
        for name in data:
            if not (data.facts.get(name) or data.facts.get("*")):
                raise DataError(
                    f"Table '{name}' does not say where it comes from.",
                    fix="give `facts=` with origin and licence in `collect`",
                )
        described = data.write(stage.out)
        stage.report = {
            "as_of": stage.params.as_of.isoformat(),
            "tables": {
                name: {"rows": d["rows"], "sha256": d["sha256"], "facts": d["facts"]}
                for name, d in described.items()
            },
        }
