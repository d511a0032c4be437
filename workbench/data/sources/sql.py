"""Names, texts and selections as DuckDB's SQL, and what DuckDB complains of as sentences."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from workbench.core.errors import StateError, disk_full
from workbench.data.engine import ROW_GROUP_ROWS

GROUP_CELLS = 5_000_000


def name(text: str) -> str:
    """A name of a column, whatever is in it."""
    return '"' + text.replace('"', '""') + '"'


def text(value: str | Path) -> str:
    """A text."""
    return "'" + str(value).replace("'", "''") + "'"


def names(columns: Sequence[str]) -> str:
    """A list of names."""
    return ", ".join(name(column) for column in columns)


def to_parquet(connection: Any, select: str, columns: int, out: Path) -> None:
    """Write the rows of `select`, which has so many columns, to a Parquet file, in their order."""
    # the writer holds a group of rows in memory: fewer of them where they are wide
    rows = max(2048, min(ROW_GROUP_ROWS, GROUP_CELLS // columns))
    with roomy():
        connection.execute(
            f"COPY ({select}) TO {text(out)} "
            f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {rows})"
        )


@contextlib.contextmanager
def roomy() -> Iterator[None]:
    """Turn a full disk or too little memory into a sentence; other errors pass."""
    import duckdb

    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise disk_full(error) or StateError(
            "DuckDB's memory limit is too small for this source.",
            kept="all outputs that were whole before",
            fix="raise `engine.memory_limit` in params.yaml",
        ) from error
    except duckdb.Error as error:
        if full := disk_full(error):
            raise full from error
        raise


@contextlib.contextmanager
def linked(path: Path, scratch: Path) -> Iterator[Path]:
    """Yield a plain name for a file.

    DuckDB takes brackets and stars in a path for a pattern, and `a=b` folders for columns.
    """
    link = scratch / f"source-{len(list(scratch.iterdir()))}"
    link.symlink_to(path.resolve())
    try:
        yield link
    finally:
        link.unlink()
