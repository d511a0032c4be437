"""The first step of a pipeline: a table, looked at, becomes a notebook and its settings."""

from __future__ import annotations

import contextlib
import datetime as dt
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core.check import check_notebook
from workbench.core.errors import DataError, ParamsError, PipelineError
from workbench.core.files import write_text
from workbench.core.params import Split, check_name, read_params
from workbench.core.paramsfile import add_pipeline
from workbench.core.paths import Paths
from workbench.data.engine import connected
from workbench.data.examples import SIDES, Spec
from workbench.data.kinds import typed
from workbench.data.look.beliefs import Look
from workbench.data.look.looking import MAX_FEATURES
from workbench.data.sources import with_row_key
from workbench.data.sources.reading import read
from workbench.data.sources.recipe import Notes, Recipe, written
from workbench.data.sources.recognition import recognise
from workbench.data.sources.sql import roomy
from workbench.data.splits import SIDE, assign
from workbench.notebook.template import render, row_group, row_key

if TYPE_CHECKING:
    import ibis

FEW_ROWS = 500
"""Of a class. Below, chance alone could leave a side of the split without it, or with too few."""

_ANSWER = "the answer, as text"

VALID, TEST = 0.15, 0.2


@dataclass(frozen=True)
class Source:
    """A person's table, open. notes: what recognising it guessed, changed or left out."""

    recipe: Recipe
    table: ibis.Table
    notes: tuple[str, ...]


@contextlib.contextmanager
def opened(paths: Paths, where: str, **how: Any) -> Iterator[Source]:
    """Recognise and open the table at `where` (a path or a database URL).

    how: as `recognise` takes it (table, query, encoding, delimiter, bad_lines). DataError says
    in a sentence what cannot be read.
    """
    notes = Notes()
    recipe = recognise(where, root=paths.root, notes=notes, **how)
    engine = read_params(paths.params).engine
    paths.scratch.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=paths.scratch) as scratch,
        connected(Path(scratch), engine),
        roomy(),
    ):
        table = read(recipe, root=paths.root, scratch=Path(scratch), notes=notes)
        yield Source(recipe, table, tuple(notes.sentences))


def check_free(paths: Paths, name: str) -> None:
    """Raise PipelineError or ParamsError when a pipeline cannot have this name."""
    check_name(name)
    if paths.notebook(name).exists():
        raise PipelineError(
            f"pipelines/{name}.py exists already.",
            kept="that notebook, as it is",
            fix="choose another name, or delete the notebook and its block in params.yaml",
        )
    if name in read_params(paths.params).pipelines:
        raise ParamsError(
            f"params.yaml already has a pipeline '{name}'.", fix="choose another name"
        )
    if paths.release_log(name).exists():
        raise PipelineError(
            f"releases/{name}.jsonl is the log of an earlier pipeline '{name}': a new one would be "
            "judged against its champion.",
            fix="choose another name, or move that file aside",
        )


def check_features(look: Look) -> None:
    """Raise DataError when there is nothing to learn from, or more than can be exported."""
    count = len(look.features)
    if not count:
        raise DataError(
            f"There is no column from which '{look.target}' could be learnt.",
            fix="see why each was left out, and use one after all by the correction `keep COLUMN`",
        )
    if count > MAX_FEATURES:
        raise DataError(
            f"The model would see {count:,} columns, and at most {MAX_FEATURES} can be served.",
            fix="choose by the correction `only COLUMN ...` or `drop gene_*`, "
            "or turn groups of columns into rows",
        )


def begin(paths: Paths, name: str, source: Source, look: Look, *, licence: str) -> Path:
    """Write pipelines/<name>.py and its block of params.yaml, both or neither; the notebook."""
    check_free(paths, name)
    check_features(look)
    notebook = paths.notebook(name)
    write_text(notebook, render(name, look))
    try:
        broken = check_notebook(notebook)
        if broken:
            raise PipelineError(f"The notebook would be broken: {broken[0]}", fix="report this")
        add_pipeline(paths.params, name, block(source, look, licence=licence))
    except BaseException:
        notebook.unlink()
        raise
    return notebook


def block(source: Source, look: Look, *, licence: str) -> dict[str, Any]:
    """The settings of a pipeline that begins with this table."""
    from workbench.training.effort import effort

    split = _split(source.table, look)
    learnt = round(look.rows_learnt * (1 - split["valid_fraction"] - split["test_fraction"]))
    test_rows = max(1, round(look.rows_learnt * split["test_fraction"]))
    return {
        "collect": {
            "as_of": dt.date.today().isoformat(),
            "licence": licence,
            "source": written(source.recipe),
        },
        "split": split,
        "train": effort(learnt),
        # Each resample costs time and memory by the row; many rows need few.
        "evaluate": {"bootstrap": max(30, min(300, 6_000_000 // test_rows)), "seed": 1},
        "serve": {"gates": {"worse_by": 0.01}},
    }


def _split(table: ibis.Table, look: Look) -> dict[str, Any]:
    """By time where the rows have one; else by what must not be torn apart; else by key."""
    small = look.rows_learnt < 200
    parts = {
        "by": "time" if look.time else "group" if row_group(look) else "hash",
        "valid_fraction": 0.2 if small else VALID,
        "test_fraction": 0.3 if small else TEST,
    }
    rare = tuple(one.value for one in look.classes if one.rows < FEW_ROWS)
    groups = next((b.distinct for b in look.columns if b.name == look.group), FEW_ROWS)
    few = bool(rare) or min(look.rows_learnt, groups) < FEW_ROWS
    if parts["by"] == "time" or not few:
        return parts
    return parts | {"salt": _salt(table, look, parts, rare)}


def _salt(table: ibis.Table, look: Look, parts: dict[str, Any], rare: tuple[str, ...]) -> str:
    """The first salt by which each side gets every class; the fairest of a hundred otherwise.

    rare: classes with few rows, of which chance may leave a side none; then nothing could be
    learnt or judged. Of a regression each side needs rows at all.
    """
    import ibis

    key, group = row_key(look), row_group(look)
    spec = Spec(key=key, roles={}, group=group, targets=(look.target,))
    answer = typed(table[look.target], look.target_kind).cast("string")
    keyed = with_row_key(table).mutate(**{_ANSWER: answer})
    answers: Any = rare  # Ibis takes plain texts, and says only its own
    wanted = keyed[_ANSWER].isin(answers) if rare else keyed[_ANSWER].notnull()
    named = {name: keyed[name] for name in (*key, *filter(None, (group,)))}
    rows = keyed.filter(wanted).select(
        **named, **{_ANSWER: keyed[_ANSWER] if rare else ibis.null()}
    )
    rows = ibis.memtable(rows.to_pyarrow())
    best, found = "", -1
    for number in range(100):
        salt = str(number) if number else ""
        sided, _ = assign(rows, spec, Split(salt=salt, **parts))
        seen = sided.select(SIDE, _ANSWER).distinct().to_pyarrow().num_rows
        if seen > found:
            best, found = salt, seen
        if seen == len(SIDES) * max(len(rare), 1):
            break
    return best
