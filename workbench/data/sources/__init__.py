"""Reading a person's own data: CSV, Parquet, JSON or a database, known by looking into it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ibis

    from workbench.data.tables import Tables

ROWS = "rows"
"""What the one table of a source is called."""

ROW, COPY = "row_md5", "row_copy"
"""Columns by which a row is known again: a hash of its content, and which of equal rows it is."""


def read(
    source: Mapping[str, Any], *, as_of: dt.date | str = "", licence: str = "not stated"
) -> Tables:
    """Return the table `rows` of a source, with columns `row_md5` and `row_copy` that name a row.

    source: what `workbench new` wrote under `collect.source`: where, format, sha256 and how it is
    spelt. Runs inside the stage, whose folder is the checkout. Raises DataError when the source
    is gone or has changed since it was pinned: the same params must give the same rows.
    """
    from workbench.core.paths import find_root
    from workbench.data.sources.reading import checked, read, scratch_of_backend
    from workbench.data.sources.recipe import recipe_of
    from workbench.data.tables import Facts, Tables

    recipe, root = recipe_of(source), find_root()
    if recipe.format != "database":
        checked(recipe, root=root)  # rows of a database are checked as they are read
    table = with_row_key(read(recipe, root=root, scratch=scratch_of_backend()))
    facts = Facts(
        origin=recipe.source,
        licence=licence,
        version=f"{as_of} sha256 {recipe.sha256}".strip(),
        note=recipe.query or (f"table {recipe.table}" if recipe.table else ""),
    )
    return Tables({ROWS: table}, facts={"*": facts}, unique_by={ROWS: (ROW, COPY)})


def with_row_key(table: ibis.Table) -> ibis.Table:
    """Return `table` with the columns by which each of its rows is known again."""
    from workbench.data.kinds import keyed

    return keyed(table, row=ROW, copy=COPY)
