"""Cleaning 10 million dirty transactions: the contract's rules, hand-written DuckDB, pandas.

All three trim, mask e-mails, look back in time, drop by four rules, keep one row a key, and write
kept and dropped rows to Parquet in a total order. Same rows out, checked.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import Row, alternate, show

ROWS = int(os.environ.get("BENCH_ROWS", "10000000"))
RUNS = int(os.environ.get("BENCH_RUNS", "3"))
MEMORY = "2GB"
KEPT = ("id", "received_at", "customer", "amount", "email", "channel", "seconds_since")


def generate(path: Path) -> None:
    """Write seeded dirty transactions: 2 % repeated, 3 % broken in one of four ways."""
    import duckdb

    duckdb.sql(f"""
        COPY (
          WITH base AS (
            SELECT i % {int(ROWS * 0.98)} AS id, hash(i) AS h, hash(i % {int(ROWS * 0.98)}) AS k, i
            FROM range({ROWS}) t(i)
          )
          SELECT id,
            TIMESTAMP '2026-01-01' + INTERVAL 1 SECOND * (k % 15000000 + i // 9800000 * 300)
              AS received_at,
            (k // 7 % 200000)::INTEGER AS customer,
            CASE WHEN h % 100 = 0 THEN -1 ELSE 1 END * (k % 20000) / 100.0
              * CASE WHEN h % 101 = 0 THEN 10000 ELSE 1 END AS amount,
            CASE WHEN h % 103 = 0 THEN NULL
              ELSE 'user' || (k % 1000000) || '@example' || (k % 50) || '.com' END AS email,
            CASE WHEN h % 3 = 0 THEN ' ' ELSE '' END
              || upper(['web', 'shop', 'phone', 'test'][1 + (h % 301 % 4)::INTEGER]) AS channel
          FROM base
        ) TO '{path}' (FORMAT parquet, COMPRESSION zstd)
    """)


def ours(source: Path, out: Path) -> None:
    """A pipeline's `clean`, as it stands in a notebook, through the library."""
    import ibis

    from workbench.core.params import Engine
    from workbench.data.engine import connected
    from workbench.data.tables import Tables

    with connected(out.parent / "scratch", Engine(memory_limit=MEMORY, threads=2)) as backend:
        data = Tables({"tx": backend.read_parquet(source)})
        by_time = ibis.window(group_by="customer", order_by=["received_at", "id"])
        data.replace(
            "tx",
            lambda t: t.mutate(
                channel=t.channel.strip().lower(),
                email=t.email.re_replace("^(.).*@", r"\1***@"),
                seconds_since=t.received_at.epoch_seconds()
                - t.received_at.epoch_seconds().lag().over(by_time),
            ),
        )
        data.drop("tx", "invalid amount", lambda t: t.amount <= 0)
        data.drop("tx", "invalid email", lambda t: t.email.isnull())
        data.drop("tx", "irrelevant test", lambda t: t.channel == "test")
        data.drop("tx", "outlier amount", lambda t: t.amount > 100_000)
        data.unique("tx", by="id", first="received_at")
        data.write(out)
        counts = data.write_quarantine(out / "quarantine")
    (out / "counts.json").write_text(json.dumps(counts["tx"]))


def duckdb(source: Path, out: Path) -> None:
    """The same by hand."""
    import duckdb as db

    scratch = out.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    connection = db.connect(
        str(scratch / "work.duckdb"),
        config={"memory_limit": MEMORY, "threads": 2, "temp_directory": str(scratch / "spill")},
    )
    out.mkdir()
    connection.execute(f"""
        CREATE TABLE marked AS
        WITH ready AS (
          SELECT id, received_at, customer, amount,
            regexp_replace(email, '^(.).*@', '\\1***@') AS email, lower(trim(channel)) AS channel,
            epoch(received_at)::BIGINT - lag(epoch(received_at)::BIGINT)
              OVER (PARTITION BY customer ORDER BY received_at, id) AS seconds_since
          FROM '{source}'
        ), ruled AS (
          SELECT *, CASE WHEN amount <= 0 THEN 'invalid amount'
            WHEN email IS NULL THEN 'invalid email' WHEN channel = 'test' THEN 'irrelevant test'
            WHEN amount > 100000 THEN 'outlier amount' END AS rule
          FROM ready
        )
        SELECT * EXCLUDE (rule, place), coalesce(rule, CASE WHEN place > 1 THEN 'duplicate key' END)
          AS dropped_by
        FROM (SELECT *, row_number() OVER (PARTITION BY id, rule IS NULL ORDER BY received_at)
          AS place FROM ruled)
    """)
    connection.execute(f"""COPY (SELECT * EXCLUDE (dropped_by) FROM marked WHERE dropped_by IS NULL
        ORDER BY id) TO '{out}/tx.parquet' (FORMAT parquet, COMPRESSION zstd)""")
    connection.execute(f"""COPY (SELECT * FROM marked WHERE dropped_by IS NOT NULL ORDER BY ALL)
        TO '{out}/dropped.parquet' (FORMAT parquet, COMPRESSION zstd)""")
    counts = connection.execute(
        "SELECT dropped_by, count(*) FROM marked WHERE dropped_by IS NOT NULL GROUP BY 1"
    ).fetchall()
    (out / "counts.json").write_text(json.dumps(dict(counts)))


def pandas(source: Path, out: Path) -> None:
    """The same with pandas."""
    import numpy as np
    import pandas as pd

    out.mkdir()
    tx = pd.read_parquet(source)
    tx["channel"] = tx["channel"].str.strip().str.lower()
    tx["email"] = tx["email"].str.replace("^(.).*@", r"\1***@", regex=True)
    tx = tx.sort_values(["customer", "received_at", "id"], kind="stable")
    seconds = tx["received_at"].astype("int64") // 1_000_000
    tx["seconds_since"] = seconds - seconds.groupby(tx["customer"]).shift()
    rule = pd.Series(
        np.select(
            [
                tx["amount"] <= 0,
                tx["email"].isna(),
                tx["channel"] == "test",
                tx["amount"] > 100_000,
            ],
            ["invalid amount", "invalid email", "irrelevant test", "outlier amount"],
            default="",
        ),
        index=tx.index,
    )
    clean: Any = tx[rule == ""]
    clean = clean.sort_values(["id", "received_at"], kind="stable")
    repeated = clean.duplicated("id", keep="first")
    rule.loc[repeated[repeated].index] = "duplicate key"
    dropped = tx[rule != ""].assign(dropped_by=rule[rule != ""])
    clean[~repeated].to_parquet(out / "tx.parquet", compression="zstd", index=False)
    dropped.sort_values(list(KEPT)).to_parquet(
        out / "dropped.parquet", compression="zstd", index=False
    )
    (out / "counts.json").write_text(json.dumps(dropped["dropped_by"].value_counts().to_dict()))


def main() -> None:
    import statistics

    folder = Path(tempfile.mkdtemp())
    source = folder / "dirty.parquet"
    generate(source)
    kinds = ("ours", "duckdb", "pandas")
    found: dict[str, list] = {kind: [] for kind in kinds}
    answers = {}
    for _ in range(RUNS):
        for kind in kinds:
            out = folder / kind
            shutil.rmtree(out, ignore_errors=True)
            shutil.rmtree(folder / "scratch", ignore_errors=True)
            command = (sys.executable, "-m", "benchmarks.clean", kind, str(source), str(out))
            found[kind].append(alternate({kind: command}, runs=1, warm=0)[kind])
            answers[kind] = (
                _rows(out / "tx.parquet"),
                json.loads((out / "counts.json").read_text()),
            )
    shutil.rmtree(folder)
    if not answers["ours"] == answers["duckdb"] == answers["pandas"]:
        raise SystemExit(f"The three do not agree: {answers}")
    wall = {k: statistics.median(m.wall_s for m in ms) for k, ms in found.items()}
    cpu = {k: statistics.median(m.cpu_s for m in ms) for k, ms in found.items()}
    peak = {k: statistics.median(m.peak_mb for m in ms) for k, ms in found.items()}
    ratio, faster = cpu["ours"] / cpu["duckdb"], wall["pandas"] / wall["ours"]
    show(
        f"Cleaning {ROWS:,} dirty transactions, two cores",
        [
            Row(
                "processor time, against hand-written DuckDB",
                f"{cpu['ours']:.1f} s",
                f"{cpu['duckdb']:.1f} s",
                f"{ratio:.2f}",
                "<= 1.15",
                ratio <= 1.15,
            ),
            Row(
                "time, against pandas",
                f"{wall['ours']:.1f} s",
                f"{wall['pandas']:.1f} s",
                f"{faster:.2f}",
                ">= 2.3",
                faster >= 2.3,
            ),
            Row(
                "peak memory with a 2 GB limit",
                f"{peak['ours'] / 1000:.2f} GB",
                f"duckdb {peak['duckdb'] / 1000:.2f}, pandas {peak['pandas'] / 1000:.2f} GB",
                "",
                "<= 1.5 GB",
                peak["ours"] <= 1500,
            ),
        ],
    )


def _rows(path: Path) -> int:
    import pyarrow.parquet as pq

    return pq.read_metadata(path).num_rows


if __name__ == "__main__":
    if len(sys.argv) > 1:
        globals()[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
