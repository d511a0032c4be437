"""Routes of the Open Inference Protocol, version 2."""

from __future__ import annotations

import workbench
from workbench.serving.protocols.tensors import (
    check_outputs,
    columns_in,
    decode_infer,
    decoded,
    infer_response,
    metadata,
    rows_in,
)
from workbench.serving.request import Refused, Reply, Request, encode, found
from workbench.serving.service import Service, check_rows


async def infer(service: Service, request: Request, name: str, version: str | None) -> Reply:
    """Tensors in, tensors out."""
    request.need("POST")
    model = service.model(name, version)
    body = await request.body()
    if request.header(b"inference-header-content-length") is not None:
        raise Refused(400, "Binary tensors are not spoken here: send `data` as JSON.")
    asked = decoded(body, decode_infer)
    check_outputs(asked, model.bundle)
    check_rows(rows_in(asked))
    columns, rows = columns_in(asked, model.bundle)
    answer = await service.answer(model, columns, rows, request)
    return Reply(
        infer_response(model, asked, answer.id, answer.outputs),
        headers=((b"x-prediction-id", answer.id.encode()),),
    )


def server(request: Request) -> Reply:
    """Who answers here."""
    request.need("GET")
    return found({"name": "workbench", "version": workbench.__version__, "extensions": []})


def live(request: Request) -> Reply:
    """The process answers."""
    request.need("GET")
    return found({"live": True})


def ready(service: Service, request: Request) -> Reply:
    """Whether every released pipeline is answered for; what is missing."""
    request.need("GET")
    models = service.models
    problems = dict(models.problems)
    if not models.loaded:
        problems["models"] = "still being loaded and warmed up"
    elif not models.by_name and not problems:
        problems["models"] = "nothing is released; run `workbench release`"
    if service.log.trouble:
        problems["passports"] = service.log.trouble
    body = {
        "ready": models.ready,
        "models": {
            name: {"release": model.target.release, "digest": model.target.digest}
            for name, model in models.by_name.items()
        },
        "problems": problems,
        "passports_dropped": service.log.dropped,
    }
    return Reply(encode(body), 200 if models.ready else 503)


def model_ready(service: Service, request: Request, name: str, version: str | None) -> Reply:
    """Whether one model answers."""
    request.need("GET")
    model = service.model(name, version)
    return found({"name": name, "version": model.version, "ready": True})


def model_metadata(service: Service, request: Request, name: str, version: str | None) -> Reply:
    """What a client must know of a model."""
    request.need("GET")
    return found(metadata(service.model(name, version)))
