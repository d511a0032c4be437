"""A rehearsal: held-out rows asked of a running server at a steady rate, marked as what they are.

So a newcomer sees living pages, and a release is tried before life does it. The mark is a header;
everything downstream counts such requests apart, and no service level knows of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import TYPE_CHECKING, Any

import msgspec

from workbench.core.errors import MissingError, ReleaseError, did_you_mean
from workbench.core.paths import Paths
from workbench.core.records import Column
from workbench.data.disturbance import Drift, drifted, drifts_of, spoilt
from workbench.data.heldout import Heldout, heldout
from workbench.serving.client import Client
from workbench.storage.bundle import read_signature
from workbench.storage.pointer import read_pointer

if TYPE_CHECKING:
    import httpx

HEADER = {"x-workbench-rehearsal": "1", "content-type": "application/json"}
URL = "http://127.0.0.1:8000"
OUTCOME_DELAY_S = 3.0
"""Life tells the truth later; here it takes some seconds."""

_OUTCOMES = 500
_MOST_WAITING = 256
_LOADING_S = 10.0
_LAST_WORDS_S = 5.0
_LOST = 20
"""Requests in a row that found no server: then it is gone, not busy."""


@dataclass(frozen=True)
class Rehearsal:
    """What is to be sent. seconds: None until it is stopped. bad_fraction: of rows with an error.

    key: of the server, if it asks for one. outcomes: tell what turned out to be true.
    """

    pipeline: str
    url: str = URL
    key: str | None = None
    rate_per_s: float = 20.0
    seconds: float | None = 60.0
    drift: tuple[str, ...] = ()
    bad_fraction: float = 0.0
    outcomes: bool = False
    seed: int = 1


@dataclass
class Tally:
    """What happened so far. refused: answers with status 4xx; failed: 5xx; lost: none at all.

    held: not sent, because too many waited for an answer. latencies_ms: the newest. decisions: of
    each kind; answered_by: answers by release and alias. said: the last reason for a refusal.
    """

    sent: int = 0
    answered: int = 0
    refused: int = 0
    failed: int = 0
    lost: int = 0
    held: int = 0
    bad: int = 0
    outcomes: int = 0
    said: str = ""
    latencies_ms: deque[float] = field(default_factory=lambda: deque[float](maxlen=2000))
    decisions: Counter[str] = field(default_factory=Counter[str])
    answered_by: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    lost_in_a_row: int = 0

    def latency_ms(self, q: float) -> float | None:
        """The quantile `q` of the newest latencies, as seen from here."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(int(q * len(ordered)), len(ordered) - 1)] if ordered else None


@dataclass(frozen=True)
class Stock:
    """What there is to send: rows of the test side, and what is done to them."""

    rows: Sequence[Heldout]
    columns: tuple[Column, ...]
    drifts: tuple[Drift, ...]


def prepare(paths: Paths, plan: Rehearsal) -> Stock:
    """Find rows for the champion's inputs; ReleaseError without one, DataError for a bad drift."""
    target = read_pointer(paths.pointer).pipelines.get(plan.pipeline, {}).get("champion")
    if target is None:
        known = read_pointer(paths.pointer).pipelines
        raise ReleaseError(
            f"'{plan.pipeline[:80]}' has no released champion.{did_you_mean(plan.pipeline, known)}",
            fix="run `workbench repro`, then `workbench serve`",
        )
    columns = read_signature(paths.bundles / target.digest).inputs
    drifts = drifts_of(plan.drift, columns)
    rows = heldout(paths, plan.pipeline, [c.name for c in columns], seed=plan.seed)
    return Stock(rows, columns, drifts)


def check_server(plan: Rehearsal) -> None:
    """Whether a server answers for the pipeline; else MissingError or ReleaseError says what to do.

    One that has just been started is waited for, for some seconds.
    """
    with Client(plan.url, plan.key, timeout_s=10.0) as client:
        deadline = time.monotonic() + _LOADING_S
        while plan.pipeline not in (served := [one.pipeline for one in client.models()]):
            if client.ready() or time.monotonic() > deadline:
                raise ReleaseError(
                    f"The server at {plan.url} does not answer for '{plan.pipeline[:80]}'."
                    f"{did_you_mean(plan.pipeline, served)}",
                    fix="look at what `workbench serve` says when it starts",
                )
            time.sleep(0.2)


async def rehearse(plan: Rehearsal, stock: Stock, tally: Tally, stop: asyncio.Event) -> None:
    """Send rows at the plan's rate until its time is over or `stop` is set, counting in `tally`.

    Requests under way are waited for, and outcomes that are known by then are told. MissingError
    when the server goes away.
    """
    import httpx

    key = {"authorization": f"Bearer {plan.key}"} if plan.key else {}
    limits = httpx.Limits(max_connections=_MOST_WAITING)
    async with httpx.AsyncClient(
        base_url=plan.url, headers=HEADER | key, timeout=30.0, limits=limits
    ) as client:
        sender = _Sender(plan, stock, tally, client)
        teller = asyncio.create_task(sender.tell_on())
        try:
            await sender.send_on(stop)
        finally:
            teller.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await teller
            await sender.finish()


class _Sender:
    def __init__(
        self, plan: Rehearsal, stock: Stock, tally: Tally, client: httpx.AsyncClient
    ) -> None:
        self.plan, self.stock, self.tally, self.client = plan, stock, tally, client
        self.chance = random.Random(plan.seed)
        self.under_way: set[asyncio.Task[None]] = set()
        self.known: deque[tuple[float, dict[str, Any]]] = deque()

    async def send_on(self, stop: asyncio.Event) -> None:
        """One request after the other, each at its time, whatever the answers take."""
        begun_s = time.monotonic()
        for count, row in enumerate(cycle(self.stock.rows)):
            at_s = begun_s + count / self.plan.rate_per_s
            if self.plan.seconds is not None and at_s >= begun_s + self.plan.seconds:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), max(0.0, at_s - time.monotonic()))
            if stop.is_set():
                return
            if self.tally.lost_in_a_row >= _LOST:
                raise MissingError(
                    f"The server at {self.plan.url} went away.",
                    kept=f"{self.tally.answered:,} requests were answered before",
                    fix="start it with `workbench serve`",
                )
            if len(self.under_way) >= _MOST_WAITING:
                self.tally.held += 1
                continue
            task = asyncio.create_task(self._send(row))
            self.under_way.add(task)
            task.add_done_callback(self.under_way.discard)

    async def tell_on(self) -> None:
        """Tell outcomes whose time has come."""
        while True:
            await asyncio.sleep(1.0)
            await self._tell(time.monotonic())

    async def finish(self) -> None:
        """Wait for what is under way, for some seconds, and tell what is left to tell."""
        if self.under_way:
            await asyncio.wait(self.under_way, timeout=_LAST_WORDS_S)
        if self.tally.lost_in_a_row < _LOST:
            while self.known:
                await self._tell(float("inf"))

    async def _send(self, row: Heldout) -> None:
        import httpx

        tally = self.tally
        fields = drifted(row.fields, self.stock.drifts)
        if self.chance.random() < self.plan.bad_fraction:
            tally.bad += 1
            fields = spoilt(fields, self.stock.columns, self.chance)
        tally.sent += 1
        begun_s = time.perf_counter()
        try:
            reply = await self.client.post(
                f"/predict/{self.plan.pipeline}", content=msgspec.json.encode(fields)
            )
        except httpx.TransportError as error:
            tally.lost += 1
            tally.lost_in_a_row += 1
            tally.said = f"{type(error).__name__}: {error}".rstrip(": ")
            return
        tally.lost_in_a_row = 0
        tally.latencies_ms.append((time.perf_counter() - begun_s) * 1000)
        if reply.status_code != 200:
            self._refused(reply)
            return
        self._answered(reply, row)

    def _answered(self, reply: httpx.Response, row: Heldout) -> None:
        said = reply.json()
        self.tally.answered += 1
        alias = reply.headers.get("x-alias", "champion")
        self.tally.answered_by[str(said["release"]), alias] += 1
        outputs = said["outputs"]
        decision = outputs.get("decision", outputs.get("class"))
        if decision is not None:
            self.tally.decisions[_word(decision)] += 1
        if self.plan.outcomes and row.outcome is not None:
            due_s = time.monotonic() + OUTCOME_DELAY_S
            self.known.append((due_s, {"id": said["id"], "outcome": row.outcome}))

    def _refused(self, reply: httpx.Response) -> None:
        if reply.status_code >= 500:
            self.tally.failed += 1
        else:
            self.tally.refused += 1
        with contextlib.suppress(ValueError, KeyError, TypeError):
            self.tally.said = str(reply.json()["error"])

    async def _tell(self, now_s: float) -> None:
        """Tell the outcomes that are due; what is refused is not told again."""
        import httpx

        due: list[dict[str, Any]] = []
        while self.known and self.known[0][0] <= now_s and len(due) < _OUTCOMES:
            due.append(self.known.popleft()[1])
        if not due:
            return
        try:
            reply = await self.client.post("/feedback", content=msgspec.json.encode(due))
        except httpx.TransportError:
            return
        if reply.status_code == 200:
            self.tally.outcomes += len(due)
            return
        with contextlib.suppress(ValueError, KeyError, TypeError):
            self.tally.said = f"Outcomes: {reply.json()['error']}"


def _word(decision: Any) -> str:
    """A decision as people say it."""
    if isinstance(decision, bool):
        return "yes" if decision else "no"
    return str(decision)
