"""`workbench new`: a pipeline out of a person's own table."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.show import Json, json_out, say, table
from workbench.core.errors import DataError
from workbench.core.paths import find_paths

if TYPE_CHECKING:
    from workbench.data.look.beliefs import Belief, Corrections, Look
    from workbench.notebook.begin import Source

_STYLE = {"target": "bold", "left out": "dim", "key": "blue", "time": "blue", "group": "blue"}
_MOST_ROWS, _MOST_LISTED = 60, 8


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command()(new)


def new(
    name: Annotated[str, typer.Argument(help="Of the pipeline: lower-case letters, digits, _.")],
    data: Annotated[
        str, typer.Option(help="A CSV, Parquet or JSON-lines file, or a database URL.")
    ],
    target: Annotated[str, typer.Option(help="The column to predict.")],
    db_table: Annotated[str, typer.Option("--table", help="Which table of a database.")] = "",
    query: Annotated[str, typer.Option(help="One SELECT, in place of a table.")] = "",
    encoding: Annotated[str, typer.Option(help="Of a CSV file; found when left out.")] = "",
    delimiter: Annotated[str, typer.Option(help="Of a CSV file; found when left out.")] = "",
    bad_lines: Annotated[
        str, typer.Option(help="Malformed lines: `stop` names the first, `skip` leaves them out.")
    ] = "stop",
    correct: Annotated[
        list[str] | None,
        typer.Option("--correct", "-c", help="Where the look is wrong, such as 'word zip'."),
    ] = None,
    licence: Annotated[str, typer.Option(help="Under which the data may be used.")] = "not stated",
    look_only: Annotated[bool, typer.Option("--look", help="Look, and write nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Write without asking.")] = False,
    json: Json = False,
) -> None:
    """Look at your table, say what is believed, and write a pipeline that runs."""
    from workbench.data.look.looking import look
    from workbench.notebook import begin
    from workbench.notebook.corrections import all_corrected

    paths = find_paths()
    begin.check_free(paths, name)
    said = all_corrected(correct or [])
    how = {"table": db_table, "query": query, "encoding": encoding, "delimiter": delimiter}
    with begin.opened(paths, data, bad_lines=bad_lines, **how) as source:
        seen = look(source.table, target, said)
        asks = not (json or yes or look_only) and sys.stdin.isatty() and sys.stdout.isatty()
        if not json:
            _show(seen, source)
        if asks:
            seen = _asked(seen, source, said)
        if look_only:
            if json:
                json_out(seen)
            return
        notebook = begin.begin(paths, name, source, seen, licence=licence)
    if json:
        json_out({"notebook": str(notebook.relative_to(paths.root)), "look": seen})
        return
    say(f"Written: pipelines/{name}.py and its block in params.yaml.", "bold green")
    say(f"Next: workbench repro {name}, then workbench predict {name}")


def _asked(seen: Look, source: Source, said: Corrections) -> Look:
    """Let the person correct until nothing is wrong; Ctrl-C writes nothing."""
    from workbench.data.look.looking import look
    from workbench.notebook.corrections import HELP, corrected

    say("What is wrong? Enter if nothing is; ? says what can be corrected.", "cyan")
    while line := typer.prompt("", default="", show_default=False, prompt_suffix="> ").strip():
        if line == "?":
            say(HELP)
            continue
        try:
            tried = corrected(said, line)
            seen = look(source.table, seen.target, tried)
        except DataError as error:
            say(str(error), "yellow")
            continue
        said = (
            tried  # only now: a word that cannot be followed must not stand in the next one's way
        )
        _show(seen, source)
    return seen


def _show(seen: Look, source: Source) -> None:
    from rich.text import Text

    from workbench.data.kinds import written

    rows: list[list[Any]] = []
    for belief in seen.columns[:_MOST_ROWS]:
        kind = "-" if belief.kind is None else written(belief.kind).removeprefix("wb.")
        rows.append(
            [
                belief.name,
                Text(belief.use, style=_STYLE.get(belief.use, "green")),
                kind,
                _gaps(belief),
                ", ".join(belief.examples)[:32],
            ]
        )
    table("", ["column", "use", "read as", "missing", "such as"], rows)
    if len(seen.columns) > _MOST_ROWS:
        say(f"and {len(seen.columns) - _MOST_ROWS} more columns (--look --json shows all)", "dim")
    say("")
    say(f"{source.recipe.shown}: {seen.rows:,} rows, {len(seen.columns)} columns", "bold")
    say(f"task: {seen.task}, because {seen.why_task}")
    if seen.task == "binary":
        say(f"counts as yes: {seen.positive}")
    if seen.classes:
        shown = [f"{c.value} {c.rows:,}" for c in seen.classes[:8]]
        more = f" and {len(seen.classes) - 8} more" if len(seen.classes) > 8 else ""
        say(f"classes: {', '.join(shown)}{more}")
    for use in ("key", "time", "group", "left out"):
        chosen = [b for b in seen.columns if b.use == use]
        if chosen:
            few = "; ".join(f"{b.name} ({b.why})" for b in chosen[:_MOST_LISTED])
            more = f" and {len(chosen) - _MOST_LISTED} more" if len(chosen) > _MOST_LISTED else ""
            say(f"{use}: {few}{more}")
    for sentence in (*source.notes, *seen.warnings):
        say(f"note: {sentence}", "yellow")
    for leak in seen.leaks:
        what = "left out" if leak.certain else "used, but look at it"
        say(f"leak? '{leak.column}' ({what}): {leak.why}", "red")


def _gaps(belief: Belief) -> str:
    lost = f", {belief.unparsed_fraction:.1%} unread" if belief.unparsed_fraction else ""
    return f"{belief.missing_fraction:.1%}{lost}" if belief.missing_fraction or lost else ""
