"""JSON: an object a line, or an array of objects; what is nested stays JSON text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec

from workbench.core.errors import DataError
from workbench.data.sources import sql
from workbench.data.sources.content import head_of, is_gzip
from workbench.data.sources.encodings import UTF8_MARK, open_text, text_pieces
from workbench.data.sources.names import clean_names
from workbench.data.sources.recipe import Notes, Recipe

_SKIP = "correct that line, or leave malformed lines out with `--bad-lines skip`"
_OPTIONS = (
    # every object is looked at; what is nested deeper stays JSON; keys never become a map; and
    # as nothing is written in these formats, a date stays the text that it is in JSON
    "sample_size=-1, records='true', maximum_depth=2, map_inference_threshold=-1, "
    "field_appearance_threshold=0, dateformat='@%Y@%m@%d', timestampformat='@%Y@%m@%d@%H', "
    "compression='uncompressed', hive_partitioning=false"
)
_AS_IS = ("VARCHAR", "BOOLEAN", "BIGINT", "DOUBLE")


def read_json(recipe: Recipe, path: Path, scratch: Path, out: Path, con: Any, notes: Notes) -> None:
    """Write the objects of a file to the Parquet file `out`: a column for each key that is there.

    Raises DataError with the number of the first line that is not one whole object.
    """
    import duckdb

    array = is_array(path)
    skip = recipe.bad_lines == "skip" and not array
    marked = head_of(path, 3) == UTF8_MARK  # which DuckDB's JSON does not skip
    plain = recipe.encoding == "utf-8" and not (marked or skip or is_gzip(path))
    ready = path if plain else scratch / "prepared.jsonl"
    try:
        if skip:
            _keep_whole(recipe, path, ready, notes)
        elif not plain:
            _prepare(recipe, path, ready)
        form = "array" if array else "newline_delimited"
        with sql.linked(ready, scratch) as link:
            _copy(f"read_json({sql.text(link)}, format='{form}', {_OPTIONS})", out, con, notes)
    except duckdb.Error as error:
        raise _explained(recipe, path, array, error) from None
    finally:
        if ready != path:
            ready.unlink(missing_ok=True)


def is_array(path: Path) -> bool:
    """Whether the file is one array, rather than an object a line."""
    return head_of(path, 4096).removeprefix(UTF8_MARK).lstrip(b" \r\n\t\0\xff\xfe")[:1] == b"["


def _copy(source: str, out: Path, con: Any, notes: Notes) -> None:
    with sql.roomy():
        found = con.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    keys = [str(row[0]) for row in found]
    kinds = [str(row[1]) for row in found]
    names = clean_names(_as_written(keys), notes)
    fields = ", ".join(
        f"{_field(key, kind)} AS {sql.name(new)}"
        for key, kind, new in zip(keys, kinds, names, strict=True)
    )
    sql.to_parquet(con, f"SELECT {fields} FROM {source}", len(names), out)


def _field(key: str, kind: str) -> str:
    """The expression that gives a key's values as DuckDB and Parquet keep them."""
    column = sql.name(key)
    if kind in _AS_IS:
        return column
    if kind == "HUGEINT":
        return f"CAST({column} AS DECIMAL(38, 0))"  # Parquet has no larger integer
    if kind == "JSON":
        return f"{column} ->> '$'"  # values of several kinds: each as text
    if kind.endswith("]") or kind.startswith(("STRUCT", "MAP")):
        return f"CAST(to_json({column}) AS VARCHAR)"
    return f"CAST({column} AS VARCHAR)"


def _as_written(keys: list[str]) -> list[str]:
    """Undo DuckDB's own suffix for keys that are equal but for case, so that ours is given."""
    written = []
    for place, key in enumerate(keys):
        stem = re.sub(r"_\d+$", "", key)
        others = keys[:place]
        renamed = stem != key and stem not in keys and stem.lower() in map(str.lower, others)
        written.append(stem if renamed else key)
    return written


def _prepare(recipe: Recipe, path: Path, ready: Path) -> None:
    with (
        open_text(path, recipe.encoding) as source,
        ready.open("w", encoding="utf-8", newline="") as target,
    ):
        for piece in text_pieces(path, source, f"Prepare {path.name}"):
            target.write(piece)


def _keep_whole(recipe: Recipe, path: Path, ready: Path, notes: Notes) -> None:
    """Write only the lines that are whole objects."""
    bad = 0
    with (
        open_text(path, recipe.encoding) as source,
        ready.open("w", encoding="utf-8", newline="") as target,
    ):
        for line in source:
            if not line.strip():
                continue
            if _wrong(line):
                bad += 1
            else:
                target.write(line if line.endswith("\n") else line + "\n")
        written = target.tell()
    if not written:
        raise DataError(f"{path.name} has no line that is a whole object.", fix="export it again")
    if bad:
        notes.say(f"{bad:,} malformed {'line was' if bad == 1 else 'lines were'} left out.")


def _wrong(line: str) -> str:
    """What is wrong with a line; empty where it is one whole object."""
    try:
        found = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return "is not whole JSON"
    if not isinstance(found, dict):
        return "is not an object with keys"
    pairs = json.loads(line, object_pairs_hook=list)
    keys = [key for key, _ in pairs]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    return f"has the key {twice!r} twice" if twice is not None else ""


def _explained(recipe: Recipe, path: Path, array: bool, error: Exception) -> DataError:
    """Find the malformed line again, by its number in the file."""
    if array:
        place = re.search(r"record/value (\d+)", str(error))
        where = f"object {place[1]} of {path.name} is not whole" if place else str(error)
        return DataError(
            f"The array in {path.name} cannot be read: {where.splitlines()[0].rstrip('.')}.",
            fix="export it again; an array of objects is read, or one object a line",
        )
    with open_text(path, recipe.encoding) as file:
        for number, line in enumerate(file, start=1):
            if line.strip() and (wrong := _wrong(line)):
                if number == 1 and line.strip() == "{":
                    return DataError(
                        f"{path.name} is one JSON object over several lines, not a table.",
                        fix="write one object a line (JSON lines), or an array of objects",
                    )
                return DataError(f"Line {number} of {path.name} {wrong}.", fix=_SKIP)
    return DataError(f"{path.name} cannot be read as JSON lines: {str(error).splitlines()[0]}")
