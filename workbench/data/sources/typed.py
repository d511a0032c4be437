"""Rows of a database as Arrow: kinds found from the values, since SQLite promises none."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_WIDER = {
    frozenset(("BIGINT", "DOUBLE")): "DOUBLE",
    frozenset(("DATE", "TIMESTAMP")): "TIMESTAMP",
}


def write_batches(batches: Iterable[Sequence[Any]], names: Sequence[str], folder: Path) -> str:
    """Write batches of rows to Parquet files in `folder`; the SQL that selects all of them.

    A column whose values change their kind from one batch to another gets the wider kind, or
    text. names: unique ones.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer: Any = None
    parts: list[tuple[Path, pa.Schema]] = []
    try:
        for rows in batches:
            columns = [to_arrow(values) for values in zip(*rows, strict=True)]
            if parts:
                columns = [
                    _as_before(c, f.type) for c, f in zip(columns, parts[-1][1], strict=True)
                ]
            batch = pa.table(columns, names=list(names))
            if not parts or batch.schema != parts[-1][1]:
                if writer is not None:
                    writer.close()
                parts.append((folder / f"part-{len(parts)}.parquet", batch.schema))
                writer = pq.ParquetWriter(*parts[-1], compression="zstd")
            writer.write_table(batch)
    finally:
        if writer is not None:
            writer.close()
    return _union(parts, names)


def to_arrow(values: Sequence[Any]) -> pa.Array:
    """One column: whole numbers, decimals as floats, times in UTC; mixed or nested as text."""
    import pyarrow as pa
    import pyarrow.types as kinds

    try:
        array = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        return _texts(values)
    kind = array.type
    if kinds.is_null(kind) or kinds.is_boolean(kind) or kinds.is_string(kind):
        return array
    if kinds.is_binary(kind) or kinds.is_date32(kind) or kinds.is_time64(kind):
        return array
    if kinds.is_integer(kind):
        return array.cast(pa.int64()) if not kinds.is_uint64(kind) else _texts(values)
    if kinds.is_floating(kind) or kinds.is_decimal(kind):
        return array.cast(pa.float64())
    if kinds.is_timestamp(kind):
        return array.cast(pa.timestamp("us", "UTC" if kind.tz else None))
    return _texts(values)


def _texts(values: Sequence[Any]) -> pa.Array:
    import pyarrow as pa

    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    if isinstance(value, (bytes, memoryview)):
        return bytes(value).hex()
    return str(value)


def _as_before(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """A column in the kind of the part before, where it fits as it is."""
    import pyarrow.types as kinds

    fits = kinds.is_null(array.type) or (kinds.is_integer(array.type) and kinds.is_floating(kind))
    return array.cast(kind) if fits else array


def _union(parts: Sequence[tuple[Path, pa.Schema]], names: Sequence[str]) -> str:
    from workbench.data.sources import sql

    wide = [_wide([_kind(schema.field(n).type) for _, schema in parts]) for n in range(len(names))]
    fields = ", ".join(
        f"CAST({sql.name(name)} AS {kind}) AS {sql.name(name)}"
        for name, kind in zip(names, wide, strict=True)
    )
    return " UNION ALL ".join(
        f"SELECT {fields} FROM read_parquet({sql.text(path)}, hive_partitioning=false)"
        for path, _ in parts
    )


def _wide(found: Sequence[str]) -> str:
    kinds = {kind for kind in found if kind}
    if not kinds:
        return "VARCHAR"
    return kinds.pop() if len(kinds) == 1 else _WIDER.get(frozenset(kinds), "VARCHAR")


def _kind(kind: pa.DataType) -> str:
    """DuckDB's word for an Arrow type; empty where every value is missing."""
    import pyarrow.types as kinds

    if kinds.is_timestamp(kind):
        return "TIMESTAMPTZ" if kind.tz else "TIMESTAMP"
    words = {
        "null": "",
        "bool": "BOOLEAN",
        "int64": "BIGINT",
        "double": "DOUBLE",
        "string": "VARCHAR",
        "binary": "BLOB",
        "date32[day]": "DATE",
        "time64[us]": "TIME",
    }
    return words[str(kind)]
