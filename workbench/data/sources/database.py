"""A table or one SELECT of a database, read once, in batches, without a right to write."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from workbench.core.errors import DataError, did_you_mean
from workbench.core.progress import progress
from workbench.data.sources.places import find_file, written

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

PASSWORD = "WORKBENCH_SOURCE_PASSWORD"
BATCH_ROWS = 20_000
CONNECT_S = 10


def is_url(where: str) -> bool:
    """Whether a person means a database rather than a file."""
    return re.match(r"[a-zA-Z][\w+.-]*://", where) is not None


def settle(where: str, root: Path) -> str:
    """Return the URL as it goes into params.yaml; DataError where it cannot be followed.

    A password is refused, since params.yaml goes into Git. The file of an SQLite URL must exist,
    since SQLite would make an empty one; it is written relative to the checkout.
    """
    if where.split("://")[0].lower() in ("http", "https", "ftp", "s3", "gs", "file"):
        raise DataError(
            f"{where.split('?')[0]} is no database; files are read from this machine.",
            fix="download it first, so that what was learnt from stays",
        )
    url = _parsed(where)
    secret = {"password", "passwd", "pwd", "sslpassword"} & {key.lower() for key in url.query}
    if url.password or secret:
        raise DataError(
            "The database URL holds a password, and it would be written into params.yaml.",
            fix=f"leave it out, and put it into ~/.pgpass or the variable {PASSWORD}",
        )
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:":
            raise DataError("The SQLite URL names no file.", fix="write sqlite:///FILE.db")
        file = find_file(url.database, root)
        return f"sqlite:///{written(file, root)}"
    return url.render_as_string(hide_password=True)


@contextlib.contextmanager
def reading(source: str, root: Path) -> Iterator[Connection]:
    """Yield a connection that can only read; complaints of the database become sentences."""
    from sqlalchemy.exc import SQLAlchemyError

    url = _parsed(source)
    try:
        engine = _engine(url, root)
        options: dict[str, Any] = {"stream_results": True, "yield_per": BATCH_ROWS}
        if url.get_backend_name() == "postgresql":
            options |= {"postgresql_readonly": True, "isolation_level": "REPEATABLE READ"}
        with engine.connect().execution_options(**options) as connection:
            yield connection
        engine.dispose()
    except SQLAlchemyError as error:
        raise _sentence(url, error) from None
    except ModuleNotFoundError as error:
        raise DataError(
            f"Reading {url.get_backend_name()} needs the package {error.name}.",
            fix=f"pip install {error.name}",
        ) from None


def statement(connection: Connection, table: str, query: str) -> str:
    """Return the SELECT that is run: of `table`, or `query` itself, if it is one SELECT."""
    if table and query:
        raise DataError("Both a table and a query are given.", fix="give one of them")
    if query:
        return _only_select(query)
    return f"SELECT * FROM {_quoted(connection, table)}"


def the_table(connection: Connection, table: str) -> str:
    """Return the table that is meant; DataError where there is none, or several to choose from."""
    from sqlalchemy import inspect

    inspector = inspect(connection)
    schema, _, name = table.rpartition(".")
    known = [*inspector.get_table_names(schema or None), *inspector.get_view_names(schema or None)]
    if table and (name in known or table in inspector.get_table_names()):
        return table
    if not known:
        raise DataError("The database holds no tables that you may see.", fix="check the URL")
    if not table:
        if len(known) == 1:
            return known[0]
        some = ", ".join(sorted(known)[:10])
        raise DataError(f"The database holds {len(known)} tables.", fix=f"give --table: {some}")
    raise DataError(f"There is no table '{table}'.{did_you_mean(name, known)}", fix="give --table")


def batches(connection: Connection, sql: str) -> tuple[list[str], Iterator[Sequence[Any]]]:
    """Run a SELECT; the names of its columns and its rows in batches of BATCH_ROWS."""
    # without parameters a percent sign in the query is itself
    result = connection.execution_options(no_parameters=True).exec_driver_sql(sql)
    return list(result.keys()), progress(result.partitions(BATCH_ROWS), f"Rows / {BATCH_ROWS:,}")


def _parsed(where: str) -> URL:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(where)
    except (ArgumentError, ValueError):
        # the text is not repeated: it may hold a password
        raise DataError(
            "The address is not a database URL.",
            fix="write sqlite:///FILE.db or postgresql://USER@HOST/NAME",
        ) from None


def _engine(url: URL, root: Path) -> Engine:
    from sqlalchemy import NullPool, create_engine
    from sqlalchemy.exc import NoSuchModuleError

    if url.get_backend_name() == "sqlite":
        file = root / (url.database or "")
        if not file.is_file():
            raise DataError(f"There is no file {url.database}.", fix="correct the path")
        return create_engine("sqlite://", creator=lambda: _sqlite(file), poolclass=NullPool)
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    if password := os.environ.get(PASSWORD):
        url = url.set(password=password)
    wait = {"connect_timeout": CONNECT_S} if url.get_backend_name() == "postgresql" else {}
    try:
        return create_engine(url, poolclass=NullPool, connect_args=wait)
    except NoSuchModuleError:
        raise DataError(
            f"{url.drivername} is no kind of database that is known here.",
            fix="write sqlite:///FILE.db or postgresql://USER@HOST/NAME",
        ) from None


def _sqlite(file: Path) -> sqlite3.Connection:
    raw = sqlite3.connect(f"file:{quote(str(file.resolve()))}?mode=rw", uri=True)
    raw.execute("PRAGMA query_only=ON")
    return raw


def _quoted(connection: Connection, table: str) -> str:
    from sqlalchemy import inspect

    quoted = connection.dialect.identifier_preparer.quote_identifier
    schema, _, name = table.rpartition(".")
    if schema and table not in inspect(connection).get_table_names():
        return f"{quoted(schema)}.{quoted(name)}"
    return quoted(table)


def _only_select(query: str) -> str:
    """The query without a last semicolon; DataError where it is not one SELECT.

    The connection cannot write either; this says it in a sentence before anything is asked.
    """
    import sqlglot
    import sqlglot.expressions as exp
    from sqlglot.errors import SqlglotError

    fix = "write one SELECT; what prepares it belongs into a view of the database"
    writing = (exp.Insert, exp.Update, exp.Delete, exp.Merge)
    bare = re.sub(r"\s*;\s*$", "", query.strip())
    try:
        found = [one for one in sqlglot.parse(bare) if one is not None]
        good = len(found) == 1 and isinstance(found[0], exp.Query) and not found[0].find(*writing)
    except SqlglotError:
        # a dialect of its own: the words must do
        good = bool(re.match(r"(select|with)\b", bare, re.IGNORECASE)) and ";" not in bare
    if not good:
        raise DataError("The query is not one SELECT.", fix=fix)
    return bare


def _sentence(url: URL, error: Exception) -> DataError:
    """What a database answered, as a sentence; passwords never stand in it."""
    shown = url.render_as_string(hide_password=True)
    reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    lower = reason.lower()
    if re.search(r"password|role .* does not exist|permission denied|access denied|pg_hba", lower):
        return DataError(
            f"The database {shown} refuses this user: {reason}.",
            fix=f"check the user in the URL, and the password in ~/.pgpass or {PASSWORD}",
        )
    if re.search(r"database .* does not exist", lower):
        return DataError(f"There is no such database: {reason}.", fix="correct the URL's last part")
    if re.search(r"read-only|readonly", lower):
        return DataError(f"The query would write: {reason}.", fix="write one SELECT")
    if "not a database" in lower or "malformed" in lower:
        return DataError(f"{shown} is no SQLite database, or is damaged: {reason}.")
    if re.search(r"connect|timeout|resolve|translate host|closed|terminat|locked", lower):
        return DataError(
            f"The database {shown} cannot be reached: {reason}.",
            fix="start it, or check host and port, then run this again",
        )
    return DataError(f"The database {shown} answers: {reason}.", fix="correct the query or table")
