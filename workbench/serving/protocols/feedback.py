"""True outcomes: what turned out to be true of an answer, told when it is known."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec

from workbench.core.errors import DataError
from workbench.serving.protocols.tensors import decoded
from workbench.serving.request import Caller, Reply, Request, found
from workbench.serving.service import Service
from workbench.storage.predictions.lookup import locate

MAX_OUTCOMES = 1000
"""In one request; each is looked up in the log."""


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One outcome. id: of the answer; outcome: in the words or numbers of the pipeline's target."""

    id: str
    outcome: Any


_decode = msgspec.json.Decoder(Told | list[Told]).decode


async def feedback(service: Service, request: Request) -> Reply:
    """Take `{"id": ..., "outcome": ...}`, or a list of them.

    DataError names the first that cannot be taken, and how many before it were.
    """
    request.need("POST")
    content = decoded(await request.body(), _decode)
    told = [content] if isinstance(content, Told) else content
    if len(told) > MAX_OUTCOMES:
        raise DataError(f"{len(told)} outcomes in one request; send at most {MAX_OUTCOMES}.")
    # Files are looked into for each, and other requests must not wait for that.
    await asyncio.to_thread(_record, service, request.caller, told, time.time())
    return found({"recorded": len(told)})


def _record(service: Service, caller: Caller, told: list[Told], now_s: float) -> None:
    for place, one in enumerate(told):
        try:
            _check(service, caller, one)
            service.log.feedback(one.id, one.outcome, now_s)
        except DataError as error:
            if not place:
                raise
            raise DataError(f"{error.problem} The {place} before it were recorded.") from None


def _check(service: Service, caller: Caller, one: Told) -> None:
    """Of a pipeline that this key may not ask it may not tell either; only the log knows which."""
    if not caller.pipelines:
        return
    place = locate(service.log.folder, one.id)
    if place is None:  # it may be an answer of a moment ago
        service.log.flush()
        place = locate(service.log.folder, one.id)
    if place is not None:
        caller.need(place.partition.pipeline)
