"""Commands that look: runs, doctor."""

from __future__ import annotations

from typing import Annotated

import typer

from workbench.cli.show import Json, amount, console, json_out, moment, say, table
from workbench.core.paths import find_paths


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command()(runs)
    app.command()(doctor)


def runs(
    pipeline: Annotated[
        str | None, typer.Argument(help="Only this pipeline.", metavar="PIPELINE")
    ] = None,
    stage: Annotated[str | None, typer.Option(help="Only this stage.")] = None,
    last: Annotated[int, typer.Option(help="How many, newest first.", min=1)] = 20,
    json: Json = False,
) -> None:
    """List runs with what they took and used."""
    from workbench.metering.runs import damaged, read_runs

    paths = find_paths()
    found = [
        r
        for r in reversed(read_runs(paths))
        if (not pipeline or r.pipeline == pipeline) and (not stage or r.stage == stage)
    ][:last]
    if json:
        json_out(found)
        return
    if not found:
        say("no such run yet: workbench repro makes them", "yellow")
    from workbench.metering.site import total_energy, worst_provenance

    rows = []
    for run in found:
        window = run.window
        energy = total_energy(window.usages)[0] if window else None
        rows.append(
            [
                run.id,
                f"{run.stage}@{run.pipeline}",
                run.state,
                moment(window.start_s) if window else "-",
                amount(window.duration_s if window else None, "s"),
                amount(window.peak_memory_bytes / 1e6 if window else None, "MB"),
                amount(energy * 1e6 if energy is not None else None, "mWh"),
                (worst_provenance(window.usages) if window else None) or "-",
            ]
        )
    names = ["run", "stage", "state", "started", "took", "memory", "energy", "known by"]
    if rows:
        table("", names, rows, whole=names[:4], spare=(("memory",), ("energy", "known by")))
    for folder, reason in damaged(paths):
        say(f"damaged record {folder.name}: {reason}", "yellow")


def doctor(
    full: Annotated[
        bool, typer.Option("--full", help="Read all of DVC's cache, however long it takes.")
    ] = False,
    json: Json = False,
) -> None:
    """Say what this machine and checkout can do, what is missing, and what mends it."""
    from workbench.cli.doctor.examine import examine
    from workbench.cli.doctor.shown import show

    with console(stderr=True).status("looking at this machine") as status:
        findings = examine(lambda group: status.update(f"looking at: {group}"), full=full)
    if json:
        json_out(findings)
    else:
        show(findings)
    if any(f.state == "bad" for f in findings):
        raise typer.Exit(1)
