"""Passports as columns: one table for Parquet, and the same one for what is still lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from workbench.core.records import VERSION
from workbench.storage.predictions.passport import Logged, Passport, time_of

if TYPE_CHECKING:
    import pyarrow as pa


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    """A passport whose values stay the JSON they are: nobody looks into them here."""

    id: str
    version: int = VERSION
    pipeline: str
    alias: str
    digest: str
    release: int
    run_id: str
    inputs: msgspec.Raw
    outputs: msgspec.Raw
    latency_ms: float
    notice: str = ""
    caller: str = "local"
    rehearsal: bool = False
    warnings: tuple[str, ...] = ()
    row_count: int = 0
    logged: Logged = "full"
    private: tuple[str, ...] = ()


def schema() -> pa.Schema:
    """The columns. inputs and outputs: JSON. time: of the answer, UTC."""
    import pyarrow as pa

    word, words = pa.dictionary(pa.int32(), pa.string()), pa.list_(pa.string())
    return pa.schema(
        [
            ("id", pa.string()),
            ("time", pa.timestamp("ms", "UTC")),
            ("pipeline", word),
            ("alias", word),
            ("release", pa.int32()),
            ("digest", word),
            ("run_id", word),
            ("latency_ms", pa.float64()),
            ("caller", word),
            ("rehearsal", pa.bool_()),
            ("warnings", words),
            ("rows", pa.int32()),
            ("inputs", pa.string()),
            ("outputs", pa.string()),
            ("logged", word),
            ("private", words),
            ("notice", word),
            ("version", pa.int32()),
        ]
    )


def table_of(lines: Iterable[bytes]) -> pa.Table:
    """Lines of the log as columns, in the order of their ids; a torn line is left out."""
    import pyarrow as pa

    found = sorted(_read(lines), key=lambda line: line.id)
    special = {
        "time": [int(line.id[:12], 16) for line in found],
        "rows": [line.row_count or _count(line.inputs) for line in found],
        "inputs": [bytes(line.inputs).decode() for line in found],
        "outputs": [bytes(line.outputs).decode() for line in found],
    }
    columns = {
        field.name: pa.array(
            special.get(field.name) or [getattr(line, field.name) for line in found], field.type
        )
        for field in (schema() if found else ())
    }
    return pa.table(columns, schema=schema()) if found else schema().empty_table()


def passports_of(table: pa.Table) -> Iterator[Passport]:
    """The rows of such a table as passports."""
    for row in table.to_pylist():
        yield _passport(row)


def _passport(row: dict[str, Any]) -> Passport:
    decode = msgspec.json.decode
    return Passport(
        id=row["id"],
        version=row["version"],
        time_s=time_of(row["id"]),
        pipeline=row["pipeline"],
        alias=row["alias"],
        digest=row["digest"],
        release=row["release"],
        run_id=row["run_id"],
        inputs=decode(row["inputs"]),
        outputs=decode(row["outputs"]),
        latency_ms=row["latency_ms"],
        notice=row["notice"],
        caller=row["caller"],
        rehearsal=row["rehearsal"],
        warnings=tuple(row["warnings"]),
        row_count=row["rows"],
        logged=row["logged"],
        private=tuple(row["private"]),
    )


def _read(lines: Iterable[bytes]) -> Iterator[_Line]:
    for line in lines:
        try:
            yield msgspec.json.decode(line, type=_Line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # torn by a crash


def _count(inputs: msgspec.Raw) -> int:
    """Rows of a line that an earlier workbench wrote: the length of any column."""
    columns = msgspec.json.decode(inputs, type=dict[str, Any])
    return next((len(values) for values in columns.values()), 0)
