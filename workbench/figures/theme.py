"""One look for every figure: quiet axes, few colours that also the colour-blind tell apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Okabe and Ito's palette: distinguishable with any common colour vision.
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#8a8f98"
PURPLE, SKY = "#CC79A7", "#56B4E9"
COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY)
INK, LINE, CLEAR = "#7d838d", "rgba(128,128,128,0.22)", "rgba(0,0,0,0)"
"""What can be read on a light page and on a dark one, where nobody says which it is."""
_TOOLS = ("zoom", "pan", "select", "lasso", "zoomIn", "zoomOut", "autoScale", "resetScale")
_TOOLS += ("toImage",)


def blank(title: str, x: str, y: str, *, height: int = 320) -> go.Figure:
    """Return an empty figure with titled axes (units belong into the titles)."""
    import plotly.graph_objects as go

    lines = {"gridcolor": LINE, "zerolinecolor": LINE, "linecolor": LINE}
    figure = go.Figure()
    figure.update_layout(
        title={"text": title, "x": 0, "xanchor": "left", "font": {"size": 16, "weight": 600}},
        height=height,
        margin={"l": 60, "r": 20, "t": 50, "b": 50},
        template="plotly_white",
        colorway=list(COLOURS),
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        modebar={"remove": list(_TOOLS), "bgcolor": CLEAR},  # it would lie on the title
        font={"size": 13, "color": INK, "family": "system-ui, sans-serif"},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 1, "xanchor": "right"},
        xaxis={"title": _title(x), "showgrid": False, "ticklabelstandoff": 4} | lines,
        yaxis={"title": _title(y), "ticklabelstandoff": 6} | lines,
    )
    return figure


def on_dark(figure: go.Figure) -> go.Figure:
    """The same figure for a dark page."""
    ink, line = "#d7dbe0", "rgba(255,255,255,0.12)"
    figure.update_layout(font={"color": ink})
    figure.update_xaxes(zerolinecolor=line, linecolor=line)
    figure.update_yaxes(gridcolor=line, zerolinecolor=line, linecolor=line)
    return figure


def _title(text: str) -> dict[str, object]:
    """A title of an axis, no larger than its numbers."""
    return {"text": text, "font": {"size": 13}, "standoff": 14}
