"""Figures of what a model answered, whatever its task: plots of `evaluate` in, plotly out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.figures import quality
from workbench.figures.theme import BLUE, GREY, blank

if TYPE_CHECKING:
    import plotly.graph_objects as go

Points = Sequence[Mapping[str, Any]]


def pictures(points: Callable[[str], Points], yes: str = quality.YES) -> list[go.Figure]:
    """The figures that a task has: two of a binary one, one of the others.

    points: from the name of a plot to what `evaluate` left under it, empty if nothing. yes: what
    a binary one looks for.
    """
    if found := points("precision_recall"):
        said = points("calibration")
        return [quality.precision_recall(found, yes=yes), quality.calibration(said, yes)]
    if found := points("confusion"):
        return [confusion(found)]
    if found := points("answers"):
        return [answers(found)]
    return []


def confusion(points: Points) -> go.Figure:
    """What was said (x) of rows that were something (y), in shares of the latter."""
    names = list(dict.fromkeys(p["y"] for p in points))
    rows = {(p["y"], p["x"]): p["rows"] for p in points}
    total = {true: sum(rows.get((true, said), 0) for said in names) or 1 for true in names}
    figure = blank("What was said of each class", "said", "was", height=140 + 34 * len(names))
    figure.add_heatmap(
        x=names,
        y=names,
        z=[[rows.get((true, said), 0) / total[true] for said in names] for true in names],
        customdata=[[rows.get((true, said), 0) for said in names] for true in names],
        hovertemplate="was %{y}, said %{x}: %{customdata} rows (%{z:.1%})<extra></extra>",
        texttemplate="%{z:.0%}" if len(names) <= 12 else "",
        colorscale=[[0, "#e3eef6"], [1, BLUE]],  # no cell is clear: its text must suit both pages
        zmin=0,
        zmax=1,
        showscale=False,
    )
    figure.update_xaxes(type="category")
    figure.update_yaxes(type="category", autorange="reversed")
    return figure


def answers(points: Points) -> go.Figure:
    """What was said (x) and what was (y), a point a row of the test side."""
    figure = blank("What was said, and what was", "said", "was")
    lo = min(min(p["x"], p["y"]) for p in points)
    hi = max(max(p["x"], p["y"]) for p in points)
    figure.add_scatter(
        x=[lo, hi], y=[lo, hi], mode="lines", name="perfect", line={"dash": "dot", "color": GREY}
    )
    figure.add_scatter(
        x=[p["x"] for p in points],
        y=[p["y"] for p in points],
        mode="markers",
        name="a row",
        marker={"color": BLUE, "opacity": 0.45, "size": 6},
    )
    return figure
