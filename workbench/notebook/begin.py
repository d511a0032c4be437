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
from workbench.core.errors import PipelineError
from workbench.core.files import write_text
from workbench.core.params import Split, check_name, read_params
from workbench.core.paramsfile import add_pipeline
from workbench.core.paths import Paths
from workbench.data.engine import connected
from workbench.data.examples import SIDES, Spec
from workbench.data.look.beliefs import Look
from workbench.data.sources import COPY, ROW, with_row_key
from workbench.data.sources.reading import read
from workbench.data.sources.recipe import Notes, Recipe, written
from workbench.data.sources.recognition import recognise
from workbench.data.splits import SIDE, assign
from workbench.notebook.template import render

if TYPE_CHECKING:
    import ibis

FEW_ROWS = 5_000
"""Below, chance alone could leave a side of the split without one of the classes."""

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


def begin(paths: Paths, name: str, source: Source, look: Look, *, licence: str) -> Path:
    """Write pipelines/<name>.py and its block of params.yaml, both or neither; the notebook."""
    check_free(paths, name)
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
        "by": "time" if look.time else "group" if look.group or not look.key else "hash",
        "valid_fraction": 0.2 if small else VALID,
        "test_fraction": 0.3 if small else TEST,
    }
    if parts["by"] == "time" or look.rows >= FEW_ROWS:
        return parts
    return parts | {"salt": _salt(table, look, parts)}


def _salt(table: ibis.Table, look: Look, parts: dict[str, Any]) -> str:
    """The first salt by which each side gets every class; the fairest of a hundred otherwise.

    With few rows a side may get none of a rare class, and nothing could be learnt or judged.
    """
    key = look.key or (ROW, COPY)
    group = look.group or (None if look.key else ROW)
    spec = Spec(key=key, roles={}, group=group, targets=(look.target,))
    keyed = with_row_key(table)
    named: list[str] = list(dict.fromkeys((*key, *filter(None, (group,)), look.target)))
    rows = keyed.filter(keyed[look.target].notnull()).select(named)
    rows = table.get_backend().create_table("salted", rows, overwrite=True)
    best, found = "", -1
    for number in range(100):
        salt = str(number) if number else ""
        sided, _ = assign(rows, spec, Split(salt=salt, **parts))
        counts = sided.group_by(SIDE, look.target).agg(rows=sided.count()).execute()
        counts = counts[counts[look.target].astype(str).isin([c.value for c in look.classes])]
        wanted = len(SIDES) * (1 if look.task == "regression" else len(look.classes))
        seen = counts[SIDE].nunique() if look.task == "regression" else len(counts)
        if seen > found:
            best, found = salt, seen
        if seen >= wanted:
            break
    return best
