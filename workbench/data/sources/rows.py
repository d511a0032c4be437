"""The rows of a database in one Parquet file, and the digest by which they are known again."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

from workbench.core.errors import DataError
from workbench.data.sources import database, sql
from workbench.data.sources.names import clean_names
from workbench.data.sources.recipe import Notes, Recipe
from workbench.data.sources.typed import write_batches


def read_database(
    recipe: Recipe, root: Path, scratch: Path, out: Path, con: Any, notes: Notes
) -> str:
    """Write the rows of the recipe's table or query to the Parquet file `out`; their digest."""
    with (
        tempfile.TemporaryDirectory(dir=scratch) as folder,
        database.reading(recipe.source, root) as connection,
    ):
        if not recipe.query:
            database.the_table(connection, recipe.table)
        select = database.statement(connection, recipe.table, recipe.query)
        keys, batches = database.batches(connection, select)
        names = clean_names(keys, notes)
        union = write_batches(batches, names, Path(folder))
        if not union:
            raise DataError(
                f"The {'query' if recipe.query else f'table {recipe.table}'} gives no rows.",
                fix="check it in the database",
            )
        sql.to_parquet(con, union, len(names), out)
    return digest_rows(con, out)


def digest_rows(con: Any, file: Path) -> str:
    """SHA-256 over the rows of a Parquet file, whatever their order, and its column names.

    Each row is hashed as text with lengths, so that no two rows share one; the hashes are sorted.
    """
    source = f"read_parquet({sql.text(file)}, hive_partitioning=false)"
    columns = con.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    total = hashlib.sha256(repr([(name, kind) for name, kind, *_ in columns]).encode())
    parts = ", ".join(
        f"coalesce(length({text}) || ':' || {text}, '-')"
        for text in (_as_text(name, kind) for name, kind, *_ in columns)
    )
    with sql.roomy():
        found = con.execute(f"SELECT sha256(concat({parts})) AS h FROM {source} ORDER BY h")
        while rows := found.fetchmany(100_000):
            total.update("".join(row[0] for row in rows).encode())
    return total.hexdigest()


def _as_text(column: str, kind: str) -> str:
    name = sql.name(column)
    if kind == "TIMESTAMP WITH TIME ZONE":
        name = f"epoch_us({name})"  # as text it would depend on the zone of this machine
    return f"CAST({name} AS VARCHAR)"
