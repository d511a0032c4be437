"""Figures of what answers show: drift, quality on true outcomes, evidence on a challenger.

Records come as plain mappings, with the fields of `workbench.monitoring` (Drift, Quality, Measure):
that layer is above this one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.figures.theme import BLUE, GREEN, GREY, RED, blank

if TYPE_CHECKING:
    import plotly.graph_objects as go

Records = Sequence[Mapping[str, Any]]

_ROW, _AROUND = 28, 118
"""Pixels of one bar, and of what is around all of them."""


def drift(drifts: Records, most: int = 14) -> go.Figure:
    """How far each column is from training, the farthest first, with the limit drawn.

    Pale bars have too few rows to say anything. most: columns that are shown.
    """
    ranked = sorted(drifts, key=lambda d: (d["verdict"] == "too few rows", -d["psi"]))[:most]
    figure = blank(
        "Drift from training",
        "population stability index (PSI)",
        "",
        height=_AROUND + _ROW * max(len(ranked), 1),
    )
    looks = {"drifted": (RED, 1.0), "steady": (BLUE, 0.85), "too few rows": (GREY, 0.4)}
    for verdict, (colour, opacity) in looks.items():
        own = [d for d in ranked if d["verdict"] == verdict]
        if not own:
            continue
        figure.add_bar(
            x=[d["psi"] for d in own],
            y=[_column(d) for d in own],
            name=verdict,
            orientation="h",
            marker={"color": colour, "opacity": opacity},
            text=[f"{d['psi']:.2f}" for d in own],
            textposition="outside",
            cliponaxis=False,
            customdata=[[d["rows"], max(d["limit"], d["noise"]), verdict] for d in own],
            hovertemplate="%{y}: PSI %{x:.3f}, %{customdata[2]}; counts above "
            "%{customdata[1]:.2f}, %{customdata[0]:,} rows<extra></extra>",
        )
    if ranked:
        limit = ranked[0]["limit"]
        figure.add_vline(limit, line={"color": GREY, "dash": "dot", "width": 1.5})
        figure.update_xaxes(title_text=f"PSI (stability index); dotted: limit {limit:g}")
        figure.update_xaxes(range=[0, 1.18 * max([limit * 1.2, *(d["psi"] for d in ranked)])])
    figure.update_yaxes(
        autorange="reversed",
        type="category",
        categoryorder="array",
        categoryarray=[_column(d) for d in ranked],
        ticksuffix=" ",
    )
    return _titled(figure)


def quality(qualities: Records) -> go.Figure:
    """Each metric on true outcomes with its interval, beside what it was at release."""
    shown = [q for q in qualities if q["value"] is not None]
    figure = blank(
        "Quality on true outcomes, 95 % interval",
        "",
        "",
        height=_AROUND + 38 * max(len(shown), 1),
    )
    sides = (("now", "", BLUE, "circle"), ("at release", "released", GREY, "diamond-open"))
    for name, start, colour, symbol in sides:
        values, los, his = (
            [q[key] for q in shown]
            for key in ((start, f"{start}_lo", f"{start}_hi") if start else ("value", "lo", "hi"))
        )
        if all(value is None for value in values):
            continue
        figure.add_scatter(
            x=values,
            y=[q["metric"].replace("_", " ") for q in shown],
            name=name,
            mode="markers",
            marker={"color": colour, "size": 11, "symbol": symbol},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": _reach(values, his),
                "arrayminus": _reach(los, values),
                "color": colour,
                "thickness": 1.5,
            },
            hovertemplate="%{y}: %{x:.4f} " + name + "<extra></extra>",
        )
    figure.update_yaxes(autorange="reversed", type="category", ticksuffix=" ")
    return _titled(figure)


def evidence(measures: Records) -> go.Figure:
    """What is known of a challenger, in shares of what it may be worse: beyond 1 it is too much.

    A line is where the truth lies; it shortens with every request until it is on one side.
    """
    figure = blank(
        "Evidence so far",
        "1: as much worse as is allowed",
        "",
        height=_AROUND + 38 * max(len(measures), 1),
    )
    looks = {
        "no worse": (GREEN, lambda lo, hi: hi <= 1),
        "worse": (RED, lambda lo, hi: lo > 1),
        "not known yet": (GREY, lambda lo, hi: lo <= 1 < hi),
    }
    rows = [(m, *_shares_of_bound(m)) for m in measures]
    for name, (colour, fits) in looks.items():
        own = [row for row in rows if fits(row[2], row[3])]
        if not own:
            continue
        figure.add_scatter(
            x=[_clipped(value) for _, value, _, _ in own],
            y=[_measure(m) for m, *_ in own],
            name=name,
            mode="markers",
            marker={"color": colour, "size": 11},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [_clipped(hi) - _clipped(value) for _, value, _, hi in own],
                "arrayminus": [_clipped(value) - _clipped(lo) for _, value, lo, _ in own],
                "thickness": 3,
                "width": 0,
            },
            hovertemplate="%{y}: " + name + "<extra></extra>",
        )
    figure.add_vline(1, line={"color": GREY, "dash": "dot", "width": 1.5})
    figure.update_xaxes(range=[-_FAR - 0.1, _FAR + 0.1], zeroline=True, zerolinecolor="#d1d5db")
    figure.update_yaxes(
        autorange="reversed",
        type="category",
        categoryorder="array",
        categoryarray=[_measure(m) for m in measures],
        ticksuffix=" ",
    )
    return _titled(figure)


_FAR = 3.0
_MEASURES = {
    "errors": "errors",
    "late": "slower than promised",
    "latency": "typical latency",
    "scores": "distribution of answers",
    "quality": "loss on true outcomes",
}


def _titled(figure: go.Figure) -> go.Figure:
    """The title above the legend, not beside it: names of columns leave little room."""
    figure.update_layout(title={"y": 0.97, "yanchor": "top"}, margin={"t": 74, "b": 44})
    figure.update_layout(legend={"x": 0, "xanchor": "left"})
    return figure


def _measure(measure: Mapping[str, Any]) -> str:
    name: str = measure["name"]
    return _MEASURES.get(name, name)


def _shares_of_bound(measure: Mapping[str, Any]) -> tuple[float, float, float]:
    """Value and interval with the bound as 1; a ratio by its logarithm, so that 1 means alike."""
    bound = measure["bound"]
    ends = measure["value"], measure["lo"], measure["hi"]
    if measure["name"] == "latency":
        value, lo, hi = (math.log(max(end, 1e-9)) / math.log(bound) for end in ends)
    else:
        value, lo, hi = (end / (bound or 1e-9) for end in ends)
    return value, lo, hi


def _clipped(share: float) -> float:
    """Within the figure, and no finer than is seen: a figure that is the same is not drawn anew."""
    return max(-_FAR, min(_FAR, round(share * 20) / 20))


def _column(drift: Mapping[str, Any]) -> str:
    """Names may hold what plotly takes for markup."""
    name = str(drift["column"]).replace("&", "&amp;").replace("<", "&lt;")
    name = name if len(name) <= 32 else f"{name[:31]}…"
    return name if drift["kind"] == "input" else f"answer: {name}"


def _reach(low: Sequence[float | None], high: Sequence[float | None]) -> list[float]:
    return [0.0 if a is None or b is None else b - a for a, b in zip(low, high, strict=True)]
