"""Figures of training and evaluation: reports in, plotly figures out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.figures.theme import BLUE, GREY, ORANGE, blank

if TYPE_CHECKING:
    import plotly.graph_objects as go

Points = Sequence[Mapping[str, Any]]

YES = "yes"
RARE = 0.1
"""Fraction of rows below which a calibration is told on log axes."""


def loss_curve(points: Points) -> go.Figure:
    """Loss by epoch on both sides, from `plots/<pipeline>/train/loss.json`."""
    figure = blank("Loss while learning", "epoch", "loss (nats a row)")
    for side in dict.fromkeys(p.get("side", "") for p in points):
        own = [p for p in points if p.get("side", "") == side]
        figure.add_scatter(
            x=[p["x"] for p in own], y=[p["y"] for p in own], name=side, mode="lines+markers"
        )
    return figure


def roc(points: Points, yes: str = YES) -> go.Figure:
    """Receiver operating characteristic; `yes` says what is looked for."""
    figure = blank(
        "Receiver operating characteristic",
        "false alarms (share of the others)",
        f"found (share of {yes})",
    )
    _line(figure, points, "model")
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", name="by chance", line={"dash": "dot", "color": GREY}
    )
    return figure


def precision_recall(points: Points, base_rate: float | None = None, yes: str = YES) -> go.Figure:
    """Precision by recall; the dotted line is what chance gives, `yes` what is looked for."""
    figure = blank(
        "Precision and recall",
        f"recall (share of {yes} found)",
        "precision (of what is said, right)",
    )
    _line(figure, points, "model")
    if base_rate is not None:
        figure.add_scatter(
            x=[0, 1],
            y=[base_rate, base_rate],
            mode="lines",
            name="by chance",
            line={"dash": "dot", "color": GREY},
        )
    figure.update_xaxes(range=[0, 1])
    figure.update_yaxes(range=[0, 1.02])
    return figure


def calibration(points: Points, yes: str = YES) -> go.Figure:
    """What happened against what was said, in ten bins of equal size.

    On log axes where `yes`, what is looked for, is rare: else all but one point stood at zero.
    """
    figure = blank("Calibration", "said (mean score)", f"happened (share of {yes})")
    is_rare = sum(p["y"] for p in points) < RARE * len(points)
    shown = [p for p in points if p["x"] > 0 and p["y"] > 0] if is_rare else points
    low = min((min(p["x"], p["y"]) for p in shown), default=1e-3) if is_rare else 0
    figure.add_scatter(
        x=[low, 1], y=[low, 1], mode="lines", name="perfect", line={"dash": "dot", "color": GREY}
    )
    figure.add_scatter(
        x=[p["x"] for p in shown],
        y=[p["y"] for p in shown],
        name="model",
        mode="lines+markers",
        line={"color": BLUE},
    )
    if is_rare:
        # A tick a decade, written out: plotly's own would say 100µ.
        figure.update_xaxes(type="log", dtick=1, tickformat="~r")
        figure.update_yaxes(type="log", dtick=1, tickformat="~r")
    return figure


def decision_curve(points: Points) -> go.Figure:
    """Net benefit by threshold, from `plots/<pipeline>/evaluate/decision_curve.json`.

    What lies below both acting on all and acting on none is worth nothing; acting on all falls
    without end and is cut off.
    """
    figure = blank(
        "Decision curve",
        "score from which on one acts",
        "net benefit (found ones a row)",
        height=360,
    )
    looks = {
        "model": {"color": BLUE, "width": 2.5},
        "act on all": {"color": GREY, "dash": "dash"},
        "act on none": {"color": GREY, "dash": "dot"},
    }
    for who in dict.fromkeys(p["who"] for p in points):
        own = [p for p in points if p["who"] == who]
        figure.add_scatter(
            x=[p["x"] for p in own],
            y=[p["y"] for p in own],
            mode="lines",
            name=who,
            line=looks.get(who, {"width": 1.5}),
        )
    best = max((p["y"] for p in points), default=0)
    figure.update_yaxes(range=[-0.15 * best, 1.1 * best])
    return figure


def by_time(points: Points, title: str, x: str, y: str) -> go.Figure:
    """Shares that grow with time, a stepped line for each `who`."""
    figure = blank(title, x, y)
    for who in dict.fromkeys(p["who"] for p in points):
        own = [p for p in points if p["who"] == who]
        figure.add_scatter(
            x=[p["x"] for p in own],
            y=[p["y"] for p in own],
            name=who,
            mode="lines",
            line={"shape": "hv", "width": 2},
        )
    figure.update_yaxes(rangemode="tozero", tickformat=".0%")
    return figure


def dropped(points: Points) -> go.Figure:
    """Rows that left, by rule, from `plots/<pipeline>/clean/dropped.json`."""
    ranked = sorted(points, key=lambda p: p["y"])
    figure = blank("Rows set aside, by rule", "rows", "", height=90 + 34 * max(len(ranked), 1))
    if not ranked:
        figure.update_layout(xaxis_visible=False, yaxis_visible=False)
        figure.add_annotation(text="No row broke a rule.", showarrow=False, x=0, xref="paper")
        return figure
    figure.add_bar(
        x=[p["y"] for p in ranked],
        y=[p["x"] for p in ranked],
        orientation="h",
        marker_color=BLUE,
        text=[f"{p['y']:,}" for p in ranked],
        textposition="auto",
    )
    return figure


def compared(report: Mapping[str, Any]) -> go.Figure:
    """The main metric with its interval, model against baselines, from `evaluate.json`."""
    main = report["main"]
    rows = {"model": report["metrics"][main]} | {
        who: metrics[main] for who, metrics in report.get("baselines", {}).items()
    }
    name = _spelt(main)
    figure = blank(
        f"{name[0].upper()}{name[1:]} on the test side, 95 % interval",
        name,
        "",
        height=110 + 40 * len(rows),
    )
    for who, entry in reversed(rows.items()):
        lo, hi = entry.get("lo", entry["value"]), entry.get("hi", entry["value"])
        figure.add_scatter(
            x=[entry["value"]],
            y=[who],
            mode="markers",
            showlegend=False,
            marker={"size": 11, "color": BLUE if who == "model" else ORANGE},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [hi - entry["value"]],
                "arrayminus": [entry["value"] - lo],
            },
        )
    return figure


def slices(report: Mapping[str, Any]) -> go.Figure:
    """The main metric by slice, from `evaluate.json`; thin slices are pale.

    A slice that has `<metric>_lo` and `<metric>_hi` shows its interval.
    """
    main = report["main"]
    rows = [(name, s) for name, s in report.get("slices", {}).items() if s.get(main) is not None]
    figure = blank(
        "Where it works, and where less",
        _spelt(main),
        "",
        height=90 + 28 * max(len(rows), 1),
    )
    most = max((s["rows"] for _, s in rows), default=1)
    figure.add_bar(
        x=[s[main] for _, s in rows],
        y=[_of(name) for name, _ in rows],
        orientation="h",
        marker={"color": BLUE, "opacity": [0.35 + 0.65 * (s["rows"] / most) for _, s in rows]},
        hovertext=[f"{s['rows']:,} rows" for _, s in rows],
    )
    if any(f"{main}_lo" in s for _, s in rows):
        figure.data[0].error_x = {
            "type": "data",
            "symmetric": False,
            "array": [s.get(f"{main}_hi", s[main]) - s[main] for _, s in rows],
            "arrayminus": [s[main] - s.get(f"{main}_lo", s[main]) for _, s in rows],
            "color": GREY,
        }
    if rows:
        figure.add_vline(
            report["metrics"][main]["value"],
            line={"dash": "dot", "color": GREY},
            annotation={"text": "all", "yanchor": "bottom"},
        )
    figure.update_yaxes(autorange="reversed")
    return figure


def _spelt(metric: str) -> str:
    """A metric as people read it."""
    return "area under the ROC curve" if metric == "auc" else metric.replace("_", " ")


def _of(name: str) -> str:
    """A slice `column=value` as people read it."""
    column, _, value = name.partition("=")
    return f"{column.replace('_', ' ')}: {value}"


def _line(figure: Any, points: Points, name: str) -> None:
    figure.add_scatter(
        x=[p["x"] for p in points],
        y=[p["y"] for p in points],
        mode="lines",
        name=name,
        line={"color": BLUE, "width": 2.5},
    )
