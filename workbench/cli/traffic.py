"""`workbench traffic`: a rehearsal against the running server, and what comes of it, live."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.show import Json, console, json_out, printable, say
from workbench.core.errors import DataError, MissingError
from workbench.core.paths import find_paths

if TYPE_CHECKING:
    from rich.console import RenderableType

    from workbench.stages.rehearsal import Rehearsal, Stock, Tally

KEY_VARIABLE = "WORKBENCH_KEY"
_LOOK_S = 0.25


def add_to(app: typer.Typer) -> None:
    """Register this command."""
    app.command()(traffic)


def traffic(
    pipeline: Annotated[str, typer.Argument(help="Whose held-out rows are sent.")],
    rate: Annotated[float, typer.Option(help="Requests a second.", min=0.01, max=1000)] = 20.0,
    seconds: Annotated[
        float | None, typer.Option(help="For how long; until Ctrl-C when left out.", min=0)
    ] = None,
    drift: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN[=BY]",
            help="An input that drifts: numbers by a factor, times by days, words to a word. "
            "Several times for several; `all` for all.",
        ),
    ] = None,
    bad: Annotated[
        float, typer.Option(help="Fraction of rows with an error in them.", min=0, max=1)
    ] = 0.0,
    outcomes: Annotated[
        bool, typer.Option("--outcomes", help="Tell what turned out to be true, seconds later.")
    ] = False,
    url: Annotated[str, typer.Option(help="Of the server.")] = "http://127.0.0.1:8000",
    key_env: Annotated[
        str, typer.Option(help="Environment variable that holds the key, if it asks for one.")
    ] = KEY_VARIABLE,
    json: Json = False,
) -> None:
    """Send held-out rows to the running server, marked as a rehearsal everywhere."""
    import asyncio  # a tenth of what `workbench --help` takes

    from workbench.stages.rehearsal import Rehearsal, Tally, check_server, prepare

    if not url.startswith(("http://", "https://")):
        raise DataError(f"'{url[:80]}' is no address of a server.", fix="begin with http://")
    key = os.environ.get(key_env)
    if key is None and key_env != KEY_VARIABLE:
        raise MissingError(f"The environment has no variable {key_env}.", fix=f"export {key_env}=…")
    plan = Rehearsal(
        pipeline, url.rstrip("/"), key, rate, seconds, tuple(drift or ()), bad, outcomes
    )
    stock = prepare(find_paths(), plan)
    check_server(plan)
    tally = Tally()
    begun_s = time.monotonic()
    asyncio.run(_shown(plan, stock, tally, quiet=json))
    found = _found(plan, tally, time.monotonic() - begun_s)
    if json:
        json_out(found)
    else:
        _tell(plan, tally)
    if not tally.answered:
        raise typer.Exit(1)


async def _shown(plan: Rehearsal, stock: Stock, tally: Tally, *, quiet: bool) -> None:
    """Rehearse; Ctrl-C ends it as its time would. A terminal shows figures as they come."""
    import asyncio

    from rich.live import Live

    from workbench.stages.rehearsal import rehearse

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    here = console(stderr=True)
    begun_s = time.monotonic()
    work = asyncio.create_task(rehearse(plan, stock, tally, stop))
    if quiet or not here.is_terminal:
        await work
        return
    with Live(console=here, auto_refresh=False, transient=True) as live:
        while not work.done():
            live.update(_panel(plan, tally, time.monotonic() - begun_s), refresh=True)
            await asyncio.wait([work], timeout=_LOOK_S)
    await work


def _panel(plan: Rehearsal, tally: Tally, took_s: float) -> RenderableType:
    """The state of a rehearsal, a line for each thing."""
    from rich.panel import Panel
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column(overflow="fold")
    if plan.seconds:
        bar = ProgressBar(plan.seconds, min(took_s, plan.seconds), width=40)
        rows.add_row("time", bar)
    for what, text, style in _lines(plan, tally, took_s):
        rows.add_row(what, Text(printable(text), style=style))
    title = Text.assemble(
        ("rehearsal ", "bold magenta"), (printable(plan.pipeline), "bold"), f" → {plan.url}"
    )
    end = f"{plan.seconds:.0f} s" if plan.seconds else "Ctrl-C ends it"
    return Panel(rows, title=title, title_align="left", subtitle=end, subtitle_align="right")


def _lines(plan: Rehearsal, tally: Tally, took_s: float) -> list[tuple[str, str, str]]:
    """What to say, as (what, text, style); nothing that did not happen."""
    found = [
        ("sent", f"{tally.sent:,}  ({tally.sent / max(took_s, 1e-9):.1f} a second)", ""),
        ("answered", f"{tally.answered:,}", "green"),
    ]
    if tally.refused or plan.bad_fraction:
        found.append(("refused", f"{tally.refused:,}  ({tally.bad:,} were bad on purpose)", ""))
    for what, count in (("failed", tally.failed), ("lost", tally.lost), ("held back", tally.held)):
        if count:
            found.append((what, f"{count:,}", "red"))
    p50, p95 = tally.latency_ms(0.5), tally.latency_ms(0.95)
    if p50 is not None and p95 is not None:
        found.append(("latency", f"p50 {p50:.1f} ms   p95 {p95:.1f} ms, as seen from here", ""))
    if tally.decisions:
        found.append(("decisions", _shares(tally.decisions), ""))
    by = {f"release {release} ({alias})": n for (release, alias), n in tally.answered_by.items()}
    if len(by) > 1 or "champion" not in "".join(by):
        found.append(("answered by", _shares(by), ""))
    if plan.outcomes:
        found.append(("outcomes told", f"{tally.outcomes:,}", ""))
    if tally.said:
        found.append(("last refusal", tally.said, "yellow"))
    return found


def _shares(counts: Mapping[str, int]) -> str:
    """The most frequent, with their shares."""
    total = sum(counts.values())
    ranked = sorted(counts.items(), key=lambda entry: -entry[1])[:6]
    return ", ".join(f"{name} {count:,} ({count / total:.1%})" for name, count in ranked)


def _tell(plan: Rehearsal, tally: Tally) -> None:
    say(f"{tally.sent:,} rehearsed requests sent to {plan.url} for {plan.pipeline}", "bold")
    for what, text, style in _lines(plan, tally, 0)[1:]:
        say(f"  {what:<14} {text}", style)
    say("See them: `workbench up`, then the pages Deployments and Predictions.", "dim")


def _found(plan: Rehearsal, tally: Tally, took_s: float) -> dict[str, Any]:
    return {
        "pipeline": plan.pipeline,
        "url": plan.url,
        "seconds": round(took_s, 3),
        "rehearsal": True,
        **{
            name: getattr(tally, name)
            for name in ("sent", "answered", "refused", "failed", "lost", "held", "bad", "outcomes")
        },
        "p50_ms": tally.latency_ms(0.5),
        "p95_ms": tally.latency_ms(0.95),
        "decisions": dict(tally.decisions),
        "answered_by": [
            {"release": release, "alias": alias, "answers": count}
            for (release, alias), count in sorted(tally.answered_by.items())
        ],
        "last_refusal": tally.said,
    }
