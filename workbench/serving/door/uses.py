"""What each key has used: rates and monthly budgets, held over all server processes and restarts.

One small file in memory (mmap), a slot of 64 bytes for each key, at the place that the key has in
the list of keys. Limits are looked at under a `flock`, which costs 1.2 us; a database takes ten
times that. What decides nothing in this moment, uses of keys without limits and costs, is gathered
and added twice a second. What is in the mapping outlives the process, however it ends; `sync`
makes it outlive the machine.
"""

from __future__ import annotations

import calendar
import mmap
import os
import struct
import time
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_UN, flock
from pathlib import Path
from typing import NamedTuple

from workbench.core.errors import StateError
from workbench.core.secrets import private, private_folder
from workbench.serving.door.keys import Allowance, Key

SLOT = 64
_GROW = 64
"""Slots by which the file grows: a page."""
# The counts stand before the month that they are of: a process that is killed between the two
# leaves a new month with old counts never, an old one with new counts at worst.
_LAYOUT = struct.Struct("<QddddIi")
_unpack, _pack = _LAYOUT.unpack_from, _LAYOUT.pack_into


class Use(NamedTuple):
    """What is in a slot. requests, usd: in `month` (year * 100 + month, UTC).

    tokens: requests that the rate allows at once at `filled_s`. last_s: when it was used last. id:
    of the key, as a number; another one's slot is as good as empty.
    """

    requests: int
    usd: float
    tokens: float
    filled_s: float
    last_s: float
    id: int
    month: int


class Over(NamedTuple):
    """A limit that was reached, in words, and in how many seconds it is worth to ask again."""

    limit: str
    wait_s: float


@dataclass(slots=True, eq=False)
class Meter:
    """Where a key's use is counted, and what it may use. requests, usd: not yet added there."""

    offset: int
    id: int
    allowance: Allowance
    requests: int = 0
    usd: float = 0.0
    last_s: float = 0.0


def meter_of(key: Key, place: int) -> Meter:
    """The meter of the key at that place of the list."""
    return Meter(place * SLOT, int(key.id, 16), key.allowance)


class Uses:
    """The file, open in one process. Not for several threads, nor to be shared by a fork."""

    def __init__(self, path: Path, slots: int) -> None:
        """StateError when the file cannot be had."""
        self._begins_s = self._ends_s = 0.0
        self._month = 0
        self._changed = False
        self._gathered: list[Meter] = []
        try:
            private_folder(path.parent)
            self._file = private(str(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
            self._map = self._mapped(slots)
        except OSError as error:
            raise StateError(
                f"{path.name}, which counts what keys have used, cannot be written: "
                f"{error.strerror}.",
                fix=f"free space, or look at the rights of {path}",
            ) from None

    def grow(self, slots: int) -> None:
        """Have room for so many keys; OSError when the disk is full."""
        if slots * SLOT > len(self._map):
            old, self._map = self._map, self._mapped(slots)
            old.close()

    def _mapped(self, slots: int) -> mmap.mmap:
        """The file in memory; its space is taken first, or a full disk would kill us later."""
        size = (slots // _GROW + 1) * _GROW * SLOT
        os.posix_fallocate(self._file, 0, size)
        return mmap.mmap(self._file, size)

    def take(self, meter: Meter, now_s: float) -> Over | None:
        """Count one request, or say which limit it is over; then nothing is counted."""
        allowance = meter.allowance
        rate, per_month = allowance.rate_per_minute, allowance.requests_per_month
        budget_usd = allowance.usd_per_month
        if rate is None and per_month is None and budget_usd is None:
            if not meter.requests:
                self._gathered.append(meter)
            meter.requests += 1
            meter.last_s = now_s
            return None
        if not self._begins_s <= now_s < self._ends_s:
            self._turn(now_s)
        flock(self._file, LOCK_EX)
        try:
            requests, usd, tokens, filled_s, _, id, month = _unpack(self._map, meter.offset)
            if id != meter.id:
                month, tokens, filled_s = 0, rate or 0, now_s
            if month != self._month:
                requests, usd = 0, 0.0
            if per_month is not None and requests >= per_month:
                return Over(f"{per_month:,} requests of this month", self._ends_s - now_s)
            if budget_usd is not None and usd >= budget_usd:
                return Over(f"{budget_usd:g} USD of this month", self._ends_s - now_s)
            if rate is not None:
                # A clock that was put back gives nothing, and takes nothing either.
                tokens = min(rate, tokens + max(0.0, now_s - filled_s) * rate / 60)
                if tokens < 1:
                    return Over(f"{rate:,} requests a minute", (1 - tokens) * 60 / rate)
                tokens -= 1
            packed = requests + 1, usd, tokens, now_s, now_s, meter.id, self._month
            _pack(self._map, meter.offset, *packed)
            self._changed = True
            return None
        finally:
            flock(self._file, LOCK_UN)

    def charge(self, meter: Meter, usd: float) -> None:
        """Add the cost of an answer, in US dollars, to this month's."""
        if not meter.usd:
            self._gathered.append(meter)
        meter.usd += usd

    def add(self) -> None:
        """Add what was gathered."""
        if not self._gathered:
            return
        gathered, self._gathered = self._gathered, []
        self._turn(time.time())
        flock(self._file, LOCK_EX)
        try:
            for meter in gathered:
                self._add(meter)
        finally:
            flock(self._file, LOCK_UN)
        self._changed = True

    def _add(self, meter: Meter) -> None:
        use = Use(*_unpack(self._map, meter.offset))
        if use.id != meter.id:
            rate = meter.allowance.rate_per_minute or 0
            use = Use(0, 0.0, rate, meter.last_s, meter.last_s, meter.id, self._month)
        if use.month != self._month:
            use = use._replace(requests=0, usd=0.0, month=self._month)
        requests, usd = use.requests + meter.requests, use.usd + meter.usd
        last_s = max(use.last_s, meter.last_s)
        _pack(self._map, meter.offset, *use._replace(requests=requests, usd=usd, last_s=last_s))
        meter.requests, meter.usd = 0, 0.0  # once, however often it stands in the list

    def sync(self) -> None:
        """Write what changed to the disk; from any thread."""
        if self._changed:
            self._changed = False
            os.fsync(self._file)

    def close(self) -> None:
        """Keep all, on disk."""
        self.add()
        self.sync()
        self._map.close()
        os.close(self._file)

    def _turn(self, now_s: float) -> None:
        """Find out which month it is."""
        then = time.gmtime(now_s)
        after = (then.tm_year + then.tm_mon // 12, then.tm_mon % 12 + 1)
        self._begins_s = calendar.timegm((then.tm_year, then.tm_mon, 1, 0, 0, 0))
        self._ends_s = calendar.timegm((*after, 1, 0, 0, 0))
        self._month = _month(now_s)


def read_uses(path: Path, keys: tuple[Key, ...], now_s: float) -> list[Use | None]:
    """What each key has used this month, for people; None for one that was never used."""
    content = path.read_bytes() if path.is_file() else b""
    return [_use(content, meter_of(key, place), now_s) for place, key in enumerate(keys)]


def _use(content: bytes, meter: Meter, now_s: float) -> Use | None:
    if meter.offset + SLOT > len(content):
        return None
    use = Use(*_unpack(content, meter.offset))
    if use.id != meter.id:
        return None
    return use if use.month == _month(now_s) else use._replace(requests=0, usd=0.0)


def _month(now_s: float) -> int:
    then = time.gmtime(now_s)
    return then.tm_year * 100 + then.tm_mon
