"""What the pages have in common: their look, errors in sentences, the clock of who looks."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import streamlit as st

from workbench.figures.text import plain
from workbench.figures.theme import on_dark

if TYPE_CHECKING:
    from workbench.core.errors import WorkbenchError

# Streamlit leaves a hand's breadth around a page, pales what it draws again each second, and crowds
# columns on a narrow screen.
STYLE = """
.stMainBlockContainer {padding: 2.5rem 2.5rem 4rem}
[data-stale=true] {opacity: 1 !important; transition: none !important}
[data-testid=stColumn] {min-width: 7rem}
@media (max-width: 1150px) {
  .st-key-figures [data-testid=stColumn] {min-width: 100%}
}
"""
REHEARSAL = ":violet-badge[:material/theater_comedy: rehearsal]"


def begin(title: str) -> None:
    """Set up a page and write its title."""
    st.set_page_config(page_title=f"{title} · Workbench", page_icon="🧰", layout="wide")
    st.html(f"<style>{STYLE}</style>")
    st.title(title)


def told(error: WorkbenchError) -> None:
    """An error in its sentence, and what to do."""
    st.error(plain(error.problem))
    if error.fix:
        st.info(f"Next: {plain(error.fix)}")


def draw(column: Any, figure: Any, key: str) -> None:
    """A figure in the page's own light; by itself it is grey, to be read on any."""
    if st.context.theme.type == "dark":
        on_dark(figure)
    else:
        figure.update_layout(font={"color": "#374151"})
    column.plotly_chart(figure, key=key, theme=None, config={"displayModeBar": False})


def zone_of() -> ZoneInfo:
    """The clock of who looks."""
    return ZoneInfo(st.context.timezone or "UTC")


def local(seconds: float) -> dt.datetime:
    """A moment on that clock, for tables."""
    return dt.datetime.fromtimestamp(seconds, zone_of()).replace(tzinfo=None)


def clock(seconds: float) -> str:
    """A moment on that clock: of today the hour, else the day too."""
    then = dt.datetime.fromtimestamp(seconds, zone_of())
    today = then.date() == dt.datetime.now(zone_of()).date()
    return then.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M")


def milliseconds(value: float | None) -> str:
    """A latency with three digits."""
    return "—" if value is None else f"{value:.3g} ms"
