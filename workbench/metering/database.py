"""Connections of the ledger: one for each transaction, on SQLite or PostgreSQL."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core.errors import BusyError, StateError
from workbench.core.secrets import masked, private_folder

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

WAIT_S = 30
"""How long a writer waits for another one."""


def parse_url(url: str) -> URL:
    """Return the URL with its driver; StateError for another database than the two."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    fix = "set WORKBENCH_LEDGER_URL to sqlite:///FILE or postgresql://USER@HOST/NAME"
    try:
        parsed = make_url(url)
    except ArgumentError:
        # the text is not repeated: it may hold a password
        raise StateError("The ledger's address is not a database URL.", fix=fix) from None
    if parsed.drivername in ("postgres", "postgresql"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "postgresql+psycopg"):
        raise StateError(f"The ledger cannot be kept in {parsed.drivername}.", fix=fix)
    return parsed


def open_engine(url: URL) -> Engine:
    """Return an engine that holds no connection between transactions, nor over a fork."""
    from sqlalchemy import NullPool, create_engine, event

    if url.get_backend_name() == "postgresql":
        return create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": 5})
    if url.database:
        with contextlib.suppress(OSError):  # connecting says what is wrong
            private_folder(Path(url.database).parent)
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": WAIT_S})

    @event.listens_for(engine, "connect")
    def _on_connect(raw: Any, _record: Any) -> None:
        raw.isolation_level = None  # sqlite3 would begin transactions later than it should
        raw.execute("PRAGMA journal_mode=WAL")
        raw.execute("PRAGMA synchronous=NORMAL")
        raw.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        # a writer takes the lock first: one that had read before could not wait for it
        write = connection.get_execution_options().get("write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


@contextlib.contextmanager
def explained(url: URL) -> Iterator[None]:
    """Turn the database's complaints into a sentence with a way out."""
    from sqlalchemy.exc import DatabaseError, DataError, IntegrityError, InterfaceError

    try:
        yield
    except (DataError, IntegrityError):
        raise  # a defect of ours, not of the database
    except (DatabaseError, InterfaceError) as error:
        raise _sentence(url, error) from error


def _sentence(url: URL, error: Exception) -> BusyError | StateError:
    whole = url.render_as_string(hide_password=False)
    where = masked(whole)
    reason = masked(str(getattr(error, "orig", error)).strip().splitlines()[0], whole)
    kept = "run records; the ledger is made from them"
    if "database is locked" in reason:
        return BusyError(
            f"The ledger {where} was locked by another process for {WAIT_S} s.",
            kept=kept,
            fix="run `workbench sync` when the other process is done",
        )
    if url.get_backend_name() == "sqlite":
        file = url.database
        fix = f"move it away (`mv {file} {file}.damaged; rm -f {file}-wal {file}-shm`), "
        fix += "then `workbench sync` makes it again from the run records"
    else:
        fix = "start the server or set WORKBENCH_LEDGER_URL, then `workbench sync` fills it"
    return StateError(
        f"The ledger {where} is damaged or out of reach: {reason}.", kept=kept, fix=fix
    )
