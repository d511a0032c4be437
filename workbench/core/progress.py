"""Progress on the terminal for whatever takes over two seconds; silent where nobody looks."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
SHOW_AFTER_S = 2.0


def progress(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yield `items`, with a bar on standard error once two seconds have passed.

    Without a terminal (DVC, CI) there is a line at most every ten seconds instead.
    """
    began = time.monotonic()
    told = began
    bar = None
    try:
        for number, item in enumerate(items, start=1):
            now = time.monotonic()
            if sys.stderr.isatty():
                if bar is None and now - began > SHOW_AFTER_S:
                    bar = _bar(what, total)
                if bar is not None:
                    bar[0].update(bar[1], completed=number)
            elif now - max(told, began) > 10:
                told = now
                of = f" of {total}" if total else ""
                sys.stderr.write(f"{what}: {number}{of}\n")
            yield item
    finally:
        if bar is not None:
            bar[0].stop()


def _bar(what: str, total: int | None):
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    shown = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    shown.start()
    return shown, shown.add_task(what, total=total)
