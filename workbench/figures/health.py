"""Figures of what is deployed: traffic, latency, error budgets; records in, plotly out.

Records come as plain mappings, with the fields of `workbench.monitoring` (Point, Level): that
layer is above this one.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from workbench.figures.theme import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, blank

if TYPE_CHECKING:
    import plotly.graph_objects as go

Records = Sequence[Mapping[str, Any]]

_AROUND = 96
"""Pixels around the bars of a figure."""


def traffic(points: Records, length_s: int = 60, zone: str = "UTC") -> go.Figure:
    """Requests by minute (or `length_s`): answered, rehearsed, refused, failed.

    What a shadow was asked counts for nothing here: nobody waited for it.
    """
    kinds: dict[str, Callable[[Mapping[str, Any]], int]] = {
        "answered": lambda p: 0 if p["rehearsal"] else p["requests"] - p["refused"] - p["errors"],
        "rehearsal": lambda p: p["requests"] - p["refused"] - p["errors"] if p["rehearsal"] else 0,
        "refused": lambda p: p["refused"],
        "failed": lambda p: p["errors"],
    }
    looks = {
        "answered": {"color": BLUE},
        "rehearsal": {"color": PURPLE, "pattern": {"shape": "/", "size": 6, "solidity": 0.35}},
        "refused": {"color": ORANGE},
        "failed": {"color": RED},
    }
    figure = blank("Requests", "", f"requests in {_length(length_s)}")
    asked = [point for point in points if point["alias"] != "shadow"]
    starts = _all_starts(asked, length_s)
    for kind, count in kinds.items():
        sums: defaultdict[int, int] = defaultdict(int)
        for point in asked:
            sums[point["start_s"]] += count(point)
        if kind != "answered" and not any(sums.values()):
            continue
        figure.add_bar(
            x=[_moment(start + length_s / 2, zone) for start in starts],
            y=[sums[start] for start in starts],
            name=kind,
            marker={**looks[kind], "line": {"width": 0}},
            width=length_s * 900,
            hovertemplate="%{x|%H:%M}: %{y:,} " + kind + "<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0.1)
    figure.update_yaxes(rangemode="tozero")
    return _over_time(figure, length_s)


def latency(
    points: Records, promise_ms: float | None = None, length_s: int = 60, zone: str = "UTC"
) -> go.Figure:
    """Latency quantiles of the champion over time, on a logarithmic axis.

    Of life; where only a rehearsal asked, of that, in dashes. promise_ms: drawn as a line.
    """
    champion = [p for p in points if p["alias"] == "champion" and p["p50_ms"] is not None]
    life = [p for p in champion if not p["rehearsal"]]
    shown = sorted(_by_start(life or champion), key=lambda p: p["start_s"])
    dash = "solid" if life else "dash"
    figure = blank("Latency", "", "ms, inside the server")
    x = [_moment(p["start_s"] + length_s / 2, zone) for p in shown]
    for name, colour, width in (("p99", RED, 1.5), ("p95", ORANGE, 1.5), ("p50", BLUE, 2.5)):
        figure.add_scatter(
            x=x,
            y=[p[f"{name}_ms"] for p in shown],
            name=name,
            mode="lines+markers" if len(shown) < 40 else "lines",
            marker={"size": 5},
            line={"color": colour, "width": width, "dash": dash},
            hovertemplate=f"%{{x|%H:%M}}: {name} %{{y:.2f}} ms<extra></extra>",
        )
    if promise_ms is not None:
        figure.add_hline(
            promise_ms,
            line={"color": GREY, "dash": "dot", "width": 1.5},
            annotation={
                "text": f"promised: {promise_ms:g} ms",
                "font": {"color": GREY, "size": 12},
                "xanchor": "left",
                "x": 0,
            },
        )
    values = [p["p50_ms"] for p in shown] + [p["p99_ms"] for p in shown] + [promise_ms or 1.0]
    low, high = min(values), max(values)
    ends = [math.floor(math.log10(max(low, 0.01))), math.log10(high) + 0.25]
    figure.update_yaxes(type="log", range=ends, dtick=1, tickformat="~r")
    return _over_time(figure, length_s)


def budgets(levels: Records) -> go.Figure:
    """What is left of each error budget: a full bar is untouched, an empty one is used up."""
    figure = blank(
        "Error budget left",
        "",
        "",
        height=_AROUND + 46 * max(len(levels), 1),
    )
    names = [level["name"] for level in levels]
    left = [level["budget_left_fraction"] for level in levels]
    figure.add_bar(
        x=[1] * len(names),
        y=names,
        orientation="h",
        marker={"color": "rgba(138,143,152,0.18)"},
        hoverinfo="skip",
        showlegend=False,
    )
    figure.add_bar(
        x=[0 if part is None else round(max(0.0, min(1.0, part)), 2) for part in left],
        y=names,
        orientation="h",
        marker={"color": [_budget_colour(part) for part in left]},
        hoverinfo="skip",
        showlegend=False,
    )
    for name, part, level in zip(names, left, levels, strict=True):
        figure.add_annotation(
            x=0.015,
            y=name,
            text=_budget_words(part, level),
            showarrow=False,
            xanchor="left",
            font={"size": 13, "color": "white" if part is not None and part > 0.35 else None},
        )
    figure.update_layout(barmode="overlay", bargap=0.3, margin={"b": 20})
    figure.update_xaxes(range=[0, 1], visible=False, fixedrange=True)
    figure.update_yaxes(autorange="reversed", fixedrange=True)
    return figure


def _over_time(figure: go.Figure, length_s: int) -> go.Figure:
    """A time axis without a title, and no room for one."""
    figure.update_xaxes(tickformat="%H:%M" if length_s < 3600 else "%d %b", nticks=8)
    figure.update_layout(height=270, margin={"b": 30})
    return figure


def _budget_colour(left: float | None) -> str:
    if left is None or left > 0.5:
        return GREEN
    return ORANGE if left > 0.1 else RED


def _budget_words(left: float | None, level: Mapping[str, Any]) -> str:
    if left is None:
        return "nothing was asked yet"
    if left <= 0:
        return f"used up: {level['bad']:,.0f} of {level['total']:,} requests went wrong"
    return f"{math.floor(left * 100)} % left"


def _by_start(points: Records) -> list[Mapping[str, Any]]:
    """One point for each start: of several releases the one that was asked most."""
    found: dict[int, Mapping[str, Any]] = {}
    for point in points:
        best = found.get(point["start_s"])
        if best is None or point["requests"] > best["requests"]:
            found[point["start_s"]] = point
    return list(found.values())


def _all_starts(points: Records, length_s: int) -> list[int]:
    """From the first to the last, those between without requests too."""
    starts = [point["start_s"] for point in points]
    return list(range(min(starts), max(starts) + 1, length_s)) if starts else []


def _moment(seconds: float, zone: str) -> dt.datetime:
    """In the clock of who looks; plotly itself knows of no zones."""
    return dt.datetime.fromtimestamp(seconds, ZoneInfo(zone)).replace(tzinfo=None)


def _length(seconds: int) -> str:
    return {60: "a minute", 3600: "an hour"}.get(seconds, f"{seconds} s")
