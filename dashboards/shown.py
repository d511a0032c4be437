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

REHEARSAL = ":violet-badge[:material/theater_comedy: rehearsal]"


def begin(title: str) -> None:
    """Set up a page and write its title."""
    st.set_page_config(page_title=f"{title} · Workbench", page_icon="🧰", layout="wide")
    # Streamlit leaves a hand's breadth above the title, and pales what it draws again each second.
    st.html(
        "<style>.stMainBlockContainer {padding-top: 2.5rem}"
        "[data-stale=true] {opacity: 1 !important; transition: none !important}</style>"
    )
    st.title(title)


def told(error: WorkbenchError) -> None:
    """An error in its sentence, and what to do."""
    st.error(plain(error.problem))
    if error.fix:
        st.info(f"Next: {plain(error.fix)}")


def draw(column: Any, figure: Any, key: str) -> None:
    """A figure in the page's own light."""
    if st.context.theme.type == "dark":
        on_dark(figure)
    column.plotly_chart(figure, key=key, theme=None, config={"displayModeBar": False})


def zone_of() -> ZoneInfo:
    """The clock of who looks."""
    return ZoneInfo(st.context.timezone or "UTC")


def clock(seconds: float) -> str:
    """A moment on that clock: of today the hour, else the day too."""
    then = dt.datetime.fromtimestamp(seconds, zone_of())
    today = then.date() == dt.datetime.now(zone_of()).date()
    return then.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M")


def milliseconds(value: float | None) -> str:
    """A latency with three digits."""
    return "—" if value is None else f"{value:.3g} ms"
