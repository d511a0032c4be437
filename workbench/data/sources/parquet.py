"""Parquet: native types, names made safe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench.core.errors import DataError
from workbench.data.sources import sql
from workbench.data.sources.names import clean_names
from workbench.data.sources.recipe import Notes, Recipe


def read_parquet(
    recipe: Recipe, path: Path, scratch: Path, out: Path, con: Any, notes: Notes
) -> None:
    """Copy a person's Parquet file to `out`, so that damage in it is found now and not later."""
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = clean_names(pq.read_schema(path).names, notes)
        rows = pq.read_metadata(path).num_rows
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged(path, error) from None
    if not names or not rows:
        raise DataError(f"{path.name} holds no rows.", fix="export it again")
    try:
        with sql.linked(path, scratch) as link:
            source = f"read_parquet({sql.text(link)}, hive_partitioning=false)"
            select = f"SELECT * FROM {source} t({sql.names(names)})"
            sql.to_parquet(con, select, len(names), out)
    except duckdb.Error as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> DataError:
    first = str(error).splitlines()[0].replace(str(path), path.name)
    return DataError(
        f"{path.name} begins as Parquet but is damaged or cut off: {first}",
        fix="copy or export it again",
    )
