"""Who answers a request: the champion, or on its way to becoming it, a challenger.

A canary answers its share, and where it fails the champion answers after all. A shadow gets a copy
once the champion has answered; nobody waits for it and nobody sees what it says. What they answered
and where they failed reaches the observers under their own alias.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections import deque
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Protocol

from workbench.core.errors import DataError
from workbench.serving.batcher import Stuck
from workbench.serving.breaker import Breaker
from workbench.serving.models import ANSWERS, Model, Models
from workbench.serving.request import Refused, Request
from workbench.storage.pointer import Traffic

if TYPE_CHECKING:
    from workbench.serving.service import Answered, Observer

MAX_MIRRORED_ROWS = 2_000
"""That wait for shadows; beyond it copies are dropped and counted."""

Columns = dict[str, Any]
_logger = logging.getLogger(__name__)


class Answer(Protocol):
    """Answers by one model, recorded and told to the observers."""

    async def __call__(
        self, model: Model, columns: Columns, rows: int, request: Request | None, begun_s: float
    ) -> Answered:
        """Rows given by column; begun_s: when its client began to wait (`time.perf_counter`)."""
        ...


def is_drawn(
    traffic: Traffic, challenger: Model, columns: Mapping[str, Any], request: Request | None
) -> bool:
    """Whether a request is the challenger's: by chance, or by the hash of its sticky value.

    A value that is drawn stays so when the weight grows; the next release draws others.
    """
    if traffic.sticky is None:
        return random.random() < traffic.weight
    value = columns.get(traffic.sticky)
    if value is not None:
        key = str(value[0]).encode(errors="replace")
    else:
        key = request and request.header(traffic.sticky.lower().encode())
    if key is None:
        return False
    salt = bytes.fromhex(challenger.target.digest[:32])
    hashed = blake2b(key, digest_size=8, salt=salt).digest()
    return int.from_bytes(hashed) < traffic.weight * 2**64


class Router:
    """Sends each request to whom it belongs, and lets nobody wait for a model that fails.

    dropped: copies for shadows that found no place, by pipeline.
    """

    def __init__(self, answer: Answer, observers: Sequence[Observer]) -> None:
        self._answer = answer
        self._observers = observers
        self._breakers: dict[str, Breaker] = {}
        self._copies: deque[tuple[Model, Columns, int, Request | None]] = deque()
        self._copied_rows = 0
        self._mirror: asyncio.Task[None] | None = None
        self.dropped: dict[str, int] = {}

    async def answer(
        self, models: Models, model: Model, columns: Columns, rows: int, request: Request | None
    ) -> Answered:
        """Let `model` answer, or its challenger in its place; errors are those of the champion."""
        begun_s = request.begun_s if request else time.perf_counter()
        traffic = models.traffic.get(model.pipeline)
        if model.pinned and request is not None:
            request.model = model
        if traffic is None or model.pinned or model.alias != ANSWERS:
            return await self._guarded(model, columns, rows, request, begun_s)
        challenger = models.challengers[model.pipeline]
        drawn = is_drawn(traffic, challenger, columns, request)
        if drawn and traffic.mode == "canary":
            return await self._tried(challenger, model, columns, rows, request, begun_s)
        answer = await self._guarded(model, columns, rows, request, begun_s)
        if drawn:
            self._copy(challenger, columns, rows, request)
        return answer

    @property
    def problems(self) -> dict[str, str]:
        """Models that are not asked, because they failed: a sentence by name."""
        return {
            breaker.name: f"It failed {breaker.failures} times and is not asked for now."
            for breaker in self._breakers.values()
            if breaker.is_open
        }

    async def _guarded(
        self, model: Model, columns: Columns, rows: int, request: Request | None, begun_s: float
    ) -> Answered:
        """The model's answer; Refused at once while its circuit is open."""
        digest = model.target.digest
        breaker = self._breakers.get(digest) if self._breakers else None
        if breaker is not None and (wait_s := breaker.wait_s()):
            raise _away(model, "fails, and is not asked for now", wait_s)
        try:
            answer = await self._answer(model, columns, rows, request, begun_s)
        except (Refused, DataError):
            raise
        except Exception as error:
            name = f"{model.pipeline} release {model.version}"
            breaker = self._breakers.setdefault(digest, Breaker(name))
            was_open = breaker.is_open
            breaker.failed(at_once=isinstance(error, Stuck))
            if breaker.is_open and not was_open:
                _logger.error("%s is not asked for now: %s", name, error)
            if isinstance(error, Stuck):
                raise _away(model, f"does not come back: {error}", breaker.wait_s()) from None
            raise
        if breaker is not None:
            self._breakers.pop(digest, None)
        return answer

    async def _tried(
        self,
        challenger: Model,
        champion: Model,
        columns: Columns,
        rows: int,
        request: Request | None,
        begun_s: float,
    ) -> Answered:
        """The challenger's answer, or else the champion's.

        What the champion cannot answer either is the client's fault and says nothing of the
        challenger. The time that it lost is its own: the champion's begins with its own attempt.
        """
        try:
            own = _fitting(columns, challenger)
            return await self._guarded(challenger, own, rows, request, begun_s)
        except Exception:
            failed_s = time.perf_counter()
            answer = await self._guarded(champion, columns, rows, request, failed_s)
        self._failed(challenger, request, failed_s - begun_s)
        return answer

    def _failed(self, model: Model, request: Request | None, latency_s: float) -> None:
        rehearsal = request is not None and request.is_rehearsal
        for observer in self._observers:
            observer.refused(model, 500, latency_s, rehearsal)

    def _copy(self, shadow: Model, columns: Columns, rows: int, request: Request | None) -> None:
        """Let the shadow answer later, where there is a place."""
        if self._copied_rows + rows > MAX_MIRRORED_ROWS:
            self.dropped[shadow.pipeline] = self.dropped.get(shadow.pipeline, 0) + 1
            return
        self._copied_rows += rows
        self._copies.append((shadow, columns, rows, request))
        if self._mirror is None or self._mirror.done():
            self._mirror = asyncio.get_running_loop().create_task(self._mirrored())

    async def _mirrored(self) -> None:
        """Answer the copies that came while the last ones were answered, as one batch."""
        while self._copies:
            copies = list(self._copies)
            self._copies.clear()
            await asyncio.gather(*(self._shadowed(*copy) for copy in copies))
            self._copied_rows -= sum(rows for _, _, rows, _ in copies)

    async def _shadowed(
        self, shadow: Model, columns: Columns, rows: int, request: Request | None
    ) -> None:
        """One answer that nobody sees; the champion had one, so that any failure is its own."""
        begun_s = time.perf_counter()
        try:
            await self._guarded(shadow, _fitting(columns, shadow), rows, request, begun_s)
        except Exception:
            self._failed(shadow, request, time.perf_counter() - begun_s)

    def close(self) -> None:
        """Forget the copies that wait."""
        if self._mirror is not None:
            self._mirror.cancel()


def _fitting(columns: Columns, model: Model) -> Columns:
    """Without what the model does not take: its clients speak to the champion."""
    known = model.bundle.inputs
    if columns.keys() <= known.keys():
        return columns
    return {name: values for name, values in columns.items() if name in known}


def _away(model: Model, why: str, wait_s: float) -> Refused:
    retry = (b"retry-after", b"%d" % max(1, math.ceil(wait_s)))
    return Refused(503, f"Release {model.version} of '{model.pipeline}' {why}.", (retry,))
