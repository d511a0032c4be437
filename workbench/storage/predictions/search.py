"""The predictions that a person looks for, newest first: DuckDB over columns, lines included."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from workbench.core.paths import Paths
from workbench.storage.predictions.passport import Passport, date_of
from workbench.storage.predictions.places import LAST_DAY, Partition, partitions, segments
from workbench.storage.predictions.table import passports_of, schema, table_of

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_CONDITIONS = {
    "since": "id >= $since",
    "until": "id < $until",
    "alias": "alias = $alias",
    "release": "release = $release",
    "caller": "caller = $caller",
    "rehearsal": "rehearsal = $rehearsal",
    "warned": "(len(warnings) > 0) = $warned",
    "slower": "latency_ms > $slower",
    "text": "contains(lower(inputs || ' ' || outputs), lower($text))",
}


def search(
    paths: Paths,
    pipeline: str,
    since_s: float = 0.0,
    until_s: float = math.inf,
    *,
    alias: str | None = None,
    release: int | None = None,
    caller: str | None = None,
    rehearsal: bool | None = None,
    warned: bool | None = None,
    slower_than_ms: float | None = None,
    text: str | None = None,
    limit: int = 100,
) -> list[Passport]:
    """Return the newest passports of `pipeline` that meet all conditions, newest first.

    since_s <= time_s < until_s. warned: with warnings, or without. text: stands somewhere in inputs
    or outputs, in whatever case. Days are read from the newest back, until `limit` are found.
    """
    given = {
        "since": _id_at(since_s) if since_s > 0 else None,
        "until": _id_at(until_s) if until_s < math.inf else None,
        "alias": alias,
        "release": release,
        "caller": caller,
        "rehearsal": rehearsal,
        "warned": warned,
        "slower": slower_than_ms,
        "text": msgspec.json.encode(text)[1:-1].decode() if text else None,
    }
    values = {name: value for name, value in given.items() if value is not None}
    last = date_of(until_s) if until_s < math.inf else LAST_DAY
    found: list[Passport] = []
    with _connection() as connection:
        for partition in reversed(partitions(paths.predictions, pipeline, date_of(since_s), last)):
            if len(found) >= limit:
                break
            table = _of_day(connection, partition, values, limit - len(found))
            found += passports_of(table)
    return found


def _of_day(
    connection: duckdb.DuckDBPyConnection, partition: Partition, values: dict[str, Any], limit: int
) -> pa.Table:
    """The newest rows of one partition that meet the conditions."""
    names = ", ".join(schema().names)
    lines, files = _sources(partition)
    rows = f"select {names} from hot"
    if files:
        rows += f" union all select {names} from read_parquet($files, hive_partitioning = false)"
        values = values | {"files": files}
    conditions = " and ".join(sql for name, sql in _CONDITIONS.items() if name in values)
    connection.register("hot", table_of(lines))
    query = f"select * from ({rows}) where {conditions or 'true'} order by id desc limit $limit"
    return connection.sql(query, params=values | {"limit": limit}).to_arrow_table()


def _sources(partition: Partition) -> tuple[list[bytes], list[str]]:
    """Lines of hot segments, and the files of closed ones."""
    lines: list[bytes] = []
    files: list[str] = []
    for segment in segments(partition):
        if not segment.is_closed:
            try:
                lines += segment.hot.read_bytes().split(b"\n")
                continue
            except FileNotFoundError:  # closed since, or its days are over
                pass
        if segment.is_closed:
            files.append(str(segment.parquet))
    return lines, files


def _connection() -> duckdb.DuckDBPyConnection:
    """A database in memory that asks no network and leaves no files."""
    import duckdb

    return duckdb.connect(
        config={
            "threads": 2,
            "memory_limit": "1GB",
            "temp_directory": "",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )


def _id_at(time_s: float) -> str:
    """The lowest id of a moment."""
    return f"{math.ceil(time_s * 1000):012x}"
