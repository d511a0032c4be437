"""Commands about work: check, status, repro."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.show import Json, json_out, say, say_over, table, working
from workbench.core.errors import PipelineError, did_you_mean
from workbench.core.paths import find_paths

if TYPE_CHECKING:
    from workbench.core.params import Params
    from workbench.execution.plan import Action, Step

_STYLE = {"run": "red", "restore": "blue", "may run": "yellow", "up to date": "green"}


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command()(check)
    app.command()(status)
    app.command()(repro)


def check(json: Json = False) -> None:
    """Find what marimo or a person broke in a pipeline, without running it."""
    from workbench.core.check import check as find
    from workbench.core.params import read_params

    paths = find_paths()
    params = read_params(paths.params)
    with working("reading every pipeline and the library"):
        found = find(paths.root, params)
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
            f"{len(found)} problem{'s' if len(found) > 1 else ''}"
            if found
            else "every pipeline keeps the contract",
            "red" if found else "green",
        )
    if found:
        raise typer.Exit(1)


def status(
    pipeline: Annotated[
        str | None, typer.Argument(help="Only this pipeline.", metavar="PIPELINE")
    ] = None,
    why: Annotated[bool, typer.Option("--why", help="Every reason, not only the first.")] = False,
    json: Json = False,
) -> None:
    """Say what the next run will do and why, without running anything."""
    from rich.text import Text

    from workbench.core.params import read_params
    from workbench.execution.plan import plan
    from workbench.stages.freshness import outdated

    paths = find_paths()
    params = read_params(paths.params)
    if pipeline:
        _known(params, pipeline)
    steps = [s for s in plan(paths) if not pipeline or s.name.endswith(f"@{pipeline}")]
    if json:
        json_out(steps)
        return
    rows = [
        [name, Text(action, style=_STYLE[action]), said]
        for name, action, said in (
            _every(steps, why) if pipeline else _folded(steps, params.pipelines, why)
        )
    ]
    table("", ["stage", "next run", "why"], rows)
    for sentence in outdated(paths, params, [pipeline] if pipeline else params.pipelines):
        say(sentence, "yellow")
    if why and all(step.action == "up to date" for step in steps):
        say("nothing to do", "green")


def _every(steps: Iterable[Step], why: bool) -> Iterator[tuple[str, Action, str]]:
    """A row a stage: its name, what the next run does, and why.

    Of what may run one reason is enough: all of them wait for the same.
    """
    for step in steps:
        reasons = step.reasons if why and step.action != "may run" else step.reasons[:1]
        more = 0 if step.action == "may run" else len(step.reasons) - len(reasons)
        said = "\n".join(reasons) + (f" (and {more} more: --why)" if more else "")
        yield step.name, step.action, said


def _folded(
    steps: Sequence[Step], pipelines: Iterable[str], why: bool
) -> Iterator[tuple[str, Action, str]]:
    """The same, but one row for all that is up to date in a pipeline."""
    yield from _every((s for s in steps if "@" not in s.name), why)
    for pipeline in pipelines:
        own = [s for s in steps if s.name.endswith(f"@{pipeline}")]
        waits = [s for s in own if s.action != "up to date"]
        if len(own) > len(waits):
            count = len(own) - len(waits)
            what = f"all {count}" if not waits else f"{count} other"
            yield f"{pipeline}: {what} stages", "up to date", ""
        yield from _every(waits, why)


def repro(
    pipeline: Annotated[
        list[str] | None, typer.Argument(help="Only these pipelines.", metavar="PIPELINE")
    ] = None,
    cold: Annotated[bool, typer.Option("--cold", help="Start every stage from nothing.")] = False,
    release: Annotated[bool, typer.Option(help="Judge and release the candidates.")] = True,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", "-k", help="Go on with other pipelines after an error.")
    ] = False,
    starts: Annotated[
        bool, typer.Option("--starts", help="Through a pipe too, say when a stage begins.")
    ] = False,
) -> None:
    """Run what is stale, then make tracking, ledger and releases true."""
    from workbench.stages.repro import repro as run

    def told(text: str, style: str = "", *, passing: bool = False) -> None:
        say(text, style)

    paths = find_paths()
    try:
        code = run(
            paths,
            pipeline or [],
            cold=cold,
            release=release,
            keep_going=keep_going,
            say=told if starts else say_over,
        )
    finally:
        say_over("", passing=True)
    raise typer.Exit(code)


def _known(params: Params, pipeline: str) -> None:
    if pipeline not in params.pipelines:
        raise PipelineError(f"No pipeline '{pipeline}'.{did_you_mean(pipeline, params.pipelines)}")
