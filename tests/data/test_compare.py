"""Old and new data side by side."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workbench.core.params import Engine
from workbench.data.compare import TableChange, compare
from workbench.data.engine import connected

OLD = {
    "id": list(range(100)),
    "plan": ["basic", "pro"] * 50,
    "spend": [float(i % 10) for i in range(100)],
    "note": [f"text {i}" for i in range(100)],
}


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Any]:
    with connected(tmp_path / "scratch", Engine()) as found:
        yield found


def changed(tmp_path: Path, backend: Any, old: dict[str, Any], new: dict[str, Any]) -> TableChange:
    for name, columns in (("old", old), ("new", new)):
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    (found,) = compare(
        {"rows": tmp_path / "old.parquet", "gone": tmp_path / "old.parquet"},
        {"rows": tmp_path / "new.parquet"},
        backend,
    )
    return found


def test_rows_that_stay_come_and_go_are_counted(tmp_path: Path, backend: Any) -> None:
    new = {name: values[10:] + values[90:] + values[90:] for name, values in OLD.items()}
    found = changed(tmp_path, backend, OLD, new)
    assert (found.rows_before, found.rows_now) == (100, 110)
    assert (found.same, found.came, found.went) == (90, 20, 10)
    assert [column.name for column in found.columns if column.moved] == ["id"]


def test_a_column_that_moves_is_found_and_others_are_not(tmp_path: Path, backend: Any) -> None:
    new = OLD | {"spend": [value + 4 for value in OLD["spend"]], "plan": ["basic"] * 100}
    found = {c.name: c for c in changed(tmp_path, backend, OLD, new).columns}
    assert [name for name, column in found.items() if column.moved] == ["plan", "spend"]
    assert (found["spend"].mean_before, found["spend"].mean_now) == (4.5, 8.5)
    assert found["note"].stability is None  # free text has no shares to compare


def test_values_that_go_missing_are_a_move(tmp_path: Path, backend: Any) -> None:
    new = OLD | {"spend": [None if i < 20 else v for i, v in enumerate(OLD["spend"])]}
    spend = next(c for c in changed(tmp_path, backend, OLD, new).columns if c.name == "spend")
    assert (spend.missing_before, spend.missing_now) == (0, 0.2)
    assert spend.moved


def test_columns_that_come_and_go_are_named_and_the_rest_is_compared(
    tmp_path: Path, backend: Any
) -> None:
    new = {"id": OLD["id"], "plan": OLD["plan"], "tariff": OLD["plan"], "spend": OLD["plan"]}
    found = changed(tmp_path, backend, OLD, new)
    assert found.columns_new == ("tariff",)
    assert found.columns_gone == ("note",)
    assert found.same == 0  # spend is another thing now
    assert next(c for c in found.columns if c.name == "spend").stability is None


def test_empty_tables_compare(tmp_path: Path, backend: Any) -> None:
    empty = {"id": pa.array([], pa.int64()), "plan": pa.array([], pa.string())}
    some = {"id": [1], "plan": ["a"]}
    assert changed(tmp_path, backend, empty, some).came == 1
    assert changed(tmp_path, backend, some, empty).went == 1
