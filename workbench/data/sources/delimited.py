"""CSV: every field as the text that it is, an empty one missing; malformed lines found."""

from __future__ import annotations

import contextlib
import csv
import itertools
from collections.abc import Generator
from pathlib import Path
from typing import Any

from workbench.core.errors import DataError
from workbench.core.files import digest_values
from workbench.data.sources import sql
from workbench.data.sources.content import is_gzip
from workbench.data.sources.dialect import Row, rows_of
from workbench.data.sources.encodings import open_text, text_pieces
from workbench.data.sources.names import clean_names
from workbench.data.sources.recipe import Notes, Recipe

MAX_LINE_BYTES = 2_000_000
"""DuckDB's longest line."""
_SKIP = "correct that line, or leave malformed lines out with `--bad-lines skip`"


def read_csv(recipe: Recipe, path: Path, scratch: Path, out: Path, con: Any, notes: Notes) -> None:
    """Write the rows of a CSV file to the Parquet file `out`, all columns as text.

    Raises DataError with the number of the first malformed line, unless the recipe skips them.
    """
    import duckdb

    columns = header_of(recipe, path, notes)
    plain = recipe.encoding == "utf-8" and not is_gzip(path) and not recipe.skip_lines
    ready = path if plain else _prepared(recipe, path, scratch, newline="")
    try:
        try:
            _copy(recipe, ready, columns, scratch, out, con, notes)
        except duckdb.InvalidInputException as error:
            if "invalid state" not in str(error):
                raise
            # line ends of two kinds: DuckDB reads only one in a file
            ready = _prepared(recipe, path, scratch, newline=None)
            _copy(recipe, ready, columns, scratch, out, con, notes)
    except duckdb.Error as error:
        raise _explained(recipe, path, len(columns), error) from None
    finally:
        if ready != path:
            ready.unlink()


def header_of(recipe: Recipe, path: Path, notes: Notes) -> tuple[str, ...]:
    """Names of the columns; DataError where there is nothing below the header."""
    try:
        with contextlib.closing(_rows(recipe, path)) as rows:
            top = list(itertools.islice(rows, 2))
    except csv.Error:
        raise _unclosed(recipe, path) from None
    if not top:
        raise DataError(f"{path.name} holds no rows.", fix="export it again")
    if recipe.header and len(top) < 2:
        raise DataError(
            f"{path.name} holds only one line, its header, and no rows.", fix="export it again"
        )
    fields = top[0].fields
    if not recipe.header:
        return clean_names([""] * len(fields), Notes())  # that columns are numbered is said
    return clean_names(fields, notes)


def _copy(
    recipe: Recipe,
    ready: Path,
    columns: tuple[str, ...],
    scratch: Path,
    out: Path,
    con: Any,
    notes: Notes,
) -> None:
    kinds = ", ".join(f"'c{number}': 'VARCHAR'" for number in range(len(columns)))
    options = (
        f"auto_detect=false, strict_mode=true, columns={{{kinds}}}, header={recipe.header}, "
        f"delim={sql.text(recipe.delimiter)}, quote={sql.text(recipe.quote)}, "
        f"escape={sql.text(recipe.quote)}, compression='none', hive_partitioning=false"
    )
    rejects = f"rejects_{digest_values(str(out))[:12]}"
    if recipe.bad_lines == "skip":
        options += f", store_rejects=true, rejects_table='{rejects}', rejects_scan='{rejects}_scan'"
    with sql.linked(ready, scratch) as link:
        select = f"SELECT * FROM read_csv({sql.text(link)}, {options}) t({sql.names(columns)})"
        sql.to_parquet(con, select, len(columns), out)
    if recipe.bad_lines == "skip":
        _tell_skipped(con, rejects, out, notes)


def _tell_skipped(con: Any, rejects: str, out: Path, notes: Notes) -> None:
    count, kept = con.execute(
        f"SELECT (SELECT count(DISTINCT (file_id, line)) FROM {rejects}), "
        f"(SELECT count(*) FROM read_parquet({sql.text(out)}))"
    ).fetchone()
    con.execute(f"DROP TABLE {rejects}; DROP TABLE {rejects}_scan")
    if count > kept:
        raise DataError(
            f"{count:,} lines are malformed and only {kept:,} are not: it is read in a wrong way.",
            fix="give `--delimiter`, or look at the first lines of the file",
        )
    if count:
        notes.say(f"{count:,} malformed {'line was' if count == 1 else 'lines were'} left out.")


def _prepared(recipe: Recipe, path: Path, scratch: Path, newline: str | None) -> Path:
    """Write the text in UTF-8, unpacked and without the lines before the table; its path.

    newline: "" keeps line ends, None makes all of them the same.
    """
    ready = scratch / f"prepared-{digest_values(str(path), newline)[:12]}.csv"
    with (
        open_text(path, recipe.encoding, newline) as source,
        ready.open("w", encoding="utf-8", newline="") as target,
    ):
        for _ in range(recipe.skip_lines):
            source.readline()
        for piece in text_pieces(path, source, f"Prepare {path.name}"):
            target.write(piece)
    return ready


def _rows(recipe: Recipe, path: Path) -> Generator[Row, None, None]:
    """Rows with their line numbers in the file, read by Python: slow, for the first and the bad."""
    with open_text(path, recipe.encoding) as file:
        skipped = recipe.skip_lines
        for _ in range(skipped):
            file.readline()
        strict = recipe.bad_lines == "stop"
        for row in rows_of(file, recipe.delimiter, recipe.quote, strict=strict):
            yield Row(row.fields, row.begins + skipped, row.ends + skipped)


def _explained(recipe: Recipe, path: Path, width: int, error: Exception) -> DataError:
    """Find the malformed line again, by its number in the file, which DuckDB does not count."""
    try:
        for row in _rows(recipe, path):
            if len(row.fields) != width:
                return DataError(
                    f"Line {row.begins} of {path.name} has {_fields(len(row.fields))} where "
                    f"{width:,} are expected.",
                    fix=_SKIP,
                )
            if sum(len(field.encode()) for field in row.fields) > MAX_LINE_BYTES:
                return DataError(
                    f"Line {row.begins} of {path.name} is longer than {MAX_LINE_BYTES:,} bytes.",
                    fix="keep such texts in files of their own, and their names in the table",
                )
    except csv.Error:
        return _unclosed(recipe, path)
    first = str(error).splitlines()[0]
    return DataError(f"{path.name} cannot be read as CSV: {first}", fix=_SKIP)


def _unclosed(recipe: Recipe, path: Path) -> DataError:
    """The sentence for quotes that do not match, after the last line that is good."""
    last = recipe.skip_lines
    with contextlib.suppress(csv.Error):
        for row in _rows(recipe, path):
            last = row.ends
    return DataError(
        f"A quote ({recipe.quote}) that is opened in or after line {last + 1} of {path.name} "
        "is not closed, or text follows where it is closed.",
        fix=f"correct the quotes (a quote in a text is written {recipe.quote * 2})",
    )


def _fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count:,} fields"
