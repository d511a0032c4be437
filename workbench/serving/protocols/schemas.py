"""The pieces that an OpenAPI description is made of: values, bodies, answers, errors."""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Sequence
from typing import Any

from workbench.core.records import Column

_JSON = "application/json"
_TEXT: dict[str, Any] = {"type": "string"}
_WHOLE: dict[str, Any] = {"type": "integer"}
_LARGEST = 3.4e38

VALUES: dict[str, dict[str, Any]] = {
    "number": {"type": ["number", "null"], "minimum": -_LARGEST, "maximum": _LARGEST},
    "word": {"type": ["string", "integer", "null"]},
    "text": {"type": ["string", "null"]},
    "list": {
        "type": ["array", "null"],
        "items": {"type": ["string", "integer", "null"]},
        "maxItems": 1000,
    },
    "time": {
        "anyOf": [
            {"type": "string", "format": "date-time"},
            {"type": "number", "minimum": -(2**53), "maximum": 2**53},
            {"type": "null"},
        ]
    },
    "image": {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"},
}
"""One value of each role, as JSON Schema."""


def _object(required: Sequence[str] = (), **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


SHARED: dict[str, Any] = {
    "Any": {"type": "object"},
    "Error": _object(["error"], error=_TEXT),
    "MlflowError": _object(["error_code", "message"], error_code=_TEXT, message=_TEXT),
    "OpenAIError": _object(
        ["error"], error=_object(["message", "type"], message=_TEXT, type=_TEXT)
    ),
    "Predicted": _object(
        ["id", "pipeline", "release", "outputs"],
        id={**_TEXT, "description": "of the prediction: `workbench explain ID` tells all of it"},
        pipeline=_TEXT,
        release=_WHOLE,
        outputs={"type": "object"},
        notice=_TEXT,
        warnings={"type": "array", "items": _TEXT},
    ),
    "Inferred": _object(
        ["model_name", "model_version", "outputs"],
        model_name=_TEXT,
        model_version=_TEXT,
        id=_TEXT,
        parameters={"type": "object"},
        outputs={
            "type": "array",
            "items": _object(
                ["name", "shape", "datatype", "data"],
                name=_TEXT,
                shape={"type": "array", "items": _WHOLE},
                datatype=_TEXT,
                data={"type": "array"},
            ),
        },
    ),
    "Metadata": _object(
        ["name", "versions", "inputs", "outputs"],
        name=_TEXT,
        versions={"type": "array", "items": _TEXT},
        platform=_TEXT,
        inputs={"type": "array"},
        outputs={"type": "array"},
    ),
    "Predictions": _object(
        ["predictions"],
        predictions={"type": "array", "items": {"type": "object"}},
        id=_TEXT,
        release=_WHOLE,
        notice=_TEXT,
        warnings={"type": "array", "items": _TEXT},
    ),
    "Completion": _object(
        ["id", "object", "model", "choices", "usage"],
        id=_TEXT,
        object=_TEXT,
        model=_TEXT,
        created=_WHOLE,
        choices={"type": "array"},
        usage={"type": "object"},
    ),
    "Embeddings": _object(
        ["object", "data", "model", "usage"],
        object=_TEXT,
        model=_TEXT,
        data={"type": "array"},
        usage={"type": "object"},
    ),
}


def ref(name: str) -> dict[str, Any]:
    """A schema that stands among those shared by all routes."""
    return {"$ref": f"#/components/schemas/{name}"}


def value_of(column: Column) -> dict[str, Any]:
    """The schema of one value of `column`."""
    return VALUES[column.role]


def body(schema: dict[str, Any], example: Any = None) -> dict[str, Any]:
    """A request's body, with an example that is answered."""
    examples = {} if example is None else {"example": example}
    return {"required": True, "content": {_JSON: {"schema": schema, **examples}}}


def operation(
    id: str,
    summary: str,
    answer: dict[str, Any],
    *,
    method: str = "post",
    body: dict[str, Any] | None = None,
    error: str = "Error",
) -> dict[str, Any]:
    """One path with one method: what it takes, what it answers, how it refuses."""
    refused = {"description": "why not", "content": {_JSON: {"schema": ref(error)}}}
    content = {_JSON: {"schema": answer}}
    if id == "chat":
        content["text/event-stream"] = {"schema": {"description": "chunks, then [DONE]"}}
    return {
        method: {
            "operationId": id,
            "summary": summary,
            **({"requestBody": body} if body else {}),
            "responses": {
                "200": {"description": "the answer", "content": content},
                **{code: refused for code in ("4XX", "5XX")},
            },
        }
    }


def chat(names: list[str]) -> dict[str, Any]:
    """A question, as OpenAI's clients put it."""
    message = _object(["role", "content"], role={"enum": ["system", "user", "assistant"]})
    message["properties"]["content"] = {**_TEXT, "minLength": 1, "maxLength": 10_000}
    most = {"type": "integer", "minimum": 1, "maximum": 10_000}
    return _object(
        ["model", "messages"],
        model={"enum": names},
        messages={"type": "array", "items": message, "minItems": 1},
        stream={"type": "boolean"},
        n={"type": "integer", "minimum": 1, "maximum": 1},
        max_completion_tokens=most,
    )


def embeddings(names: list[str]) -> dict[str, Any]:
    """Texts to make vectors of, as OpenAI's clients send them."""
    texts = {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": 100}
    return _object(
        ["model", "input"],
        model={"enum": names},
        input={"anyOf": [_TEXT, texts]},
        encoding_format={"enum": ["float", "base64"]},
    )


def blank_image(column: Column) -> str:
    """A grey image of the column's shape as PNG, base64: an example that is answered."""
    height, width, channels = (max(size, 1) for size in column.shape)
    return _grey(height, width, channels)


@functools.lru_cache(16)
def _grey(height: int, width: int, channels: int) -> str:
    from PIL import Image

    file = io.BytesIO()
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    Image.new(mode, (width, height), (128,) * channels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
