"""Service levels: what was promised, what is left of the error budget, how fast it burns.

Burn rates over two windows each, as in Google's SRE workbook (chapter 5): the long one says that it
matters, the short one that it still goes on. At rate 1 the budget lasts exactly its time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from workbench.core.deploy import Levels
from workbench.monitoring.rollups import DAY_S, Tally

MIN_BAD = 5
"""Bad requests in the long window below which nobody is woken: of ten requests one may fail."""


@dataclass(frozen=True)
class Burn:
    """How fast a budget burns. rate: 1 would use it up just in time."""

    name: Literal["fast", "slow"]
    long_s: int
    short_s: int
    limit: float
    rate_long: float = 0.0
    rate_short: float = 0.0
    bad_long: float = 0.0

    @property
    def burns(self) -> bool:
        """Whether someone should know."""
        return (
            self.rate_long >= self.limit
            and self.rate_short >= self.limit
            and self.bad_long >= MIN_BAD
        )


FAST = Burn("fast", 3600, 300, 14.4)
SLOW = Burn("slow", 6 * 3600, 1800, 6.0)


@dataclass(frozen=True)
class Level:
    """One promise over `window_days`.

    good_fraction, budget_left_fraction: None while nothing was asked; the budget is negative when
    more went wrong than was allowed.
    """

    name: Literal["availability", "latency"]
    promise: str
    target: float
    window_days: float
    total: int
    bad: float
    good_fraction: float | None
    budget_left_fraction: float | None
    burns: tuple[Burn, Burn]


def levels_of(settings: Levels, last: Callable[[float], Tally]) -> tuple[Level, Level]:
    """Judge both promises. last: what was asked of the pipeline in the last so many seconds.

    Only what somebody got an answer from belongs in there: neither shadow nor rehearsal.
    """
    available = (
        f"{settings.available_fraction:.6g} of the requests that are not the client's fault "
        "are answered"
    )
    quick = f"{settings.latency_fraction:.6g} of them within {settings.latency_ms:g} ms"
    window_s = settings.window_days * DAY_S
    tallies = {s: last(s) for s in (window_s, *_seconds(FAST), *_seconds(SLOW))}

    def level(
        name: Literal["availability", "latency"],
        promise: str,
        target: float,
        bad_of: Callable[[Tally], float],
    ) -> Level:
        def burn(rule: Burn) -> Burn:
            long, short = (tallies[s] for s in _seconds(rule))
            return Burn(
                rule.name,
                rule.long_s,
                rule.short_s,
                rule.limit,
                _rate(bad_of(long), asked(long), target),
                _rate(bad_of(short), asked(short), target),
                bad_of(long),
            )

        whole = tallies[window_s]
        total, bad = asked(whole), bad_of(whole)
        return Level(
            name,
            promise,
            target,
            settings.window_days,
            total,
            bad,
            1 - bad / total if total else None,
            1 - bad / ((1 - target) * total) if total else None,
            (burn(FAST), burn(SLOW)),
        )

    return (
        level("availability", available, settings.available_fraction, lambda t: t.errors),
        level(
            "latency",
            quick,
            settings.latency_fraction,
            # What was refused is refused at once, so the slow ones are among the others.
            lambda t: min(t.slower_than(settings.latency_ms), asked(t)),
        ),
    )


def asked(tally: Tally) -> int:
    """Requests that are not the client's fault."""
    return tally.requests - tally.refused


def _seconds(rule: Burn) -> tuple[int, int]:
    return rule.long_s, rule.short_s


def _rate(bad: float, total: int, target: float) -> float:
    return bad / total / (1 - target) if total else 0.0
