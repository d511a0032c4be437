"""Commands about work: check, status, repro, refresh."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.show import Json, json_out, say, table
from workbench.core.errors import ParamsError, PipelineError, did_you_mean
from workbench.core.paths import find_paths

if TYPE_CHECKING:
    from workbench.core.params import Params

_STYLE = {"run": "red", "restore": "blue", "may run": "yellow", "up to date": "green"}


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command()(check)
    app.command()(status)
    app.command()(repro)
    app.command()(refresh)


def check(json: Json = False) -> None:
    """Find what marimo or a person broke in a pipeline, without running it."""
    from workbench.core.check import check as find
    from workbench.core.params import read_params

    paths = find_paths()
    found = find(paths.root, read_params(paths.params))
    if json:
        json_out(
            [
                {"path": str(p.path), "line": p.line, "code": p.code, "message": p.message}
                for p in found
            ]
        )
    else:
        for problem in found:
            say(str(problem))
        say(
            f"{len(found)} problems" if found else "every pipeline keeps the contract",
            "red" if found else "green",
        )
    if found:
        raise typer.Exit(1)


def status(
    pipeline: Annotated[str | None, typer.Argument(help="Only this pipeline.")] = None,
    why: Annotated[bool, typer.Option("--why", help="Every reason, not only the first.")] = False,
    json: Json = False,
) -> None:
    """Say what the next run will do and why, without running anything."""
    from rich.text import Text

    from workbench.core.params import read_params
    from workbench.execution.plan import plan

    paths = find_paths()
    if pipeline:
        _known(read_params(paths.params), pipeline)
    steps = [s for s in plan(paths) if not pipeline or s.name.endswith(f"@{pipeline}")]
    if json:
        json_out(steps)
        return
    rows = []
    for step in steps:
        reasons = step.reasons if why else step.reasons[:1]
        more = len(step.reasons) - len(reasons)
        said = "\n".join(reasons) + (f" (and {more} more: --why)" if more else "")
        rows.append([step.name, Text(step.action, style=_STYLE[step.action]), said])
    table("", ["stage", "next run", "why"], rows)


def repro(
    pipelines: Annotated[list[str] | None, typer.Argument(help="Only these pipelines.")] = None,
    cold: Annotated[bool, typer.Option("--cold", help="Start every stage from nothing.")] = False,
    release: Annotated[bool, typer.Option(help="Judge and release the candidates.")] = True,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", "-k", help="Go on with other pipelines after an error.")
    ] = False,
) -> None:
    """Run what is stale, then make tracking, ledger and releases true."""
    from workbench.stages.repro import repro as run

    code = run(
        find_paths(), pipelines or [], cold=cold, release=release, keep_going=keep_going, say=say
    )
    raise typer.Exit(code)


def refresh(
    pipeline: Annotated[str, typer.Argument(help="Whose data to move.")],
    as_of: Annotated[
        str | None, typer.Option(help="The new day, as 2026-07-31; today when left out.")
    ] = None,
) -> None:
    """Move a pipeline's data to a new day: a visible, reproducible change of params.yaml."""
    from workbench.core.files import write_text
    from workbench.core.params import read_params

    paths = find_paths()
    known = read_params(paths.params)
    _known(known, pipeline)
    try:
        day = dt.date.fromisoformat(as_of) if as_of else dt.date.today()
    except ValueError:
        raise ParamsError(f"'{as_of}' is not a day.", fix="write it as 2026-07-31") from None
    text = paths.params.read_text(encoding="utf-8")
    # Edited as text, so that comments and order stay as their writer left them.
    head = rf"^{re.escape(pipeline)}:[ \t]*(?:#.*)?\n"
    inside = r"(?:(?:[ \t].*|\s*#.*)?\n)*?"
    block = re.compile(rf'({head}{inside}[ \t]+as_of:\s*)(["\']?)[\d-]+\2', re.M)
    changed, count = block.subn(rf'\g<1>"{day.isoformat()}"', text, count=1)
    if not count:
        raise ParamsError(
            f"params.yaml has no plain `as_of:` in the block of '{pipeline}'.",
            fix=f'set it by hand: `as_of: "{day.isoformat()}"`',
        )
    before = known.block(pipeline).collect.as_of
    write_text(paths.params, changed)
    say(f"{pipeline}: as_of was {before}, is {day}. Next: workbench repro {pipeline}")


def _known(params: Params, pipeline: str) -> None:
    if pipeline not in params.pipelines:
        raise PipelineError(f"No pipeline '{pipeline}'.{did_you_mean(pipeline, params.pipelines)}")
