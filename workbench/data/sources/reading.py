"""A source as a table: every form becomes one Parquet file, so that all damage is found here."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core.errors import DataError
from workbench.core.params import Engine
from workbench.data.sources.content import digest
from workbench.data.sources.delimited import read_csv
from workbench.data.sources.jsonlines import read_json
from workbench.data.sources.parquet import read_parquet
from workbench.data.sources.recipe import Notes, Recipe
from workbench.data.sources.rows import read_database

if TYPE_CHECKING:
    import ibis

WORK = "work.duckdb"
"""What `engine.connected` calls its database, alone in a folder that it removes."""
_KEPT = "what was collected before"
_REFRESH = "`workbench refresh NAME` takes what the source holds now"


def read(recipe: Recipe, *, root: Path, scratch: Path, notes: Notes | None = None) -> ibis.Table:
    """Return the rows of a source as a table of Ibis's current backend, a DuckDB.

    Columns of CSV are text, exactly as written, an empty field missing; other forms keep their
    types. scratch: an existing folder that outlives the table. What was changed is added to
    `notes`. Raises DataError for what cannot be read, and for rows of a database other than the
    recipe's sha256 says; for files, `checked` does that.
    """
    import ibis

    notes = notes if notes is not None else Notes()
    backend: Any = ibis.get_backend()
    place = Path(tempfile.mkdtemp(prefix="read-", dir=scratch))
    out = place / "rows.parquet"
    if recipe.format == "database":
        if read_database(recipe, root, place, out, backend.con, notes) != recipe.sha256:
            raise _changed(recipe)
    else:
        path = _there(recipe, root)
        forms = {"csv": read_csv, "jsonl": read_json, "parquet": read_parquet}
        forms[recipe.format](recipe, path, place, out, backend.con, notes)
    return backend.read_parquet(out)


def checked(recipe: Recipe, *, root: Path) -> None:
    """Raise DataError when the source is gone, or holds something else than when recognised."""
    if recipe.format != "database":
        if digest(_there(recipe, root)) != recipe.sha256:
            raise _changed(recipe)
        return
    from workbench.core.paths import Paths
    from workbench.data.engine import connected

    scratch = Paths(root, root).scratch
    scratch.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=scratch) as folder,
        connected(Path(folder), Engine()) as backend,
    ):
        out = Path(folder) / "rows.parquet"
        sha256 = read_database(recipe, root, Path(folder), out, backend.con, Notes())
    if sha256 != recipe.sha256:
        raise _changed(recipe)


def _there(recipe: Recipe, root: Path) -> Path:
    path = recipe.place(root)
    if not path.is_file():
        raise DataError(
            f"The source {recipe.source} is gone.",
            kept=_KEPT,
            fix="put it back, or `workbench refresh NAME` from where it is now",
        )
    return path


def _changed(recipe: Recipe) -> DataError:
    return DataError(
        f"The source {recipe.shown} has changed since it was taken.", kept=_KEPT, fix=_REFRESH
    )


def scratch_of_backend() -> Path:
    """A folder that goes when Ibis's current backend does: beside its database, if it has one."""
    import ibis

    backend: Any = ibis.get_backend()
    found = backend.con.execute("SELECT path FROM duckdb_databases() WHERE NOT internal").fetchall()
    for (path,) in found:
        if path and Path(path).name == WORK:
            return Path(path).parent
    folder = Path(tempfile.mkdtemp(prefix="source-"))
    weakref.finalize(backend, shutil.rmtree, folder, ignore_errors=True)
    return folder
