"""`metrics/<pipeline>/usage.json`: the last usage of each stage, beside accuracy in `dvc exp show`."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.core.files import write_json
from workbench.core.paths import Paths
from workbench.metering.ledger import Ledger

FIGURES = ("duration_s", "cpu_s", "peak_memory_bytes", "energy_kwh", "energy_lo", "energy_hi",
           "provenance", "carbon_g", "cost_usd")


def write_usage(paths: Paths, pipelines: Sequence[str]) -> None:
    """Write the newest ledger row of each stage. No stage's output: timings would wake it."""
    ledger = Ledger(paths.ledger_url)
    for pipeline in pipelines:
        rows = ledger.last(pipeline)
        if rows:
            by_stage = {r["stage"]: {k: r[k] for k in FIGURES} for r in rows}
            write_json(paths.usage(pipeline), by_stage)
