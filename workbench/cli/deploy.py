"""Commands that put releases on traffic: deploy, promote, withdraw, monitor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.show import Json, json_out, say, table
from workbench.core.errors import ReleaseError
from workbench.core.paths import find_paths

if TYPE_CHECKING:
    from workbench.monitoring.verdicts import Standing
    from workbench.registry.rollout import Rollout

Pipeline = Annotated[str, typer.Argument(help="Whose releases.", metavar="PIPELINE")]


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command()(deploy)
    app.command()(promote)
    app.command()(withdraw)
    app.command()(monitor)


def deploy(
    pipeline: Pipeline,
    release: Annotated[
        int | None,
        typer.Option(help="A release number; the challenger, or the newest, by default."),
    ] = None,
    canary: Annotated[
        float | None, typer.Option(help="Let it answer this share of the requests, as 0.1.")
    ] = None,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Let it answer copies that nobody sees.")
    ] = False,
    sticky: Annotated[
        str | None,
        typer.Option(help="A field or header; equal values are always answered by the same one."),
    ] = None,
    json: Json = False,
) -> None:
    """Let a release prove itself beside the champion; without options, show how it stands."""
    from workbench.registry.rollout import begin, standing

    paths = find_paths()
    if shadow and canary is not None:
        raise ReleaseError(
            "A challenger is either a canary or a shadow.", fix="give --canary 0.1 or --shadow"
        )
    if shadow or canary is not None:
        mode = "shadow" if shadow else "canary"
        found = begin(paths, pipeline, release, mode, 1.0 if canary is None else canary, sticky)
    elif release is not None or sticky is not None:
        raise ReleaseError(
            "Say how requests reach it.", fix=f"workbench deploy {pipeline} --canary 0.1"
        )
    else:
        found = standing(paths, pipeline)
    _show(found, json)


def promote(
    pipeline: Pipeline,
    reason: Annotated[str, typer.Option(help="Why; recorded.")] = "A person decided.",
    json: Json = False,
) -> None:
    """Make the challenger champion; a running server answers with it in a second."""
    from workbench.registry.rollout import promote as promoted

    paths = find_paths()
    _show(promoted(paths, pipeline, reason), json)


def withdraw(
    pipeline: Pipeline,
    reason: Annotated[str, typer.Option(help="Why; recorded.")],
    json: Json = False,
) -> None:
    """Take the challenger from the traffic; the champion answers everything again."""
    from workbench.registry.rollout import withdraw as withdrawn

    paths = find_paths()
    _show(withdrawn(paths, pipeline, reason), json)


def monitor() -> None:
    """Watch over what is deployed until Ctrl-C: judge challengers, levels and drift; alert."""
    import signal
    import threading

    from workbench.stages.monitor import monitor as watch

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    say("watching; Ctrl-C ends it", "dim")
    watch(find_paths(), stop, say)


def _show(found: Rollout, json: bool) -> None:
    """How the releases stand, and what the evidence says of the challenger so far."""
    from workbench.monitoring.verdicts import read_standing

    rival = found.challenger
    judged = read_standing(find_paths(), found.pipeline) if rival else None
    if judged is not None and rival is not None and judged.challenger != rival.release:
        judged = None
    if json:
        json_out(
            {
                "pipeline": found.pipeline,
                "champion": found.champion and found.champion.release,
                "challenger": rival and rival.release,
                "traffic": rival and rival.traffic,
                "verdict": judged and judged.verdict,
            }
        )
        return
    if found.champion is None:
        say(f"{found.pipeline} has no champion; `workbench release {found.pipeline}`", "yellow")
        return
    say(f"{found.pipeline} release {found.champion.release} is the champion.", "bold")
    if rival is None:
        return
    traffic = rival.traffic
    sticky = f", by {traffic.sticky}" if traffic and traffic.sticky else ""
    how = (
        "waits for traffic"
        if traffic is None
        else f"answers {traffic.weight:.0%} of the requests{sticky}"
        if traffic.mode == "canary"
        else f"answers copies of {traffic.weight:.0%} of the requests{sticky}; nobody sees them"
    )
    say(f"{found.pipeline} release {rival.release} is the challenger: it {how}.", "bold")
    if judged is not None:
        _verdict(judged)


def _verdict(judged: Standing) -> None:
    verdict = judged.verdict
    rows = [
        [m.name, m.champion, m.challenger, m.value, m.lo, m.hi, m.bound] for m in verdict.measures
    ]
    if rows:
        columns = ["measure", "champion", "challenger", "difference", "from", "to", "allowed"]
        table("", columns, rows)
    rehearsal = " (a rehearsal)" if judged.rehearsal else ""
    say(f"{verdict.requests:,} requests{rehearsal}: {verdict.decision}.")
    for reason in verdict.reasons:
        say(f"  {reason}", "dim")
