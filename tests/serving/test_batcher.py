from __future__ import annotations

import asyncio
import dataclasses
import threading

import numpy as np
import pytest

from tests.serving import bundles
from workbench.core.errors import DataError
from workbench.serving import batcher as module
from workbench.serving.batcher import INLINE_S, Batcher, Overloaded
from workbench.serving.models import load_model


def _threads() -> set[str]:
    return {t.name for t in threading.enumerate() if t.name.startswith("model")}


@pytest.fixture
def model(paths, tmp_path):
    target = bundles.release(paths, "fraud", bundles.fraud(tmp_path / "bundle"))
    return load_model(paths, "fraud", target)


@pytest.fixture
def batcher():
    made = Batcher()
    yield made
    made.close()


def test_a_slow_model_answers_on_its_own_thread_and_a_fast_one_in_place(model, batcher):
    fast = dataclasses.replace(model, call_s=INLINE_S / 10)
    slow = dataclasses.replace(model, call_s=INLINE_S * 2)
    columns = {"amount": [1.0], "country": ["fr"]}
    in_place = asyncio.run(batcher.run(fast, columns, 1))
    assert not _threads()
    aside = asyncio.run(batcher.run(slow, columns, 1))
    assert _threads()
    assert in_place["score"] == aside["score"]
    with pytest.raises(DataError):
        asyncio.run(batcher.run(slow, {"amount": ["x"]}, 1))
    asyncio.run(batcher.run(fast, {"amount": [1.0] * 20}, 20))


async def _all(batcher, model, calls):
    runs = (batcher.run(model, columns, rows) for columns, rows in calls)
    return await asyncio.gather(*runs, return_exceptions=True)


@pytest.mark.parametrize("call_s", [INLINE_S / 100, INLINE_S * 2])
def test_calls_of_one_moment_are_one_batch_and_each_gets_its_own_rows(model, batcher, call_s):
    calls = [({"amount": [float(n)], "country": ["fr"]}, 1) for n in range(20)]
    calls += [({"amount": [50.0, 60.0, 70.0]}, 3), ({"country": ["de"]}, 1)]
    own = dataclasses.replace(model, call_s=call_s)
    found = asyncio.run(_all(batcher, own, calls))
    assert batcher.batches == 1
    assert batcher.calls == len(calls)
    for (columns, _), answer in zip(calls, found, strict=True):
        np.testing.assert_allclose(answer["score"], model.bundle.predict(columns)["score"], 1e-6)
    assert batcher.waiting_rows == 0


def test_a_call_that_does_not_fit_fails_alone_and_names_its_own_row(model, batcher):
    calls = [({"amount": [1.0]}, 1), ({"amount": ["x"]}, 1), ({"amount": [3.0]}, 1)]
    good, bad, last = asyncio.run(_all(batcher, model, calls))
    assert isinstance(bad, DataError)
    assert "rows[0]" in bad.problem
    assert good["score"] != last["score"]


def test_lists_and_arrays_of_one_column_are_answered_apart(model, batcher):
    calls = [({"amount": [1.0]}, 1), ({"amount": np.array([1.0], np.float32)}, 1)]
    one, other = asyncio.run(_all(batcher, model, calls))
    assert one["score"] == other["score"]


def test_what_comes_while_a_slow_model_runs_is_its_next_batch(model, batcher):
    slow = dataclasses.replace(model, call_s=INLINE_S * 2)

    async def talk():
        first = asyncio.create_task(batcher.run(slow, {"amount": [1.0]}, 1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # the first is under way
        rest = [batcher.run(slow, {"amount": [float(n)]}, 1) for n in range(5)]
        return await asyncio.gather(first, *rest)

    asyncio.run(talk())
    assert (batcher.batches, batcher.calls) == (2, 6)


def test_too_many_waiting_rows_are_refused_at_once(model, batcher, monkeypatch):
    monkeypatch.setattr(module, "MAX_WAITING_ROWS", 4)
    calls = [({"amount": [1.0] * 3}, 3), ({"amount": [1.0] * 2}, 2), ({"amount": [1.0]}, 1)]
    first, second, third = asyncio.run(_all(batcher, model, calls))
    assert isinstance(second, Overloaded)
    assert len(first["score"]) == 3
    assert len(third["score"]) == 1


def test_a_client_that_goes_away_leaves_the_others_their_answers(model, batcher):
    async def talk():
        gone = asyncio.create_task(batcher.run(model, {"amount": [1.0]}, 1))
        await asyncio.sleep(0)
        gone.cancel()
        return await batcher.run(model, {"amount": [2.0]}, 1)

    assert asyncio.run(talk())["score"].shape == (1,)
    assert batcher.waiting_rows == 0


def test_rows_of_clients_that_went_away_never_fill_the_queue_of_those_who_stay(model, batcher):
    """Somebody always waits, so the queue is never begun anew."""

    async def talk():
        staying = [asyncio.create_task(batcher.run(model, {"amount": [0.0]}, 1))]
        for number in range(1, 20):
            gone = asyncio.create_task(batcher.run(model, {"amount": [1.0] * 5}, 5))
            staying.append(asyncio.create_task(batcher.run(model, {"amount": [float(number)]}, 1)))
            await asyncio.sleep(0)  # all wait
            gone.cancel()
            queue = batcher._queues[model.bundle]
            held = asyncio.create_task(batcher.run(model, {"amount": [2.0]}, 1))
            await asyncio.gather(*staying)
            await held
            assert queue.rows == 0

    asyncio.run(talk())
