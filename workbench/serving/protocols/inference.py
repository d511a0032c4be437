"""Routes of the Open Inference Protocol, version 2."""

from __future__ import annotations

from collections.abc import Mapping

import workbench
from workbench.serving.protocols import binary
from workbench.serving.protocols.tensors import (
    check_outputs,
    columns_in,
    decode_infer,
    decoded,
    infer_response,
    metadata,
    rows_in,
)
from workbench.serving.request import ANYBODY, Reply, Request, encode, found
from workbench.serving.service import Service, check_rows


async def infer(service: Service, request: Request, name: str, version: str | None) -> Reply:
    """Tensors in, tensors out."""
    request.need("POST")
    model = service.model(name, version)
    body = await request.body()
    if (length := request.header(binary.HEAD_LENGTH)) is not None:
        asked = binary.decoded_with_bytes(body, length)
    else:
        asked = decoded(body, decode_infer)
    check_outputs(asked, model.bundle)
    check_rows(rows_in(asked))
    columns, rows = columns_in(asked, model.bundle)
    answer = await service.answer(model, columns, rows, request)
    headers = answer.headers
    if (asked.parameters or asked.outputs) and (wanted := binary.wanted(asked, answer.outputs)):
        return binary.reply(asked, answer, wanted, headers)
    return Reply(infer_response(asked, answer), headers=headers)


def server(request: Request) -> Reply:
    """Who answers here."""
    request.need("GET")
    extensions = ["binary_tensor_data", "model_repository"]
    return found({"name": "workbench", "version": workbench.__version__, "extensions": extensions})


def live(request: Request) -> Reply:
    """The process answers."""
    request.need("GET")
    return found({"live": True})


def ready(service: Service, request: Request, troubles: Mapping[str, str]) -> Reply:
    """Whether every released pipeline is answered for; what is missing, for who has a key.

    troubles: of what stands around the models, by name; "" where there is none.
    """
    request.need("GET")
    models = service.models
    if request.caller is ANYBODY:
        return Reply(encode({"ready": models.ready}), 200 if models.ready else 503)
    problems = {**models.problems, **service.router.problems}
    if not models.loaded:
        problems["models"] = "still being loaded and warmed up"
    elif not models.by_name and not problems:
        problems["models"] = "nothing is released; run `workbench release`"
    problems |= {name: trouble for name, trouble in troubles.items() if trouble}
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
