from __future__ import annotations

import asyncio
import dataclasses
import threading

import pytest

from tests.serving import bundles
from workbench.core.errors import DataError
from workbench.serving.answers import INLINE_S, Dispatcher
from workbench.serving.models import load_model


def _threads() -> set[str]:
    return {t.name for t in threading.enumerate() if t.name.startswith("model")}


def test_a_slow_model_answers_on_its_own_thread_and_a_fast_one_in_place(paths, tmp_path):
    target = bundles.release(paths, "fraud", bundles.fraud(tmp_path / "bundle"))
    model = load_model(paths, "fraud", target)
    fast = dataclasses.replace(model, call_s=INLINE_S / 10)
    slow = dataclasses.replace(model, call_s=INLINE_S * 2)
    dispatcher = Dispatcher()
    columns = {"amount": [1.0], "country": ["fr"]}
    in_place = asyncio.run(dispatcher.run(fast, columns, 1))
    assert not _threads()
    aside = asyncio.run(dispatcher.run(slow, columns, 1))
    assert _threads()
    assert in_place["score"] == aside["score"]
    with pytest.raises(DataError):
        asyncio.run(dispatcher.run(slow, {"amount": ["x"]}, 1))
    asyncio.run(dispatcher.run(fast, {"amount": [1.0] * 20}, 20))
    dispatcher.close()
    assert not _threads()
