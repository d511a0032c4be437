"""One answer: the model's outputs, checked, with the passport that explains them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from workbench.serving.models import Model
from workbench.serving.passport import Passport, PassportLog, time_of
from workbench.serving.session import Outputs

INLINE_S = 0.005
"""Longer calls leave the event loop: up to here a thread's hand-over costs more than it gives."""


class Dispatcher:
    """Decides where a call runs: fast ones at once and in place, slow ones on one thread.

    Texts and images always take the thread: how long one takes is in the hands of its client.
    A micro-batcher belongs here: `run` is where concurrent calls for one model meet.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    async def run(self, model: Model, columns: Mapping[str, Any], rows: int) -> Outputs:
        """Answer `rows` rows; DataError and BundleError as `Bundle.predict`."""
        if not model.bundle.heavy and model.call_s * rows <= INLINE_S:
            return model.bundle.predict(columns)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, model.bundle.predict, columns)

    def close(self) -> None:
        self._thread.shutdown()


def record(
    log: PassportLog, model: Model, inputs: dict[str, Any], outputs: Outputs, start_s: float
) -> Passport:
    """Log the passport of an answer begun at `start_s` (`time.perf_counter`); return it."""
    id = log.next_id()
    passport = Passport(
        id=id,
        time_s=time_of(id),
        pipeline=model.pipeline,
        alias=model.alias,
        digest=model.target.digest,
        release=model.target.release,
        run_id=model.target.run_id,
        inputs=inputs,
        outputs={name: values.tolist() for name, values in outputs.items()},
        latency_ms=(time.perf_counter() - start_s) * 1000,
        notice=model.bundle.signature.notice,
    )
    log.append(passport)
    return passport
