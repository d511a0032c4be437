"""Where calls for one model meet: those of one moment are answered by one run of its graph.

Nothing ever waits for company. Requests that have come when the event loop turns are answered
together; what comes while a slow model runs is its next batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from workbench.core.errors import BundleError, DataError
from workbench.serving.models import Model
from workbench.serving.session import Bundle, Outputs
from workbench.serving.worker import Worker

INLINE_S = 0.005
"""Longer calls leave the event loop: up to here a thread's hand-over costs more than it gives."""

MAX_WAITING_ROWS = 50_000
"""For one model; beyond it a call is refused at once rather than answered too late."""


LIMIT_S, LIMIT_TIMES = 5.0, 20
"""A batch that takes longer, and so many times longer than expected, is given up."""


class Overloaded(Exception):
    """More waits for a model than it can answer soon."""


class Stuck(Exception):
    """A model did not come back in time; whoever waited for it is let go."""


class Call(NamedTuple):
    """Rows that wait for their answer."""

    columns: Mapping[str, Any]
    rows: int
    answer: asyncio.Future[Outputs]


@dataclass
class _Queue:
    """Calls that wait for one model. busy: a batch is under way on its thread; gone: given up."""

    model: Model
    calls: list[Call] = field(default_factory=list[Call])
    rows: int = 0
    planned: bool = False
    busy: bool = False
    gone: bool = False


class Batcher:
    """Answers calls in batches: fast models in place, slow ones on a thread of their own.

    Texts, images and graphs with loops always take it: how long one takes is in the hands of its
    client. A batch that does not come back is interrupted, and its calls fail.
    on_batch: called with the model of each batch.
    """

    def __init__(self, on_batch: Callable[[Model], None] | None = None) -> None:
        self.on_batch = on_batch
        self._workers: WeakKeyDictionary[Bundle, Worker] = WeakKeyDictionary()
        self._queues: dict[Bundle, _Queue] = {}
        self.batches = self.calls = 0

    @property
    def waiting_rows(self) -> int:
        """Rows of all models that wait or are being answered."""
        return sum(queue.rows for queue in self._queues.values())

    async def run(self, model: Model, columns: Mapping[str, Any], rows: int) -> Outputs:
        """Answer `rows` rows; errors as those of `Bundle.predict`, or Overloaded, or Stuck."""
        queue = self._queues.get(model.bundle)
        if queue is None:
            queue = self._queues[model.bundle] = _Queue(model)
        if queue.rows and queue.rows + rows > MAX_WAITING_ROWS:
            raise Overloaded
        loop = asyncio.get_running_loop()
        call = Call(columns, rows, loop.create_future())
        queue.calls.append(call)
        queue.rows += rows
        if not queue.planned and not queue.busy:
            queue.planned = True
            loop.call_soon(self._flush, queue)
        return await call.answer

    def _flush(self, queue: _Queue) -> None:
        """Answer what waits, as much at once as memory allows."""
        queue.planned = False
        taken = _together(queue)
        rows = sum(call.rows for call in taken)
        calls = [call for call in taken if not call.answer.cancelled()]
        if not calls:  # their clients have gone
            self._next(queue, rows)
            return
        self.batches += 1
        self.calls += len(calls)
        if self.on_batch is not None:
            self.on_batch(queue.model)
        bundle = queue.model.bundle
        expected_s = queue.model.expected_s(rows)
        if not bundle.heavy and not queue.model.loops and expected_s <= INLINE_S:
            _give(calls, answered(bundle, calls))
            self._next(queue, rows)
            return
        queue.busy = True
        limit_s = max(LIMIT_S, LIMIT_TIMES * expected_s)
        over = asyncio.get_running_loop().call_later(limit_s, self._give_up, queue, calls, limit_s)

        def done(answers: list[Outputs | Exception] | Exception) -> None:
            over.cancel()
            if queue.gone:
                return
            queue.busy = False
            _give(calls, [answers] * len(calls) if isinstance(answers, Exception) else answers)
            self._next(queue, rows)

        worker = self._workers.get(bundle)
        if worker is None:
            worker = self._workers[bundle] = Worker()
        worker.submit(partial(answered, bundle, calls), done)

    def _give_up(self, queue: _Queue, calls: Sequence[Call], limit_s: float) -> None:
        """Let go who waits for a batch that does not come back; the next get a new thread."""
        queue.gone = True
        bundle = queue.model.bundle
        self._queues.pop(bundle, None)
        self._workers.pop(bundle, None)
        bundle.interrupt()
        waiting = [*calls, *queue.calls]
        _give(waiting, [Stuck(f"No answer within {limit_s:.0f} s.") for _ in waiting])

    def _next(self, queue: _Queue, rows: int) -> None:
        queue.rows -= rows
        if queue.calls:
            queue.planned = True
            asyncio.get_running_loop().call_soon(self._flush, queue)
        elif not queue.busy:
            self._queues.pop(queue.model.bundle, None)

    def close(self) -> None:
        """End the threads."""
        for worker in list(self._workers.values()):
            worker.end()


def _together(queue: _Queue) -> list[Call]:
    """Take calls from the queue, at least one, up to the rows that are answered at once."""
    taken, rows = 0, 0
    for call in queue.calls:
        if taken and rows + call.rows > queue.model.bundle.rows_at_once:
            break
        taken, rows = taken + 1, rows + call.rows
    calls, queue.calls = queue.calls[:taken], queue.calls[taken:]
    return calls


def _give(calls: Sequence[Call], answers: Sequence[Outputs | Exception]) -> None:
    for call, answer in zip(calls, answers, strict=True):
        if call.answer.done():
            continue  # its client has gone
        if isinstance(answer, Exception):
            call.answer.set_exception(answer)
        else:
            call.answer.set_result(answer)


def answered(bundle: Bundle, calls: Sequence[Call]) -> list[Outputs | Exception]:
    """Answer all calls by one run of the graph; one that does not fit fails alone."""
    if len(calls) > 1:
        try:
            merged = _merged(calls)
            whole = bundle.predict(merged) if merged is not None else None
        except (DataError, BundleError):
            whole = None  # somebody's fault: found below, each call by itself
        if whole is not None:
            return _shares(calls, whole)
    return [_alone(bundle, call) for call in calls]


def _alone(bundle: Bundle, call: Call) -> Outputs | Exception:
    try:
        return bundle.predict(call.columns)
    except Exception as error:
        return error


def _merged(calls: Sequence[Call]) -> dict[str, Any] | None:
    """Columns of all calls, one after the other; None where they are of unlike kinds."""
    given = [call.columns for call in calls]
    if all(columns.keys() == given[0].keys() for columns in given):
        values = chain.from_iterable(columns.values() for columns in given)
        if set(map(type, values)) == {list}:  # what clients of one kind send
            return {
                name: list(chain.from_iterable([columns[name] for columns in given]))
                for name in given[0]
            }
    names = dict.fromkeys(name for call in calls for name in call.columns)
    merged: dict[str, Any] = {}
    for name in names:
        parts = [call.columns.get(name) for call in calls]
        if any(isinstance(part, np.ndarray) for part in parts):
            arrays = [part for part in parts if isinstance(part, np.ndarray)]
            shapes = {(array.shape[1:], array.dtype) for array in arrays}
            if len(arrays) < len(parts) or len(shapes) > 1:
                return None
            merged[name] = np.concatenate(arrays)
            continue
        merged[name] = column = []
        for part, call in zip(parts, calls, strict=True):
            column.extend([None] * call.rows if part is None else part)
    return merged


def _shares(calls: Sequence[Call], whole: Outputs) -> list[Outputs | Exception]:
    """Each call's rows of the outputs of all."""
    shares: list[Outputs | Exception] = []
    at = 0
    for call in calls:
        shares.append({name: values[at : at + call.rows] for name, values in whole.items()})
        at += call.rows
    return shares
