"""The databases in a backup, always as SQLite files: rows of the ledger, MLflow's own file."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.metering.database import explained, open_engine, parse_url
from workbench.metering.schema import migrate, tables

if TYPE_CHECKING:
    from sqlalchemy import Connection

_ARTIFACT_COLUMNS = ("artifact_location", "artifact_uri", "source", "storage_location")


def copy_rows(source: str, target: str) -> int:
    """Add the ledger rows of the database at URL `source` that `target` lacks; return how many.

    Rows belong to runs: a run that has a row keeps it.
    """
    from sqlalchemy import select

    usage = tables()[0]
    one, other = parse_url(source), parse_url(target)
    engine, into = open_engine(one), open_engine(other)
    with (
        explained(one),
        engine.execution_options(write=True).begin() as reading,
        explained(other),
        into.execution_options(write=True).begin() as writing,
    ):
        migrate(reading)
        migrate(writing)
        have = set(writing.execute(select(usage.c.run_id)).scalars())
        rows = [dict(r) for r in reading.execute(select(usage)).mappings()]
        new = [row for row in rows if row["run_id"] not in have]
        for row in new:
            _copy_row(reading, writing, row)
    return len(new)


def _copy_row(reading: Connection, writing: Connection, row: dict[str, object]) -> None:
    """One usage with its domains; its number is the target's own."""
    from sqlalchemy import select

    usage, domain = tables()
    query = select(domain).where(domain.c.usage_id == row.pop("id"))
    number = writing.execute(usage.insert().values(**row).returning(usage.c.id)).scalar()
    for one in reading.execute(query).mappings().all():
        writing.execute(domain.insert().values(**{**one, "usage_id": number}))


def copied(file: Path, target: Path, notes: list[str]) -> bool:
    """Copy a database that others may be writing to; whether it was whole, else a note says so."""
    try:
        with (
            contextlib.closing(
                sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)
            ) as a,
            contextlib.closing(sqlite3.connect(target)) as b,
        ):
            a.backup(b)
            b.execute("PRAGMA journal_mode=DELETE")  # one file, nothing beside it
            (said,) = b.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        said = str(error)
    if said != "ok":
        notes.append(f"{file.name} is left out, it is damaged ({said}): `workbench sync` makes it")
    return said == "ok"


def without_secrets(file: Path) -> None:
    """MLflow can hold keys of its gateway and webhooks: they stay here."""
    with contextlib.closing(sqlite3.connect(file)) as base:
        base.execute("PRAGMA secure_delete=ON")
        known = {name for (name,) in base.execute("SELECT name FROM sqlite_master")}
        if "secrets" in known:
            base.execute("DELETE FROM secrets")
        if "webhooks" in known:
            base.execute("UPDATE webhooks SET secret = NULL")
        base.commit()


def relocate(file: Path, old: str, new: str) -> None:
    """MLflow keeps where its artefacts stand as whole addresses: let them lead here."""
    with contextlib.closing(sqlite3.connect(file)) as base:
        for table in [
            n for (n,) in base.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]:
            columns = [row[1] for row in base.execute(f'PRAGMA table_info("{table}")')]
            for column in (c for c in columns if c in _ARTIFACT_COLUMNS):
                base.execute(
                    f'UPDATE "{table}" SET {column} = ? || substr({column}, ?) '
                    f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
                )
        base.commit()
