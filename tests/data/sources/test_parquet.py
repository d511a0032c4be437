"""Parquet keeps its types under safe names; damage is found when it is read, not later."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.sources.conftest import Reader
from workbench.core.errors import DataError


def test_native_types_and_odd_names_are_kept(take: Reader, root: Path) -> None:
    day = dt.datetime(2024, 1, 31, 10, tzinfo=dt.UTC)
    columns = [pa.array([1, None]), pa.array(["x", ""]), pa.array([day, day]), pa.array([1.5, 2])]
    pq.write_table(pa.table(columns, names=["a", "A", "<b>😀", ""]), root / "x.parquet")
    taken = take("x.parquet")
    assert taken.columns == ["a", "A_2", "<b>😀", "column_4"]
    assert list(taken.kinds.values()) == ["int64", "string", "timestamp('UTC', 6)", "float64"]
    assert taken.rows[1] == (None, "", day, 2.0)


def test_a_folder_like_a_partition_adds_no_column(take: Reader, root: Path) -> None:
    (root / "year=2024").mkdir()
    pq.write_table(pa.table({"a": [1]}), root / "year=2024" / "x.parquet")
    assert take("year=2024/x.parquet").columns == ["a"]


def test_a_cut_off_or_damaged_file_is_said(take: Reader, root: Path) -> None:
    table = pa.table({"a": list(range(20_000)), "b": [f"word {n}" for n in range(20_000)]})
    pq.write_table(table, root / "x.parquet")
    whole = (root / "x.parquet").read_bytes()
    with pytest.raises(DataError, match="damaged or cut off"):
        take("cut.parquet", whole[:-100])
    broken = whole[:2000] + b"\xff" * 4000 + whole[6000:]
    with pytest.raises(DataError, match="damaged or cut off"):
        take("broken.parquet", broken)


def test_no_rows_is_said(take: Reader, root: Path) -> None:
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), root / "x.parquet")
    with pytest.raises(DataError, match="holds no rows"):
        take("x.parquet")
