"""Tables of the ledger and how they came to be: SQLAlchemy Core, the same on both databases.

Migrations go forward only: `MIGRATIONS[n]` turns version n-1 into n, in one transaction under a
lock, so that ten processes may open an old ledger at once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from workbench.core.errors import StateError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

_LOCK = 7_340_017
"""Key of PostgreSQL's advisory lock for migrations; any number that nothing else here uses."""


@functools.cache
def tables() -> tuple[Table, Table]:
    """Return `usage` (a row for each run) and `usage_domain` (a row for each of its domains).

    Energy is in kWh within [lo, hi]; NULL is "not measured". day: UTC day of the start.
    provenance: of the least known domain. FOCUS's cost columns can be added beside `cost_usd`.
    """
    from sqlalchemy import (
        JSON,
        BigInteger,
        Column,
        Double,
        ForeignKey,
        Identity,
        Index,
        Integer,
        MetaData,
        Table,
        Text,
    )

    metadata = MetaData()
    number = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER counts up by itself there
    usage = Table(
        "usage",
        metadata,
        Column("id", number, Identity(), primary_key=True),
        Column("run_id", Text, nullable=False, unique=True),
        Column("pipeline", Text, nullable=False),
        Column("stage", Text, nullable=False),
        Column("key", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("day", Text),
        Column("start_s", Double),
        Column("end_s", Double),
        Column("duration_s", Double),
        Column("cpu_s", Double),
        Column("peak_memory_bytes", BigInteger),
        Column("energy_kwh", Double),
        Column("energy_lo", Double),
        Column("energy_hi", Double),
        Column("provenance", Text),
        Column("carbon_g", Double),
        Column("cost_usd", Double),
        Column("commit_sha", Text),
        Column("user", Text, nullable=False),
        Column("tags", JSON, nullable=False),
        Index("usage_pipeline_stage", "pipeline", "stage", "start_s"),
        Index("usage_start", "start_s"),
    )
    domain = Table(
        "usage_domain",
        metadata,
        Column("usage_id", ForeignKey("usage.id"), primary_key=True),
        Column("domain", Text, primary_key=True),
        Column("energy_kwh", Double),
        Column("energy_lo", Double),
        Column("energy_hi", Double),
        Column("provenance", Text, nullable=False),
        Column("coverage", Double, nullable=False),
    )
    return usage, domain


def _create(connection: Connection) -> None:
    tables()[0].metadata.create_all(connection)


MIGRATIONS: dict[int, Callable[[Connection], None]] = {1: _create}
"""Steps by the version they lead to. A step is never edited once released: `tables()` describes
the newest version, so the second step must freeze what `_create` makes."""


def migrate(connection: Connection) -> None:
    """Bring the database behind `connection` to the newest version; StateError if it is newer."""
    from sqlalchemy import text

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    connection.execute(text("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)"))
    found: int = connection.execute(text("SELECT max(version) FROM schema_version")).scalar() or 0
    newest = max(MIGRATIONS)
    if found > newest:
        raise StateError(
            f"The ledger has version {found}; this workbench knows versions up to {newest}.",
            kept="the ledger is as it was",
            fix="use the newer workbench that made it",
        )
    for version in range(found + 1, newest + 1):
        MIGRATIONS[version](connection)
        connection.execute(text("INSERT INTO schema_version VALUES (:v)"), {"v": version})
