"""The OpenAPI description of a server: every route of every pipeline, with real examples.

Written from the signatures that are served, not from code: a framework that reads types cannot know
the fields of a bundle, and its import would cost the server time and memory for one document.
"""

from __future__ import annotations

import math
from typing import Any

import workbench
from workbench.core.records import Column
from workbench.serving.columns import expected
from workbench.serving.models import Model
from workbench.serving.protocols import schemas
from workbench.serving.protocols.retrieval import is_chat, is_embedding, text_column
from workbench.serving.protocols.tensors import metadata, takes
from workbench.serving.request import Reply, Request, found
from workbench.serving.service import Service

MOST_PIXELS = 1024
"""Values of an image that an example spells out; larger ones are sent as bytes."""


def document(service: Service, request: Request) -> Reply:
    """OpenAPI 3.1 of what this caller may ask."""
    request.need("GET")
    models = service.models
    served = [
        models.by_name[name] for name in sorted(models.by_name) if request.caller.may_ask(name)
    ]
    return found(described(served))


def described(served: list[Model]) -> dict[str, Any]:
    """The document for these pipelines."""
    paths: dict[str, Any] = {}
    for model in served:
        paths |= _of_pipeline(model)
    if len(served) == 1:
        paths["/invocations"] = paths[f"/invocations/{served[0].pipeline}"]
    if chats := [model for model in served if is_chat(model.bundle)]:
        paths["/v1/chat/completions"] = _chat(chats)
    if vectors := [model for model in served if is_embedding(model.bundle)]:
        paths["/v1/embeddings"] = _embeddings(vectors)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "workbench",
            "version": workbench.__version__,
            "description": "What is served here, with an example of each pipeline's own data.",
        },
        "paths": paths | _of_server(),
        "components": {
            "schemas": schemas.SHARED,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }


def row_schema(model: Model) -> dict[str, Any]:
    """One row of named fields; what training saw is told, not demanded."""
    fields = {name: _field(column) for name, column in model.bundle.inputs.items()}
    return {
        "type": "object",
        "properties": fields,
        "additionalProperties": False,
        "minProperties": 1,
        "required": [n for n, c in model.bundle.inputs.items() if c.role == "image"],
    }


def _field(column: Column) -> dict[str, Any]:
    said = [column.description, f"Expected: {expected(column)}."]
    if column.low is not None and column.high is not None:
        said.append(f"In training: {column.low:g} to {column.high:g}.")
    if column.words:
        said.append(f"In training: {', '.join(word for word in column.words if word)}.")
    return {**schemas.value_of(column), "description": " ".join(filter(None, said))}


def _example(model: Model) -> dict[str, Any]:
    """The signature's own row; images, which no signature holds, as one grey pixel's file."""
    inputs = model.bundle.inputs
    row = {name: model.bundle.signature.example.get(name) for name in inputs}
    blanks = {n: schemas.blank_image(c) for n, c in inputs.items() if c.role == "image"}
    return row | {name: image for name, image in blanks.items() if row[name] is None}


def _of_pipeline(model: Model) -> dict[str, Any]:
    name, row, example = model.pipeline, row_schema(model), _example(model)
    rows = {"type": "array", "items": row, "minItems": 1, "maxItems": 10_000}
    several = {
        "type": "object",
        "properties": {"rows": rows},
        "required": ["rows"],
        "additionalProperties": False,
    }
    infer = schemas.operation(
        f"infer_{name}",
        f"Ask {name} with tensors (Open Inference Protocol, version 2).",
        schemas.ref("Inferred"),
        body=schemas.body(_infer_schema(model), tensors_of(model, example)),
    )
    about = schemas.operation(
        f"metadata_{name}", f"Inputs and outputs of {name}.", schemas.ref("Metadata"), method="get"
    )
    return {
        f"/predict/{name}": schemas.operation(
            f"predict_{name}",
            f"Ask {name} with named fields: one row, or several under `rows`.",
            schemas.ref("Predicted"),
            body=schemas.body({"anyOf": [row, several]}, example),
        ),
        f"/v2/models/{name}/infer": infer,
        f"/v2/models/{name}": about,
        f"/v2/models/{name}/ready": schemas.operation(
            f"ready_{name}", f"Whether {name} answers.", schemas.ref("Any"), method="get"
        ),
        f"/invocations/{name}": schemas.operation(
            f"invocations_{name}",
            f"Ask {name} as MLflow's scoring server is asked.",
            schemas.ref("Predictions"),
            body=schemas.body(_frames(model, row), {"dataframe_records": [example]}),
            error="MlflowError",
        ),
    }


def tensors_of(model: Model, example: dict[str, Any]) -> dict[str, Any] | None:
    """The example as a request of the Open Inference Protocol; None where it would be a book."""
    tensors: list[dict[str, Any]] = []
    for one in metadata(model)["inputs"]:
        column, value = model.bundle.inputs[one["name"]], example[one["name"]]
        values = value if isinstance(value, list) else [value]
        datatype = "BYTES" if isinstance(value, str) else one["datatype"]
        shape = [1, len(values)] if column.role == "list" else [1]
        if column.role == "image":
            shape, datatype = [1, *(max(size, 1) for size in column.shape)], "UINT8"
            values = [128] * math.prod(shape)
        if len(values) > MOST_PIXELS:
            return None
        if values:
            tensors.append(
                {"name": column.name, "shape": shape, "datatype": datatype, "data": values}
            )
    return {"inputs": tensors} if tensors else None


def _infer_schema(model: Model) -> dict[str, Any]:
    inputs = model.bundle.inputs
    tensor = {
        "type": "object",
        "properties": {
            "name": {"enum": sorted(inputs)},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1},
            "datatype": {"enum": sorted({kind for c in inputs.values() for kind in takes(c)})},
            "data": {"type": "array", "minItems": 1},
        },
        "required": ["name", "shape", "datatype", "data"],
    }
    output = {"type": "object", "properties": {"name": {"enum": model.bundle.output_names}}}
    return {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "inputs": {"type": "array", "items": tensor, "minItems": 1},
            "outputs": {"type": "array", "items": {**output, "required": ["name"]}},
        },
        "required": ["inputs"],
    }


def _frames(model: Model, row: dict[str, Any]) -> dict[str, Any]:
    """The four forms of rows that MLflow knows."""
    rows = {"type": "array", "items": row, "minItems": 1}
    names = {"type": "array", "items": {"enum": sorted(model.bundle.inputs)}, "uniqueItems": True}
    split = {
        "type": "object",
        "properties": {"columns": names, "data": {"type": "array", "items": {"type": "array"}}},
        "required": ["columns", "data"],
    }
    columns = {"type": "object", "properties": {n: {} for n in model.bundle.inputs}}
    forms = {
        "dataframe_records": rows,
        "dataframe_split": split,
        "instances": rows,
        "inputs": {**columns, "additionalProperties": False, "minProperties": 1},
    }
    return {
        "oneOf": [
            {
                "type": "object",
                "properties": {form: schema},
                "required": [form],
                "additionalProperties": False,
            }
            for form, schema in forms.items()
        ]
    }


def _chat(models: list[Model]) -> dict[str, Any]:
    example = models[0].bundle.signature.example.get(text_column(models[0].bundle).name)
    asked = {"role": "user", "content": example or "What is this?"}
    return schemas.operation(
        "chat",
        "Ask a pipeline that answers questions, as OpenAI is asked.",
        schemas.ref("Completion"),
        body=schemas.body(
            schemas.chat([m.pipeline for m in models]),
            {"model": models[0].pipeline, "messages": [asked]},
        ),
        error="OpenAIError",
    )


def _embeddings(models: list[Model]) -> dict[str, Any]:
    return schemas.operation(
        "embeddings",
        "Vectors of texts, as OpenAI gives them.",
        schemas.ref("Embeddings"),
        body=schemas.body(
            schemas.embeddings([m.pipeline for m in models]),
            {"model": models[0].pipeline, "input": "What is this?"},
        ),
        error="OpenAIError",
    )


def _of_server() -> dict[str, Any]:
    """Routes that are the same whatever is served."""
    anything = schemas.ref("Any")
    gets = {
        "/v2": ("server", "Who answers here."),
        "/v2/health/live": ("live", "The process answers."),
        "/v2/health/ready": ("health", "Whether every released pipeline is answered for."),
        "/v1/models": ("models", "The pipelines, as OpenAI lists models."),
    }
    return {
        path: schemas.operation(id, summary, anything, method="get")
        for path, (id, summary) in gets.items()
    } | {
        "/v2/repository/index": schemas.operation(
            "index", "Every released pipeline and its state.", {"type": "array"}
        ),
        "/feedback": schemas.operation(
            "feedback",
            "What turned out to be true of an answer, by its id; or a list of such.",
            schemas.ref("Any"),
            body=schemas.body(
                {
                    "type": "object",
                    "required": ["id", "outcome"],
                    "additionalProperties": False,
                    "properties": {"id": {"type": "string"}, "outcome": {}},
                }
            ),
        ),
    }
