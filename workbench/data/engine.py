"""DuckDB behind Ibis: one connection with limits, and a writer whose bytes never vary."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core.params import Engine

if TYPE_CHECKING:
    import ibis

ROW_GROUP_ROWS = 122_880


@contextlib.contextmanager
def connected(scratch: Path, engine: Engine) -> Iterator[Any]:
    """Yield an Ibis backend on a DuckDB database in `scratch`, which spills there and is removed.

    It is also made Ibis's default backend, so that in-memory tables of a pipeline run in it.
    """
    import ibis

    folder = scratch / uuid.uuid4().hex
    folder.mkdir(parents=True)
    backend = ibis.duckdb.connect(
        folder / "work.duckdb",
        memory_limit=engine.memory_limit,
        threads=engine.threads,
        temp_directory=str(folder / "spill"),
    )
    before = ibis.options.default_backend
    ibis.set_backend(backend)
    try:
        yield backend
    finally:
        ibis.options.default_backend = before  # dynamic: put back as it was
        backend.disconnect()
        shutil.rmtree(folder, ignore_errors=True)


def write_parquet(table: ibis.Table, path: Path, order: Sequence[str] = ()) -> None:
    """Write `table` to one Parquet file, rows in a total order, so that equal data is equal bytes.

    order: columns that order rows totally (a unique key); all columns when not given, since two
    threads otherwise finish in any order.
    """
    columns = (
        list(order)
        or [name for name, kind in table.schema().items() if not kind.is_nested()]
        or list(table.columns)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    table.order_by(columns).to_parquet(path, compression="zstd", row_group_size=ROW_GROUP_ROWS)


def count_rows(path: Path) -> int:
    """Number of rows of a Parquet file, from its footer."""
    import pyarrow.parquet as pq

    return pq.read_metadata(path).num_rows
