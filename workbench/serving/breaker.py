"""The circuit of a model: after failures in a row nobody waits for it, until it is tried again."""

from __future__ import annotations

import time

FAILURES = 5
OPEN_S, LONGEST_S = 5.0, 60.0
"""How long it stays open at first; twice as long after each trial that fails, up to a minute."""


class Breaker:
    """Of one model that has failed; one that answers again needs none. name: for people."""

    __slots__ = ("_open_s", "_until_s", "failures", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.failures = 0
        self._open_s = OPEN_S
        self._until_s = 0.0

    @property
    def is_open(self) -> bool:
        """Whether it was opened and has not been closed by an answer since."""
        return self._until_s > 0

    def wait_s(self) -> float:
        """Seconds until it may be asked; 0 says: now, and by you, for others wait on."""
        now_s = time.monotonic()
        if not self.is_open:
            return 0.0
        if now_s < self._until_s:
            return self._until_s - now_s
        self._until_s = now_s + self._open_s  # this one is the trial
        return 0.0

    def failed(self, *, at_once: bool = False) -> None:
        """It failed; at_once: in a way that needs no second time, such as not coming back."""
        self.failures += 1
        if self.is_open:
            self._open_s = min(2 * self._open_s, LONGEST_S)
        if self.is_open or at_once or self.failures >= FAILURES:
            self._until_s = time.monotonic() + self._open_s
