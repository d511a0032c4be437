"""Rows of named fields, for people and for programs without a client of their own."""

from __future__ import annotations

import workbench
from workbench.serving.columns import columns_of
from workbench.serving.protocols.tensors import decode_any, decoded
from workbench.serving.request import Reply, Request, encode, found
from workbench.serving.service import Service, check_rows


async def predict(service: Service, request: Request, name: str) -> Reply:
    """Rows of named fields, or one row: then each output is a value, not a list."""
    request.need("POST")
    model = service.model(name)
    content = decoded(await request.body(), decode_any)
    rows = content.get("rows") if isinstance(content, dict) else None
    one = not isinstance(rows, list)
    if one:
        rows = [content]
    check_rows(len(rows))
    columns = columns_of(rows, model.bundle.inputs)
    answer = await service.answer(model, columns, len(rows), request)
    model = answer.model
    named = model.bundle.named(answer.outputs)
    body = {
        "id": answer.id,
        "pipeline": model.pipeline,
        "release": model.target.release,
        "outputs": {name: values[0] for name, values in named.items()} if one else named,
        "notice": model.bundle.signature.notice,
        "warnings": answer.warnings,
    }
    return Reply(encode(body), headers=answer.headers)


def welcome(service: Service, request: Request) -> Reply:
    """What to ask for, for who opens the server in a browser."""
    request.need("GET")
    names = sorted(filter(request.caller.may_ask, service.models.by_name))
    ways = ("GET /try", "GET /v2/models", "POST /predict")
    asked = [f"{way}/{name}" for name in names for way in ways]
    addresses = ["GET /v2/health/ready", "GET /openapi.json", *asked]
    return found({"workbench": workbench.__version__, "addresses": addresses})
