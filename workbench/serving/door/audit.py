"""The audit log: keys that came and went, keys that were refused, and what administrators did.

One line of JSON for each, appended in one write, so that several processes share the file. A
secret is never in it: whatever looks like a key is cut to its id, wherever it stands.
"""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from workbench.core.secrets import private, private_folder

MAX_KINDS = 100
"""Of refusals told apart in one minute; an attacker with many addresses must not fill the disk."""

_SECRET = re.compile(rb"(wb_[0-9a-f]{8}_)[0-9a-f]+")
_logger = logging.getLogger(__name__)
_Kind = tuple[str, str, str]


def note(path: Path, event: str, /, **about: Any) -> None:
    """Append one line; OSError when that cannot be done."""
    line = msgspec.json.encode({"time_s": round(time.time(), 3), "event": event, **about})
    private_folder(path.parent)
    with open(path, "ab", buffering=0, opener=private) as file:
        file.write(_SECRET.sub(rb"\1***", line) + b"\n")


@dataclass
class Audit:
    """What a server notes. trouble: why the last line could not be written; "" if it was.

    The first refusal of a kind (address, reason, key) is written at once, how many more there were
    when its minute is over: counts of one minute add up.
    """

    path: Path
    trouble: str = ""
    _minute: int = 0
    _more: dict[_Kind, int] = field(default_factory=dict[_Kind, int])

    def refused(self, address: str, reason: str, key: str = "") -> None:
        """A request was turned away. key: the name of the key whose id was given, if any."""
        self.turn()
        kind = address, reason, key
        if kind not in self._more and len(self._more) >= MAX_KINDS:
            kind = "others", "any", ""
        if kind in self._more:
            self._more[kind] += 1
        else:
            self._more[kind] = 0
            self._say(kind, 1)

    def admin(self, caller: str, address: str, method: str, path: str) -> None:
        """Somebody used a right of administrators."""
        self._note("admin", key=caller, address=address, method=method, path=path[:200])

    def turn(self, *, closing: bool = False) -> None:
        """Write the counts of a minute that is over; of the present one as well when closing."""
        minute = int(time.time() // 60)
        if minute == self._minute and not closing:
            return
        self._minute = minute
        counted, self._more = self._more, {}
        for kind, count in counted.items():
            if count:
                self._say(kind, count)

    def _say(self, kind: _Kind, count: int) -> None:
        address, reason, key = kind
        self._note("refused", address=address, reason=reason, key=key, count=count)

    def _note(self, event: str, /, **about: Any) -> None:
        """A log that cannot be written is said, and stops no answer."""
        try:
            note(self.path, event, **about)
        except OSError as error:
            trouble = f"{self.path.name} cannot be written: {error.strerror}"
            if trouble != self.trouble:
                _logger.warning("%s", trouble)
            self.trouble = trouble
        else:
            self.trouble = ""
