"""A person's table as a notebook sees it: looked at, corrected, written as a pipeline."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core.errors import DataError
from workbench.core.paths import Paths, find_paths
from workbench.notebook.pipeline import Pipeline, pipeline

if TYPE_CHECKING:
    from workbench.data.look.beliefs import Belief, Look
    from workbench.data.sources.recipe import Recipe

_LETTERS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "ø": "o"})
"""What takes more than leaving an accent out."""
_MOST_ROWS = 100
_FRAME = "border:1px solid rgba(128,128,128,.3);border-radius:10px;padding:14px 18px"
_CELL = "padding:4px 14px 4px 0;border-bottom:1px solid rgba(128,128,128,.18);text-align:left"
_COLOURS = {"feature": "#009E73", "target": "#D55E00", "left out": "#888888"}
_PLACE = "#2b8fd0"
"""The colour of what says which row, when and about whom: key, time, group."""


def look(data: str | Path, target: str, *corrections: str, **how: Any) -> Looked:
    """Look at a table and return what is believed of it, as a card and as data.

    data: a CSV, Parquet or JSON-lines file, or a database URL. target: the column to predict.
    corrections: a person's word where the look is wrong, such as "word zip" or "drop note". how:
    `table` or `query` of a database, `encoding`, `delimiter` and `bad_lines` of a file, as
    `workbench new` takes them. DataError says in a sentence why nothing can be learnt from it.
    """
    from workbench.data.look.looking import look as looking
    from workbench.notebook.begin import opened
    from workbench.notebook.corrections import all_corrected

    paths, said = find_paths(), all_corrected(corrections)
    with opened(paths, _where(data), **how) as source:
        found = looking(source.table, target, said)
        return Looked(paths, _where(data), how, source.recipe, found, source.notes, corrections)


def columns(data: str | Path, **how: Any) -> list[str]:
    """Return the names of a table's columns: what a target can be chosen from."""
    from workbench.notebook.begin import opened

    with opened(find_paths(), _where(data), **how) as source:
        return list(source.table.columns)


@dataclass(frozen=True)
class Looked:
    """What one look at a table found; shows itself as a card in marimo and Jupyter.

    found: the whole of it. notes: what reading the source guessed, changed or left out.
    """

    paths: Paths
    where: str
    how: Mapping[str, Any]
    recipe: Recipe
    found: Look
    notes: tuple[str, ...]
    corrections: tuple[str, ...]

    def correct(self, *corrections: str) -> Looked:
        """Look again, with more corrections; later ones win."""
        return look(self.where, self.found.target, *self.corrections, *corrections, **self.how)

    def write(self, name: str, *, licence: str = "not stated") -> Pipeline:
        """Write pipelines/<name>.py and its settings, both or neither; returns the pipeline.

        DataError when the source changed since it was looked at; PipelineError or ParamsError
        when the name is not free.
        """
        from workbench.notebook.begin import begin, opened

        with opened(self.paths, self.where, **self.how) as source:
            if source.recipe != self.recipe:
                raise DataError(
                    f"{self.recipe.shown} changed since it was looked at.",
                    kept="params.yaml and pipelines/, as they were",
                    fix="look again",
                )
            begin(self.paths, name, source, self.found, licence=licence)
        return pipeline(name)

    @property
    def proposed(self) -> str:
        """A name for its pipeline: of `Kündigungen 2026.csv` it is `kuendigungen_2026`."""
        plain = Path(self.recipe.table or self.recipe.shown).stem.lower().translate(_LETTERS)
        plain = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
        name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
        return name if re.match("[a-z]", name) else "mine"

    def began(self, pipeline: Pipeline) -> bool:
        """Whether a pipeline learns from this very table."""
        its = pipeline.recipe
        ours = self.recipe
        return its is not None and (its.source, its.table, its.query) == (
            ours.source,
            ours.table,
            ours.query,
        )

    @property
    def yes(self) -> str:
        """What a model of two answers looks for, as figures may show it: a name may be markup."""
        found = self.found
        return escape(f"{found.target} = {found.positive}"[:60]) if found.positive else "yes"

    def beliefs(self) -> list[dict[str, Any]]:
        """A row a column: name, use, how it is read, missing, examples, and why."""
        return [
            {
                "column": belief.name,
                "use": belief.use,
                "read as": _read_as(belief),
                "missing": belief.missing_fraction,
                "such as": " · ".join(belief.examples),
                "why": belief.why,
            }
            for belief in self.found.columns
        ]

    def warnings(self) -> list[str]:
        """What a person should know before going on: a sentence each."""
        return [*self.notes, *self.found.warnings]

    def leaks(self) -> list[dict[str, Any]]:
        """Columns that may give the answer away, and what is done about each."""
        return [
            {
                "column": leak.column,
                "what is done": "left out" if leak.certain else "used, but look at it",
                "why": leak.why,
            }
            for leak in self.found.leaks
        ]

    def __repr__(self) -> str:
        """One line, for a terminal; what is believed of each column is in `beliefs()`."""
        found = self.found
        leaks = f", {len(found.leaks)} may be leaks" if found.leaks else ""
        return (
            f"Looked({self.recipe.shown!r}: {found.rows:,} rows, {len(found.columns):,} columns"
            f"{leaks}; to predict {found.target!r}, {found.task}; see .beliefs(), .warnings())"
        )

    def _repr_html_(self) -> str:
        """The card: rows, task, classes, a line a column, then warnings and leaks."""
        found = self.found
        task = found.task + (f", yes is {found.positive}" if found.task == "binary" else "")
        facts = f"{found.rows:,} rows · {len(found.columns):,} columns"
        parts = [
            f"<div style='display:flex;justify-content:space-between;gap:16px;flex-wrap:wrap'>"
            f"<b style='font-size:1.15em'>{escape(self.recipe.shown)}</b>"
            f"<span style='opacity:.7'>{facts}</span></div>",
            f"<div style='margin:8px 0'>To predict: <b>{escape(found.target)}</b> "
            f"<span style='opacity:.7'>({escape(task)}, because {escape(found.why_task)})</span>"
            "</div>",
            _classes(found),
            _table(self.beliefs()),
            *(_line("note", "#E69F00", sentence) for sentence in self.warnings()),
            *(
                _line("leak?", "#D55E00", f"{x['column']}: {x['why']} ({x['what is done']})")
                for x in self.leaks()
            ),
        ]
        return f"<div style='{_FRAME}'>{''.join(parts)}</div>"


def _where(data: str | Path) -> str:
    """The path or URL; what only stands in memory cannot be collected again."""
    if isinstance(data, (str, Path)):
        return str(data)
    raise DataError(
        f"A {type(data).__name__} stands in memory only, and a pipeline collects it again.",
        fix='save it and name the file: `frame.to_parquet("mine.parquet")`',
    )


def _read_as(belief: Belief) -> str:
    from workbench.data.kinds import written

    return "" if belief.kind is None else written(belief.kind).removeprefix("wb.")


def _classes(found: Look) -> str:
    """How often each answer comes, as chips."""
    shown = "".join(
        f"<span style='border:1px solid rgba(128,128,128,.35);border-radius:14px;"
        f"padding:2px 10px'>{escape(one.value[:40])} "
        f"<small style='opacity:.7'>{one.rows:,}</small></span>"
        for one in found.classes[:12]
    )
    more = len(found.classes) - 12
    rest = f"<span style='opacity:.7'>and {more} more</span>" if more > 0 else ""
    return f"<div style='display:flex;gap:8px;flex-wrap:wrap'>{shown}{rest}</div>" if shown else ""


def _table(rows: list[dict[str, Any]]) -> str:
    head = "".join(
        f"<th style='{_CELL};font-weight:600;opacity:.7'>{name}</th>"
        for name in ("column", "use", "read as", "missing", "such as")
    )
    body = "".join(_row(row) for row in rows[:_MOST_ROWS])
    more = len(rows) - _MOST_ROWS
    rest = f"<div style='opacity:.7'>and {more:,} more columns</div>" if more > 0 else ""
    return (
        "<div style='overflow-x:auto;margin:12px 0'><table style='border-collapse:collapse;"
        f"width:100%;font-size:.92em'><tr>{head}</tr>{body}</table>{rest}</div>"
    )


def _row(row: dict[str, Any]) -> str:
    """One column; hovering over its use says why."""
    colour = _COLOURS.get(row["use"], _PLACE)
    missing = f"{row['missing']:.1%}" if row["missing"] else ""
    cells = [
        f"<b>{escape(row['column'][:60])}</b>",
        f"<span style='color:{colour};white-space:nowrap' title='{escape(row['why'])}'>"
        f"{row['use']}</span>",
        f"<code>{escape(row['read as'])}</code>" if row["read as"] else "",
        missing,
        f"<span style='opacity:.7'>{escape(row['such as'][:48])}</span>",
    ]
    return "<tr>" + "".join(f"<td style='{_CELL}'>{cell}</td>" for cell in cells) + "</tr>"


def _line(word: str, colour: str, sentence: str) -> str:
    return (
        f"<div style='margin:3px 0'><span style='color:{colour};font-weight:600'>{word}</span> "
        f"{escape(sentence)}</div>"
    )
