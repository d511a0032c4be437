"""`workbench refresh`: new data as a visible change of params.yaml, compared with the old."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.core.errors import StateError
from workbench.core.files import read_json, write_json, write_text
from workbench.core.params import Block, engine_of, read_params
from workbench.core.paramsfile import set_values
from workbench.core.paths import Paths
from workbench.data.compare import TableChange, compare
from workbench.stages.repro import Say, repro

_SPELT = ("encoding", "delimiter", "table", "query", "bad_lines")


@dataclass(frozen=True)
class Refreshed:
    """What changed. tables: old against new, empty where there was nothing before.

    borders: the moments that now divide the sides, pinned so that no row changes side.
    """

    pipeline: str
    before: dt.date
    as_of: dt.date
    tables: tuple[TableChange, ...]
    borders: tuple[str, str] | None = None
    is_same: bool = False


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
    borders = _borders(paths, pipeline, block)
    if move_borders:
        values |= {"split.valid_from": None, "split.test_from": None}
        borders = None
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
    found = Refreshed(pipeline, before, as_of, tables, borders)
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
    now = recognise(data or recipe.source, root=paths.root, **how)
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


@contextlib.contextmanager
def _old(paths: Paths, pipeline: str) -> Iterator[dict[str, Path]]:
    """The collected tables as they are now, kept while others take their place."""
    paths.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=paths.scratch) as aside:
        kept: dict[str, Path] = {}
        for file in sorted(paths.stage("collect", pipeline).glob("*.parquet")):
            kept[file.stem] = Path(aside) / file.name
            try:
                os.link(file.resolve(), kept[file.stem])
            except OSError:  # another file system
                shutil.copyfile(file, kept[file.stem])
        yield kept


def _compared(paths: Paths, pipeline: str, old: dict[str, Path]) -> tuple[TableChange, ...]:
    from workbench.data.engine import connected

    now = {file.stem: file for file in paths.stage("collect", pipeline).glob("*.parquet")}
    with connected(paths.scratch, engine_of(paths.params)) as backend:
        return compare(old, now, backend)
