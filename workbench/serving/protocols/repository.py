"""The model repository extension of the Open Inference Protocol: list, load and unload.

A pipeline that is unloaded leaves a mark in a folder, which every server process of this checkout
sees at its next look: they agree, also after a restart, and whichever release the pointer names.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import Any

from workbench.core.errors import DataError, did_you_mean
from workbench.core.paths import Paths
from workbench.core.secrets import private_folder
from workbench.serving.models import Model
from workbench.serving.protocols.tensors import decode_any, decoded
from workbench.serving.request import Refused, Reply, Request, found
from workbench.serving.service import Service

PATIENCE_S = 60.0
_LOOK_S = 0.05


async def index(service: Service, request: Request) -> Reply:
    """Every released pipeline, whether it is answered for, and if not, why."""
    request.need("POST")
    body = await request.body()
    asked = decoded(body, decode_any) if body else {}
    if not isinstance(asked, dict):
        raise DataError('The body must be an object, such as {"ready": true}, or empty.')
    models = service.models
    listed = [_ready(model) for model in models.all]
    if asked.get("ready") is not True:
        absent = (models.pointed | set(models.problems)) - set(models.by_name)
        listed += [
            {
                "name": name,
                "version": "",
                "state": "UNAVAILABLE",
                "reason": models.problems.get(name, "not loaded yet"),
            }
            for name in sorted(absent)
        ]
    return found([one for one in listed if request.caller.may_ask(one["name"])])


async def load(service: Service, paths: Paths, request: Request, name: str) -> Reply:
    """Answer for a pipeline again; 404 when it is not released, 503 when it cannot be loaded."""
    _check(service, request, name)
    mark = paths.unloaded / name
    if mark.exists():
        mark.unlink(missing_ok=True)
        _let_all_look(paths)
    await _until(lambda: name in service.models.by_name or _failed(service, name))
    return found({"name": name, "state": "READY", "version": service.model(name).version})


async def unload(service: Service, paths: Paths, request: Request, name: str) -> Reply:
    """Answer for a pipeline no more, until it is loaded; what is under way is answered."""
    _check(service, request, name)
    private_folder(paths.unloaded)
    (paths.unloaded / name).touch()
    _let_all_look(paths)
    await _until(lambda: name not in service.models.by_name)
    return found({"name": name, "state": "UNAVAILABLE"})


def _check(service: Service, request: Request, name: str) -> None:
    request.need("POST")
    if not request.caller.is_admin:
        raise Refused(403, "Only a key with the role admin loads and unloads models.")
    models = service.models
    known = models.pointed | set(models.by_name) | set(models.problems)
    if name not in known:
        raise Refused(404, f"'{name[:80]}' is not released.{did_you_mean(name, known)}")


def _failed(service: Service, name: str) -> bool:
    """Whether it was looked at again, and something else is wrong with it."""
    return name in service.models.pointed and name in service.models.problems


def _let_all_look(paths: Paths) -> None:
    """Make the pointer look new, which every server process watches; moved meanwhile it is new."""
    with contextlib.suppress(FileNotFoundError):
        os.utime(paths.pointer)


async def _until(holds: Callable[[], bool]) -> None:
    """Wait until the watch over the pointer has made it true."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        raise Refused(
            503, f"It has not happened within {PATIENCE_S:.0f} seconds; the server's log says why."
        ) from None


def _ready(model: Model) -> dict[str, Any]:
    return {"name": model.pipeline, "version": model.version, "state": "READY", "reason": ""}
