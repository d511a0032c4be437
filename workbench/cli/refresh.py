"""`workbench refresh`: new data under a new day, compared with the old."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.show import Json, json_out, say, say_over, table
from workbench.core.errors import ParamsError, PipelineError, did_you_mean
from workbench.core.paths import find_paths

if TYPE_CHECKING:
    from workbench.data.compare import ColumnChange, TableChange

_MOST = 12


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command()(refresh)


def refresh(
    pipeline: Annotated[str, typer.Argument(help="Whose data to move.", metavar="PIPELINE")],
    as_of: Annotated[
        str | None, typer.Option(help="The new day, as 2026-07-31; today when left out.")
    ] = None,
    data: Annotated[str, typer.Option(help="Where the file or database is now, if it moved.")] = "",
    move_borders: Annotated[
        bool,
        typer.Option(
            "--move-borders",
            help="Divide by time anew. Without it the borders stay, and later rows are test.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Collect what the source holds now, under a new day, and compare it with what was there."""
    from workbench.core.params import read_params
    from workbench.stages.refresh import refresh as run

    paths = find_paths()
    known = read_params(paths.params).pipelines
    if pipeline not in known:
        raise PipelineError(f"No pipeline '{pipeline}'.{did_you_mean(pipeline, known)}")
    try:
        day = dt.date.fromisoformat(as_of) if as_of else dt.date.today()
    except ValueError:
        raise ParamsError(f"'{as_of}' is not a day.", fix="write it as 2026-07-31") from None
    quiet = (lambda *_, **__: None) if json else say_over
    found = run(paths, pipeline, as_of=day, data=data, move_borders=move_borders, say=quiet)
    if json:
        json_out(found)
        return
    if found.is_same:
        say(f"{pipeline}: the source holds what it held on {found.before}; nothing changed.")
        return
    _show(found.tables)
    if found.borders:
        say(f"sides: valid from {found.borders[0]}, test from {found.borders[1]}, as before")
    if found.left:
        valid, test = found.left
        say(f"sides: divided by time anew (were valid from {valid}, test from {test})", "yellow")
    if found.is_redrawn:
        say(
            "sides: drawn anew, since rows are known by their content and columns changed", "yellow"
        )
    day = f"as_of was {found.before}, is {found.as_of}"
    if found.before == found.as_of:
        day = f"still as of {found.as_of}; what the source holds now was collected"
    say(f"{pipeline}: {day}.", "bold green")
    for column in found.lost:
        say(
            f"'{column}' is gone, and pipelines/{pipeline}.py names it: take it out there, "
            "or bring it back into the source.",
            "red",
        )
    say(f"Next: {'that, then ' if found.lost else ''}workbench repro {pipeline}")


def _show(tables: tuple[TableChange, ...]) -> None:
    if not tables:
        return
    rows = [[t.name, t.rows_before, t.rows_now, t.same, t.came, t.went] for t in tables]
    table("", ["table", "rows before", "rows now", "same", "came", "went"], rows)
    for one in tables:
        for what, names in (("new", one.columns_new), ("gone", one.columns_gone)):
            if names:
                say(f"{one.name}: columns {what}: {', '.join(names)}", "yellow")
        if not one.same and one.rows_before and one.rows_now:
            say(f"{one.name}: no row is as it was: all are simulated or written anew", "yellow")
        moved = [column for column in one.columns if column.moved]
        for column in moved[:_MOST]:
            say(f"{one.name}: {_moved(column)}", "yellow")
        if len(moved) > _MOST:
            say(f"{one.name}: and {len(moved) - _MOST} more columns moved", "yellow")


def _moved(column: ColumnChange) -> str:
    """How a column moved, in words."""
    parts = []
    if abs(column.missing_now - column.missing_before) > 0.005:
        parts.append(f"missing {column.missing_before:.1%}, now {column.missing_now:.1%}")
    if column.mean_before is not None and column.mean_now is not None:
        parts.append(f"mean {column.mean_before:.4g}, now {column.mean_now:.4g}")
    if column.stability is not None:
        parts.append(f"stability index {column.stability:.2f}")
    return f"'{column.name}' moved: {'; '.join(parts)}"
