"""How answers are shown: tables for people, JSON for machines."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Answer as JSON, for machines.")]


def json_out(value: Any) -> None:
    """Print `value` as JSON."""
    from workbench.core.files import json_bytes

    print(json_bytes(value).decode(), end="")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows as a table; numbers to the right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    listed = [list(row) for row in rows]
    for index, column in enumerate(columns):
        numeric = bool(listed) and all(isinstance(row[index], int | float) for row in listed)
        shown.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in listed:
        shown.add_row(*(c if isinstance(c, Text) else Text(_text(c)) for c in row))
    Console().print(shown)


def say(text: str, style: str = "") -> None:
    """Print one line."""
    from rich.console import Console
    from rich.text import Text

    Console().print(Text(text, style=style))


def moment(seconds: float) -> str:
    """A time in seconds since 1970 as the reader's own date and time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def amount(value: float | None, unit: str, digits: int = 3) -> str:
    """A number with its unit, or that it was not measured."""
    return "not measured" if value is None else f"{value:.{digits}g} {unit}"


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
