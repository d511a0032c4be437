"""`metrics/<pipeline>/usage.json`: what a pipeline last used, beside accuracy in `dvc exp show`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.core.files import write_json
from workbench.core.paths import Paths
from workbench.metering.ledger import Ledger


def write_usage(paths: Paths, pipelines: Sequence[str]) -> None:
    """Write what the newest run of each stage used, in all, and training's part of it.

    No stage's output: timings would wake it. Energy in Wh, so that small runs are not shown as 0.
    """
    ledger = Ledger(paths.ledger_url)
    for pipeline in pipelines:
        rows = ledger.last(pipeline)
        if rows:
            training = [row for row in rows if row["stage"] == "train"]
            write_json(paths.usage(pipeline), {"all": _sum(rows), "train": _sum(training)})


def _sum(rows: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Totals; None where one part is not known."""

    def total(name: str, scale: float = 1.0) -> float | None:
        values = [row[name] for row in rows]
        return None if None in values else sum(values) * scale

    return {
        "duration_s": total("duration_s"),
        "energy_wh": total("energy_kwh", 1000),
        "energy_wh_lo": total("energy_lo", 1000),
        "energy_wh_hi": total("energy_hi", 1000),
        "carbon_g": total("carbon_g"),
        "cost_usd": total("cost_usd"),
    }
