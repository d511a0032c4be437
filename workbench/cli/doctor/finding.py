"""One thing that the doctor looked at, and how long it may look."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

State = Literal["good", "note", "bad"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    state: `bad` stops the main job; `note` works without it, but something is missing. found: what
    is there, in plain words. fix: what mends it, a command wherever there is one. matters: what it
    is for. group: where it is shown; filled in by who asked.
    """

    what: str
    state: State
    found: str
    fix: str = ""
    matters: str = ""
    group: str = ""


class Look(Protocol):
    """Looks at one thing. Changes nothing."""

    def __call__(self) -> Iterable[Finding]: ...


@dataclass(frozen=True)
class Limit:
    """A moment until which work goes on; on a large project a look is cut short, and says so."""

    until: float

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self.until


def limit(seconds: float) -> Limit:
    """The moment so many seconds from now."""
    return Limit(time.monotonic() + seconds)


def few(names: Sequence[str], most: int = 3) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def size(count: float) -> str:
    """Bytes in a unit that a person reads."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count / 1e3:.0f} kB"
