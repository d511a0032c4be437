"""Commands about releases and the stores behind them: release, rollback, sync."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.show import Json, json_out, say, table, working
from workbench.core.paths import find_paths

if TYPE_CHECKING:
    from workbench.registry.releases import Release

_VERDICT = {"pass": "green", "first": "green", "warn": "yellow", "fail": "red"}


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command()(release)
    app.command()(rollback)
    app.command()(sync)


def release(
    pipeline: Annotated[str, typer.Argument(help="Whose candidate to judge.", metavar="PIPELINE")],
    override: Annotated[
        str | None, typer.Option(help="Release against failing gates, for this reason; recorded.")
    ] = None,
    challenger: Annotated[
        bool,
        typer.Option("--challenger", help="Let it wait beside the champion for `deploy`."),
    ] = False,
    json: Json = False,
) -> None:
    """Judge a candidate by its gates and make it champion; a running server answers with it."""
    from workbench.registry.releases import release as judge

    paths = find_paths()
    with working(f"judging {pipeline}"):
        made = judge(paths, pipeline, override=override, challenger=challenger)
    _show(made, json)


def rollback(
    pipeline: Annotated[
        str, typer.Argument(help="Whose champion to take back.", metavar="PIPELINE")
    ],
    reason: Annotated[str, typer.Option(help="Why; recorded.")],
    to: Annotated[
        int | None, typer.Option(help="A release number; the one before by default.")
    ] = None,
    json: Json = False,
) -> None:
    """Make an earlier release champion again; a running server answers with it in a second."""
    from workbench.registry.releases import rollback as back

    paths = find_paths()
    with working(f"taking {pipeline} back"):
        made = back(paths, pipeline, to, reason=reason)
    _show(made, json)


def sync(json: Json = False) -> None:
    """Bring MLflow and the ledger up to date from the files of this checkout."""
    from workbench.core.params import read_params
    from workbench.metering.report import write_usage
    from workbench.registry.releases import sync_registry
    from workbench.tracking.sync import sync as track

    paths = find_paths()
    params = read_params(paths.params)
    with working("bringing MLflow and the ledger up to date"):
        tracked = track(paths, params.site)
        mirrored = sync_registry(paths)
        write_usage(paths, params.pipelines)
    problems = [*tracked.problems, *mirrored.problems]
    if json:
        json_out(
            {
                "runs_new": tracked.new,
                "runs_updated": tracked.updated,
                "runs_current": tracked.current,
                "ledger_rows": tracked.rows,
                "versions": mirrored.versions,
                "pointers": mirrored.pointers,
                "problems": [p.problem for p in problems],
            }
        )
    else:
        say(
            f"runs: {tracked.new} new, {tracked.updated} updated, {tracked.current} complete; "
            f"ledger: {tracked.rows} new rows; versions: {mirrored.versions} new"
        )
        for problem in problems:
            say(str(problem), "yellow")
    if problems:
        raise typer.Exit(1)


def _show(made: Release, json: bool) -> None:
    from rich.text import Text

    if json:
        json_out(made)
        return
    if made.gates:
        table(
            "",
            ["gate", "measured", "bound", "verdict", ""],
            [
                [
                    g.name,
                    g.measured,
                    g.bound,
                    Text(g.verdict, style=_VERDICT.get(g.verdict, "")),
                    g.sentence,
                ]
                for g in made.gates
            ],
        )
    say(made.sentence, "bold green")
    for problem in made.problems:
        say(str(problem), "yellow")
