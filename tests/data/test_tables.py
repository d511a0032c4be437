"""A dataset's rows leave by named rules only, and what is written never varies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workbench.core.errors import DataError
from workbench.core.params import Engine
from workbench.data.engine import connected
from workbench.data.tables import Tables, read_tables


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Any]:
    with connected(tmp_path / "scratch", Engine(threads=2)) as found:
        yield found


def orders() -> Any:
    return ibis.memtable(
        pa.table(
            {
                "id": [1, 1, 2, None, None, 3, 4],
                "at": [2, 1, 1, 1, 1, 1, 1],
                "eur": [5.0, 6.0, -1.0, 7.0, 7.0, None, 9.0],
            }
        )
    )


def test_rows_that_leave_are_kept_aside_with_the_first_rule_that_took_them(
    tmp_path: Path, backend: Any
) -> None:
    data = Tables({"orders": orders()})
    data.drop("orders", "invalid amount", lambda t: t.eur <= 0)
    data.drop("orders", "outlier amount", lambda t: (t.eur > 8) | (t.eur < 0))
    data.unique("orders", by="id", first="at", rule="duplicate order")
    data.write(tmp_path / "out")
    kept = pq.read_table(tmp_path / "out" / "orders.parquet").to_pylist()
    # A missing amount breaks no rule, and rows without a key are equal to no other.
    assert sorted((r["id"] or 0, r["eur"] or 0) for r in kept) == [(0, 7), (0, 7), (1, 6), (3, 0)]
    assert data.write_quarantine(tmp_path / "aside") == {
        "orders": {"duplicate order": 1, "invalid amount": 1, "outlier amount": 1}
    }
    aside = [pq.read_table(p).to_pylist() for p in sorted((tmp_path / "aside").iterdir())]
    assert {(r["id"], r["dropped_by"]) for part in aside for r in part} == {
        (1, "duplicate order"),
        (2, "invalid amount"),
        (4, "outlier amount"),
    }
    with pytest.raises(DataError, match="does not say its kind"):
        data.drop("orders", "strange amount", lambda t: t.eur == 1)


def test_bytes_do_not_depend_on_threads_or_on_what_spilled(tmp_path: Path) -> None:
    seen = []
    engines = {"one": Engine(threads=1), "two": Engine(memory_limit="200MB", threads=2)}
    for name, engine in engines.items():
        with connected(tmp_path / "scratch", engine):
            rows = ibis.range(400_000).unnest().name("i").as_table()
            rows = rows.mutate(id=rows.i % 390_000, word="w" + (rows.i % 997).cast("string"))
            data = Tables({"rows": rows})
            data.drop("rows", "irrelevant word", lambda t: t.word == "w3")
            data.unique("rows", by="id", first="i")
            data.write(tmp_path / name)
            data.write_quarantine(tmp_path / name / "aside")
        files = sorted((tmp_path / name).rglob("*.parquet"))
        seen.append({p.relative_to(tmp_path / name): p.read_bytes() for p in files})
    assert seen[0] == seen[1]
    assert len(seen[0]) == 3


def test_what_was_written_is_read_with_its_facts_and_assets(tmp_path: Path, backend: Any) -> None:
    (tmp_path / "note.txt").write_text("hello")
    data = Tables({"orders": orders()}, assets={"note.txt": tmp_path / "note.txt"})
    data.write(tmp_path / "out")
    again = read_tables(tmp_path / "out", backend)
    assert again["orders"].count().execute() == 7
    assert again.assets["note.txt"].read_text() == "hello"
    with pytest.raises(DataError, match="Did you mean 'orders'"):
        again["order"]
