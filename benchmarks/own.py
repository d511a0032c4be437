"""A person's own file to a released model: 100,000 rows x 30 columns, and 3 million.

A mixed table as people have them: numbers with decimal commas, dates, words of few and of many
values, text, missing values, an identifier and a constant. BENCH_OWN_ROWS chooses other sizes.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from benchmarks.checkouts import clone, environment
from benchmarks.measure import Measured, Row, once, show

SIZES = tuple(int(n) for n in os.environ.get("BENCH_OWN_ROWS", "100000,3000000").split(","))
TOTAL_S, LOOK_S = 90, 5


def generate(path: Path, rows: int) -> None:
    """Write a seeded table of 30 columns, the answer among them, as CSV with semicolons."""
    import duckdb

    numbers = ", ".join(
        f"round(((h >> {n}) % 10007) / 100.0 + (h % {n + 3}), 2) AS number_{n}" for n in range(17)
    )
    words = ", ".join(
        f"'w' || ((hash(i + {n}) % {size}) * (hash(i) % {size}) // {size})::VARCHAR AS word_{n}"
        for n, size in enumerate((3, 5, 12, 40, 300, 5000))
    )
    duckdb.sql(f"""
        COPY (
          WITH base AS (SELECT i, hash(i) AS h FROM range({rows}) t(i))
          SELECT i + 100000 AS id, 'x' AS always, {numbers}, {words},
            replace(printf('%.2f', exp((h % 700) / 100.0)), '.', ',') AS spend,
            strftime(DATE '2021-01-01' + (h % 1400)::INTEGER, '%d.%m.%Y') AS joined,
            CASE WHEN h % 20 = 0 THEN NULL ELSE (h % 90)::INTEGER END AS age,
            'call ' || (h % 5000) || ' about '
              || ['the bill', 'a delay', 'nothing much', 'leaving us'][1 + (h % 4)::INTEGER]
              || ' on ' || (h % 977) AS note,
            CASE WHEN (h % 700) / 100.0 + 3 * (h % 4 = 3)::INTEGER - (h % 90) / 30.0
              + (hash(i + 7) % 1000) / 250.0 > 8 THEN 'yes' ELSE 'no' END AS churn
          FROM base
        ) TO '{path}' (HEADER, DELIMITER ';')
    """)


def main() -> None:
    rows: list[Row] = []
    for size in SIZES:
        checkout = clone(Path(tempfile.mkdtemp()) / "own")
        generate(checkout / "own.csv", size)
        steps = {
            "first look": ("new", "own", "--data", "own.csv", "--target", "churn", "--look"),
            "write": ("new", "own", "--data", "own.csv", "--target", "churn", "--yes"),
            "run": ("repro", "own"),
        }
        took = {what: _timed(command, checkout) for what, command in steps.items()}
        rows += _rows(size, took, checkout)
    show("A person's own file to a released model, 30 columns, two cores", rows)


def _timed(command: tuple[str, ...], checkout: Path) -> Measured:
    whole = [sys.executable, "-m", "workbench.cli.main", *command]
    return once(whole, cwd=checkout, env=environment(checkout))


def _rows(size: int, took: dict[str, Measured], checkout: Path) -> list[Row]:
    import json

    records = checkout.glob(".workbench/runs/*/record.json")
    windows = (json.loads(path.read_bytes())["window"] for path in records)
    peak_mb = max(window["peak_memory_bytes"] or 0 for window in windows) / 1e6
    total = took["write"].wall_s + took["run"].wall_s
    look, small = took["first look"], size <= 100_000
    return [
        Row(
            f"{size:,} rows: first believable look",
            f"{look.wall_s:.1f} s ({look.cpu_s:.1f} s CPU)",
            "",
            "",
            f"<= {LOOK_S} s" if small else "",
            look.wall_s <= LOOK_S if small else None,
        ),
        Row(
            f"{size:,} rows: file to released model",
            f"{total:.0f} s",
            "",
            "",
            f"<= {TOTAL_S} s" if small else "",
            total <= TOTAL_S if small else None,
        ),
        Row(f"{size:,} rows: largest stage", f"{peak_mb / 1000:.2f} GB", "", "", "", None),
    ]


if __name__ == "__main__":
    main()
