"""`workbench refresh`: new data as a visible change of params.yaml, compared with the old."""

from __future__ import annotations

import ast
import contextlib
import datetime as dt
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.core.errors import DataError, StateError
from workbench.core.files import read_json, write_json, write_text
from workbench.core.params import Block, engine_of, read_params
from workbench.core.paramsfile import set_values
from workbench.core.paths import Paths
from workbench.data.compare import TableChange, compare
from workbench.data.examples import read_spec
from workbench.data.sources import ROW
from workbench.stages.repro import Say, repro

_SPELT = ("encoding", "delimiter", "table", "query", "bad_lines")


@dataclass(frozen=True)
class Refreshed:
    """What changed. tables: old against new, empty where there was nothing before.

    borders: the moments that now divide the sides, pinned so that no row changes side. left: those
    that are given up, where the next run divides by time anew. lost: columns that are gone and that
    the notebook names. is_redrawn: rows are known by their whole content, and it changed with the
    columns, so sides are drawn anew.
    """

    pipeline: str
    before: dt.date
    as_of: dt.date
    tables: tuple[TableChange, ...]
    borders: tuple[str, str] | None = None
    is_same: bool = False
    lost: tuple[str, ...] = ()
    is_redrawn: bool = False
    left: tuple[str, str] | None = None


def refresh(
    paths: Paths,
    pipeline: str,
    *,
    as_of: dt.date,
    data: str = "",
    move_borders: bool = False,
    say: Say,
) -> Refreshed:
    """Collect what the source holds now, under a new `as_of`; everything as before if it fails.

    data: where the source is now, if it moved. move_borders: let a split by time begin anew by
    its fractions; else its borders are pinned where they are, and later rows are test.
    """
    block = read_params(paths.params).block(pipeline)
    values = {"collect.as_of": as_of.isoformat()} | _source(paths, block, data)
    borders, left = _borders(paths, pipeline, block), None
    if move_borders:
        values |= {"split.valid_from": None, "split.test_from": None}
        borders, left = None, borders
    elif borders and not block.split.valid_from:
        values |= {"split.valid_from": borders[0], "split.test_from": borders[1]}
    before = block.collect.as_of
    is_file = "source" in (block.collect.__pydantic_extra__ or {})
    same = "collect.source" not in values if is_file else as_of == before
    if same and not move_borders:
        return Refreshed(pipeline, before, before, (), is_same=True)
    text = paths.params.read_text(encoding="utf-8")
    with _old(paths, pipeline) as old:
        try:
            set_values(paths.params, pipeline, values)
            code = repro(
                paths,
                [pipeline],
                cold=False,
                release=False,
                keep_going=False,
                say=say,
                until="collect",
            )
            if code:
                raise StateError(
                    f"The new data of '{pipeline}' could not be collected.",
                    kept="params.yaml and the data as they were",
                    fix="see the message above",
                )
        except BaseException:
            write_text(paths.params, text)
            raise
        tables = _compared(paths, pipeline, old)
    lost = tuple(c for t in tables for c in t.columns_gone if c in _named(paths, pipeline))
    changed = any(t.columns_new or t.columns_gone for t in tables)
    redrawn = changed and not (borders or left) and _by_content(paths, pipeline)
    found = Refreshed(
        pipeline, before, as_of, tables, borders, lost=lost, is_redrawn=redrawn, left=left
    )
    write_json(paths.quality(pipeline).with_name("refresh.json"), found)
    return found


def _source(paths: Paths, block: Block, data: str) -> dict[str, Any]:
    """The source's new pin, if it holds something else or stands elsewhere now."""
    given = (block.collect.__pydantic_extra__ or {}).get("source")
    if not isinstance(given, Mapping):
        return {}
    from workbench.data.sources.recipe import recipe_of, written
    from workbench.data.sources.recognition import recognise

    recipe = recipe_of(given)
    how = {name: getattr(recipe, name) for name in _SPELT if name in given}
    if recipe.format == "database":
        how.pop("encoding", None)
    try:
        now = recognise(data or recipe.source, root=paths.root, **how)
    except DataError as error:
        raise DataError(error.problem, kept="what was collected before", fix=error.fix) from None
    return {} if now == recipe else {"collect.source": written(now)}


def _borders(paths: Paths, pipeline: str, block: Block) -> tuple[str, str] | None:
    """Where valid and test begin today, as moments in UTC; None without a split by time."""
    report = paths.report("split", pipeline)
    if block.split.by != "time" or not report.is_file():
        return None
    decided = read_json(report)["decided"]
    seconds = (decided["valid_from_s"], decided["test_from_s"])
    first, second = (dt.datetime.fromtimestamp(s, dt.UTC).replace(tzinfo=None) for s in seconds)
    return first.isoformat(), second.isoformat()


def _named(paths: Paths, pipeline: str) -> set[str]:
    """Texts that stand in the notebook's code, names of columns among them."""
    tree = ast.parse(paths.notebook(pipeline).read_text(encoding="utf-8"))
    return {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and type(n.value) is str}


def _by_content(paths: Paths, pipeline: str) -> bool:
    """Whether a row's side follows from a hash of its content."""
    folder = paths.stage("split", pipeline)
    if not (folder / "examples.json").is_file():
        return False
    spec = read_spec(folder)
    return ROW in (*spec.key, spec.group)


@contextlib.contextmanager
def _old(paths: Paths, pipeline: str) -> Iterator[Path]:
    """A folder with what was collected before, while other data takes its place; back on failure.

    DVC removes the outputs of a stage before it runs it.
    """
    paths.scratch.mkdir(parents=True, exist_ok=True)
    folder, report = paths.stage("collect", pipeline), paths.report("collect", pipeline)
    with tempfile.TemporaryDirectory(dir=paths.scratch) as aside:
        kept, kept_report = Path(aside) / "collect", Path(aside) / report.name
        if folder.is_dir():
            shutil.copytree(folder, kept, copy_function=_linked)
        if report.is_file():
            _linked(report, kept_report)
        try:
            yield kept
        except BaseException:
            for before, place in ((kept, folder), (kept_report, report)):
                if before.exists() and not place.exists():
                    shutil.move(before, place)
            raise


def _linked(file: str | Path, to: str | Path) -> None:
    """A second name for a file; a copy on another file system."""
    try:
        os.link(Path(file).resolve(), to)
    except OSError:
        shutil.copyfile(file, to)


def _compared(paths: Paths, pipeline: str, old: Path) -> tuple[TableChange, ...]:
    from workbench.data.engine import connected

    now = {file.stem: file for file in paths.stage("collect", pipeline).glob("*.parquet")}
    with connected(paths.scratch, engine_of(paths.params)) as backend:
        return compare({file.stem: file for file in old.glob("*.parquet")}, now, backend)
