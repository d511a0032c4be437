"""How answers are shown: tables for people, JSON for machines."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_UNBROKEN = 100_000
"""Columns of what is no terminal."""
_CONTROLS = {n: f"\\x{n:02x}" for n in (*range(32), *range(127, 160)) if chr(n) not in "\n\t"}
_JSON_CONTROLS = {n: f"\\u{n:04x}" for n in range(127, 160)}

Json = Annotated[bool, typer.Option("--json", help="Answer as JSON, for machines.")]


def json_out(value: Any) -> None:
    """Print `value` as JSON."""
    from workbench.core.files import json_bytes

    # JSON escapes only the first 32 control characters, and the others stand in strings alone.
    text = json_bytes(value).decode().translate(_JSON_CONTROLS)
    print(text, end="")


def printable(text: str) -> str:
    """Return `text` with control characters spelt out, but for line breaks and tabs.

    What a client sent, or a file holds, could otherwise steer the terminal of who looks at it.
    """
    return text.translate(_CONTROLS)


def console(*, stderr: bool = False) -> Console:
    """Where a person reads: lines break at the width of a terminal, and nowhere else."""
    from rich.console import Console

    made = Console(stderr=stderr)
    return made if made.is_terminal else Console(stderr=stderr, width=_UNBROKEN)


def table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    whole: Collection[str] = (),
    spare: Sequence[Collection[str]] = (),
) -> None:
    """Print rows as a table; numbers to the right.

    whole: columns that are never broken, for example names that are copied. spare: columns that a
    narrow terminal does without, a group at a time.
    """
    from rich.measure import Measurement

    listed = [list(row) for row in rows]
    here = console()
    unbroken = here.options.update(width=_UNBROKEN)
    left_out: set[str] = set()
    shown = _made(title, columns, listed, whole, left_out)
    for group in spare:
        if Measurement.get(here, unbroken, shown).maximum <= here.width:
            break
        left_out |= set(group)
        shown = _made(title, columns, listed, whole, left_out)
    _put(here, shown)
    if left_out:
        names = ", ".join(column for column in columns if column in left_out)
        say(f"{names}: in a wider terminal, or with --json", "dim")


def _put(here: Console, shown: Table) -> None:
    """Print a table; away from a terminal without the blanks that fill its lines."""
    if here.is_terminal:
        here.print(shown)
        return
    with here.capture() as held:
        here.print(shown)
    lines = (line.rstrip() for line in held.get().splitlines())
    here.file.write("".join(f"{line}\n" for line in lines))


def _made(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    whole: Collection[str],
    left_out: Collection[str],
) -> Table:
    from rich.table import Table
    from rich.text import Text

    made = Table(title_justify="left", header_style="bold", box=None, pad_edge=False)
    made.title = Text(printable(title))  # as text: rich takes brackets in a `str` for markup
    kept = [index for index, column in enumerate(columns) if column not in left_out]
    for index in kept:
        cells = [row[index] for row in rows]
        numeric = bool(cells) and all(isinstance(cell, int | float) for cell in cells)
        is_whole = columns[index] in whole
        made.add_column(
            Text(printable(columns[index])),
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=is_whole,
            min_width=max((len(str(cell)) for cell in cells), default=0) if is_whole else None,
        )
    for row in rows:
        cells = (row[index] for index in kept)
        made.add_row(*(c if isinstance(c, Text) else Text(_text(c)) for c in cells))
    return made


def say(text: str, style: str = "") -> None:
    """Print one line."""
    from rich.text import Text

    console().print(Text(printable(text), style=style))


def say_over(text: str, style: str = "", *, passing: bool = False) -> None:
    """Print one line in the place of a passing one.

    passing: only until the next line, and only on a terminal. The cursor stays where the line
    begins, so that a bar or an error of another program takes its place as well.
    """
    from rich.text import Text

    here = console()
    if here.is_terminal:
        sys.stdout.write("\r\x1b[2K")
        sys.stdout.flush()
    if not passing:
        say(text, style)
    elif here.is_terminal:
        shown = Text(printable(text), style=style)
        shown.truncate(here.width - 1)
        here.print(shown, end="\r")


@contextlib.contextmanager
def working(what: str) -> Iterator[None]:
    """Show on a terminal that something is done, on standard error; JSON is not disturbed."""
    with console(stderr=True).status(what):
        yield


def moment(seconds: float) -> str:
    """A time in seconds since 1970 on the reader's own clock: of today the hour, else the day."""
    then, now = time.localtime(seconds), time.localtime()
    today = then[:3] == now[:3]  # year, month, day
    return time.strftime("%H:%M" if today else "%Y-%m-%d", then)


def amount(value: float | None, unit: str, digits: int = 3) -> str:
    """A number with its unit, or that it was not measured."""
    return "not measured" if value is None else f"{value:.{digits}g} {unit}"


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return printable(str(value))
