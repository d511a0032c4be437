"""How findings are shown to a person: groups of lines, and what to do first."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from workbench.cli.doctor.examine import advice
from workbench.cli.doctor.finding import Finding
from workbench.cli.show import console, printable, say

if TYPE_CHECKING:
    from rich.console import Console

STYLE = {"good": "green", "note": "yellow", "bad": "bold red"}
_MARK = 4
_NARROW = 60
"""Columns below which names stand on a line of their own."""


def show(findings: list[Finding]) -> None:
    """Print every finding with its group; for what is missing, what for and what mends it."""
    here = console()
    wide = max((len(one.what) for one in findings), default=0)
    for group, members in groupby(findings, key=lambda one: one.group):
        say(group, "bold")
        for one in members:
            _show(one, wide, here)
        say("")
    stopped = any(one.state == "bad" for one in findings)
    say(advice(findings), "bold red" if stopped else "bold green")


def _show(one: Finding, wide: int, here: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    body = Text(printable(one.found))
    if one.state != "good" and one.matters:
        body.append(f"\nfor: {printable(one.matters)}", style="dim")
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=_MARK)
    grid.add_column(width=wide if here.width > wide + _NARROW else None)
    grid.add_column(overflow="fold")
    grid.add_row(Text(one.state, style=STYLE[one.state]), Text(printable(one.what)), body)
    here.print(grid)
    if one.fix:
        indent = " " * (_MARK + 2)
        # Never broken by us: a command is copied whole, whatever the width.
        label = "next: " if one.state == "good" else "mend: "
        line = Text.assemble(indent, (label, "cyan"), printable(one.fix))
        here.print(line, soft_wrap=True)
