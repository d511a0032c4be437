"""`workbench health`: how deployments are, at one look."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.show import Json, json_out, say, table
from workbench.core.errors import ReleaseError, did_you_mean
from workbench.core.paths import find_paths

if TYPE_CHECKING:
    from workbench.monitoring.health import Health, Traffic, Watched

WINDOW = "1h"
_COLUMNS = (
    "pipeline",
    "release",
    "requests",
    "errors",
    "p50 ms",
    "p95 ms",
    "p99 ms",
    "budget left",
    "drift",
    "quality",
    "alerts",
)
_STYLES = {"critical": "bold red", "warning": "yellow", "info": "dim"}


def add_to(app: typer.Typer) -> None:
    """Register this command."""
    app.command()(health)


def health(
    pipeline: Annotated[
        str | None, typer.Argument(help="Only this pipeline.", metavar="PIPELINE")
    ] = None,
    json: Json = False,
) -> None:
    """Show requests, errors, latency, budgets, drift and alerts of what is deployed."""
    from workbench.monitoring.watch import Watch

    watch = Watch(find_paths())
    looked = watch.look(time.time())
    found = [_current(one) for one in looked if pipeline in (None, one.pipeline)]
    if pipeline is not None and not found and pipeline not in watch.problem:
        raise ReleaseError(
            f"'{pipeline}' is not deployed.{did_you_mean(pipeline, [h.pipeline for h in looked])}",
            fix="`workbench release` deploys a candidate",
        )
    if json:
        json_out(found)
    else:
        _show(found)
    if watch.problem:
        say(watch.problem, "red")
        raise typer.Exit(1)


def _current(one: Health) -> Health:
    """With what is found now among its alerts, whether or not anybody watches all the time."""
    from workbench.monitoring.findings import findings

    alerts = {alert.key: alert for alert in (*findings(one), *one.alerts)}
    return dataclasses.replace(one, alerts=tuple(alerts.values()))


def _show(found: list[Health]) -> None:
    if not found:
        say("Nothing is deployed: run workbench repro.")
        return
    rows = [row for one in found for row in _rows(one)]
    table("the last hour", _COLUMNS, rows, whole=("pipeline",), spare=(("p95 ms",), ("quality",)))
    for one in found:
        for watched in one.answers:
            for note in watched.notes:
                say(f"{one.pipeline}: {note}", "dim")
        for alert in one.alerts:
            who = "in a rehearsal: " if alert.rehearsal else ""
            say(f"{alert.severity}: {who}{alert.sentence}", _STYLES[alert.severity])


def _rows(one: Health) -> list[list[Any]]:
    """A row for each release that is deployed or was asked, rehearsals apart."""
    asked = {
        (t.alias, t.release, t.digest, t.rehearsal): t for t in one.traffic if t.window == WINDOW
    }
    keys = {(d.alias, d.release, d.digest, False) for d in one.deployed} | asked.keys()
    lefts = [
        level.budget_left_fraction for level in one.levels if level.budget_left_fraction is not None
    ]
    budget = f"{min(lefts):.0%}" if lefts else None
    rows: list[list[Any]] = []
    for alias, release, digest, rehearsal in sorted(keys, key=lambda k: (k[3], k[0], -k[1])):
        watched = next(
            (w for w in one.answers if (w.digest, w.rehearsal) == (digest, rehearsal)), None
        )
        opened = sum(alert.rehearsal == rehearsal for alert in one.alerts)
        rows.append(
            [
                one.pipeline,
                f"{release} {alias}{', rehearsal' if rehearsal else ''}",
                *_numbers(asked.get((alias, release, digest, rehearsal))),
                None if rehearsal else budget,
                _drift(watched),
                _quality(watched),
                opened,
            ]
        )
    return rows


def _numbers(traffic: Traffic | None) -> list[Any]:
    if traffic is None:
        return [0, 0, None, None, None]
    latencies = (traffic.p50_ms, traffic.p95_ms, traffic.p99_ms)
    shown = [None if ms is None else float(f"{ms:.3g}") for ms in latencies]
    return [traffic.requests, traffic.errors, *shown]


def _drift(watched: Watched | None) -> str | None:
    """The column that drifted most, or that none did."""
    if watched is None or not watched.drift:
        return None
    worst = max(watched.drift, key=lambda d: (d.verdict == "drifted", d.psi / max(d.noise, 1e-9)))
    if worst.verdict == "too few rows":
        return f"too few rows ({worst.rows})"
    if worst.verdict == "steady":
        return f"none ({worst.column} {worst.psi:.2f})"
    others = sum(drift.verdict == "drifted" for drift in watched.drift) - 1
    return f"{worst.column} {worst.psi:.2f}" + (f" and {others} more" if others else "")


def _quality(watched: Watched | None) -> str | None:
    """The metric that decides, with its interval."""
    qualities = watched.quality if watched else ()
    one = next((q for q in qualities if q.decides or q.value is None), None)
    if one is None:
        return None
    if one.value is None or one.lo is None or one.hi is None:
        return f"too few outcomes ({one.rows})"
    return f"{one.metric} {one.value:.3f} [{one.lo:.3f}, {one.hi:.3f}]"
