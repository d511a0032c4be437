"""What a person's file or table is, found by looking into it."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from workbench.core.errors import DataError
from workbench.core.params import Engine
from workbench.data.sources import database
from workbench.data.sources.content import digest, head_of, survey
from workbench.data.sources.dialect import find_dialect
from workbench.data.sources.encodings import find_encoding, open_text
from workbench.data.sources.magic import kind_of
from workbench.data.sources.places import find_file, written
from workbench.data.sources.recipe import BadLines, Notes, Recipe

SAMPLE_LETTERS = 1 << 20
_SIGNS = {"tab": "\t", "\\t": "\t", "space": " ", "comma": ",", "semicolon": ";", "pipe": "|"}


def recognise(
    where: str,
    *,
    root: Path,
    table: str = "",
    query: str = "",
    encoding: str = "",
    delimiter: str = "",
    bad_lines: BadLines = "stop",
    notes: Notes | None = None,
) -> Recipe:
    """Look into a source and return how it is read; what was guessed is added to `notes`.

    where: a path, or an SQLAlchemy URL, for which `table` or `query` say what is read of it. A
    file is known by its bytes and not by its name. encoding, delimiter: found when not given.
    Raises DataError for what cannot be read as a table.
    """
    notes = notes if notes is not None else Notes()
    if bad_lines not in ("stop", "skip"):
        raise DataError(f"--bad-lines cannot be '{bad_lines}'.", fix="say stop or skip")
    if database.is_url(where):
        return _database(where, root, table, query, bad_lines)
    if table or query:
        raise DataError(f"{where} is a file: it has no table or query.", fix="give a database URL")
    path = find_file(where, root)
    kind = kind_of(path, head_of(path, 1 << 16))
    source = written(path, root)
    if kind == "parquet":
        return Recipe(source, "parquet", digest(path), bad_lines=bad_lines)
    seen = survey(path)
    found = find_encoding(path, seen, encoding, notes)
    with open_text(path, found) as file:
        kind = kind_of(path, file.read(1 << 14).encode())  # UTF-16 hid it
    recipe = Recipe(source, "csv", seen.sha256, encoding=found, bad_lines=bad_lines)
    if kind == "json":
        return replace(recipe, format="jsonl")
    return _dialect(recipe, path, delimiter, notes)


def _dialect(recipe: Recipe, path: Path, delimiter: str, notes: Notes) -> Recipe:
    sign = _SIGNS.get(delimiter, delimiter)
    if len(sign) > 1:
        raise DataError(
            f"The delimiter '{delimiter}' is not one character.", fix="give one, or tab"
        )
    with open_text(path, recipe.encoding) as file:
        text = file.read(SAMPLE_LETTERS)
        whole = not file.read(1)
    if not text.strip():
        raise DataError(f"{path.name} holds nothing but blanks.", fix="export it again")
    if sign and sign not in text:
        raise DataError(
            f"{path.name} holds no '{delimiter}' that would part its columns.",
            fix="leave `--delimiter` out: it is looked for",
        )
    found = find_dialect(text, whole, sign)
    if found.skip_lines:
        notes.say(f"The table begins in line {found.skip_lines + 1}; what is above is left out.")
    if not found.header:
        notes.say("The first line looks like data, not names: columns are numbered.")
    return replace(
        recipe,
        delimiter=found.delimiter,
        quote=found.quote,
        header=found.header,
        skip_lines=found.skip_lines,
    )


def _database(where: str, root: Path, table: str, query: str, bad_lines: BadLines) -> Recipe:
    from workbench.core.paths import Paths
    from workbench.data.engine import connected
    from workbench.data.sources.rows import read_database

    source = database.settle(where, root)
    if not query:
        with database.reading(source, root) as connection:
            table = database.the_table(connection, table)
    recipe = Recipe(source, "database", "", table=table, query=query, bad_lines=bad_lines)
    scratch = Paths(root, root).scratch
    scratch.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=scratch) as folder,
        connected(Path(folder), Engine()) as backend,
    ):
        out = Path(folder) / "rows.parquet"
        sha256 = read_database(recipe, root, Path(folder), out, backend.con, Notes())
    return replace(recipe, sha256=sha256)
