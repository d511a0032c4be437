"""OpenAI's protocol in front of pipelines that answer questions with passages.

The assistant's message is the best passage, word for word; `sources` beside it are all that were
found. Nothing is generated, so what steers generation (temperature, seed, penalties) is without
effect, and what would need it (tools, log probabilities, a format) is refused.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import numpy as np

from workbench.core.errors import DataError
from workbench.serving.models import Model
from workbench.serving.protocols.retrieval import (
    EMBEDDING,
    choices_of,
    columns_of,
    count_tokens,
    is_chat,
    is_embedding,
    sources_of,
    text_column,
)
from workbench.serving.protocols.tensors import decoded
from workbench.serving.request import Headers, Refused, Reply, Request, encode, found
from workbench.serving.service import Answered, Service, check_rows

MAX_CHARACTERS = 100_000
"""Of all messages together: they are counted in tokens, which takes time."""
_UNSPOKEN = ("tools", "functions", "logprobs", "response_format", "audio", "web_search_options")
_PART = re.compile(r".{1,40}(?:\s+|\Z)|.{1,40}", re.DOTALL)
"""Some words, as a stream sends them."""


class _Message(msgspec.Struct):
    role: str
    content: str | list[dict[str, Any]] | None = None

    @property
    def text(self) -> str:
        """What it says; parts that are no text (images, sounds) are refused."""
        if isinstance(self.content, list):
            texts = [part.get("text") for part in self.content if part.get("type") == "text"]
            if len(texts) < len(self.content) or not all(isinstance(t, str) for t in texts):
                raise DataError("Only text is understood here: each part needs type and `text`.")
            return "\n".join(map(str, texts))
        return self.content or ""


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Chat(msgspec.Struct):
    model: str
    messages: list[_Message]
    stream: bool | None = False
    stream_options: _StreamOptions | None = None
    n: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    tools: Any = None
    functions: Any = None
    logprobs: Any = None
    response_format: Any = None
    audio: Any = None
    web_search_options: Any = None


class _Embed(msgspec.Struct):
    model: str
    input: str | list[Any]
    encoding_format: str | None = "float"
    dimensions: int | None = None


_decode_chat = msgspec.json.Decoder(_Chat).decode
_decode_embed = msgspec.json.Decoder(_Embed).decode


async def chat(service: Service, request: Request) -> Reply:
    """Answer the last message of the user with passages; whole, or as a stream of its words."""
    request.need("POST")
    asked = decoded(await request.body(), _decode_chat)
    model = _model(service, request, asked.model, is_chat, "answers questions")
    _check(asked)
    question = next((m.text for m in reversed(asked.messages) if m.role == "user"), "")
    if not question:
        raise DataError("There is no message of role `user` with a text to answer.")
    text, passages = columns_of(model.bundle)
    answer = await service.answer(model, {text.name: [question]}, 1, request)
    bundle = answer.model.bundle
    sources = sources_of(bundle, answer, passages)
    count = asked.n or 1
    if count > len(sources):
        raise DataError(f"`n` can be at most {len(sources)} with '{model.pipeline}'.")
    limit = asked.max_completion_tokens or asked.max_tokens
    texts = [message.text for message in asked.messages]
    choices, usage = await asyncio.to_thread(
        choices_of, bundle, sources[:count], limit, texts
    )  # tokens are counted beside the loop: a long passage takes milliseconds
    headers = answer.headers
    about = _about(answer, "chat.completion")
    if asked.stream:
        with_usage = asked.stream_options is not None and bool(asked.stream_options.include_usage)
        return _streamed(about, choices, sources, usage if with_usage else None, headers)
    said = [
        {
            "index": index,
            "message": {
                "role": "assistant",
                "content": content,
                "refusal": None,
                "sources": sources,
            },
            "logprobs": None,
            "finish_reason": reason,
        }
        for index, (content, reason) in enumerate(choices)
    ]
    return Reply(encode({**about, "choices": said, "usage": usage}), headers=headers)


async def embeddings(service: Service, request: Request) -> Reply:
    """Vectors of texts, from a pipeline whose bundle gives them."""
    request.need("POST")
    asked = decoded(await request.body(), _decode_embed)
    model = _model(service, request, asked.model, is_embedding, "gives embeddings")
    texts = [asked.input] if isinstance(asked.input, str) else asked.input
    if not texts or not all(isinstance(text, str) for text in texts):
        raise DataError("`input` must be a text or a list of texts: token numbers are not taken.")
    check_rows(len(texts))
    _check_length(texts)
    if asked.encoding_format not in (None, "float", "base64"):
        raise DataError("`encoding_format` must be float or base64.")
    text = text_column(model.bundle)
    answer = await service.answer(model, {text.name: texts}, len(texts), request)
    vectors = answer.outputs[EMBEDDING]
    if asked.dimensions not in (None, vectors.shape[1]):
        raise DataError(f"`dimensions` can only be {vectors.shape[1]} with '{model.pipeline}'.")
    tokens = await asyncio.to_thread(count_tokens, answer.model.bundle, texts)
    body = {
        "object": "list",
        "model": model.pipeline,
        "data": [
            {"object": "embedding", "index": index, "embedding": _vector(row, asked)}
            for index, row in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return Reply(encode(body), headers=answer.headers)


def models(service: Service, request: Request, name: str | None = None) -> Reply:
    """The pipelines that are served, as OpenAI lists its models; or one of them."""
    request.need("GET")
    if name is not None:
        request.caller.need(name)
        return found(_card(service.model(name)))
    served = [service.models.by_name[n] for n in sorted(service.models.by_name)]
    seen = [_card(model) for model in served if request.caller.may_ask(model.pipeline)]
    return found({"object": "list", "data": seen})


def error(status: int, said: str) -> dict[str, Any]:
    """An error as OpenAI writes it."""
    kinds = {401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
    kinds |= {429: "rate_limit_error"}
    codes = {401: "invalid_api_key", 404: "model_not_found", 413: "context_length_exceeded"}
    codes |= {429: "rate_limit_exceeded"}
    default = "server_error" if status >= 500 else "invalid_request_error"
    about = {"type": kinds.get(status, default), "param": None, "code": codes.get(status)}
    return {"error": {"message": said, **about}}


def _card(model: Model) -> dict[str, Any]:
    signature = model.bundle.signature
    return {
        "id": model.pipeline,
        "object": "model",
        "created": 0,
        "owned_by": "workbench",
        "release": model.target.release,
        "interface": signature.interface,
        "embeddings": is_embedding(model.bundle),
        "notice": signature.notice,
    }


def _model(service: Service, request: Request, name: str, fits: Any, does: str) -> Model:
    """The pipeline of that name; 404 with those that do, when it is not one of them."""
    request.caller.need(name)
    model = service.model(name)
    if fits(model.bundle):
        return model
    served = service.models.by_name
    able = [n for n in sorted(served) if fits(served[n].bundle) and request.caller.may_ask(n)]
    others = f"Served that do: {', '.join(able)}." if able else "No pipeline that is served does."
    raise Refused(404, f"'{name}' is no pipeline that {does}. {others}")


def _check(asked: _Chat) -> None:
    for name in _UNSPOKEN:
        value = getattr(asked, name)
        plain = name == "response_format" and value == {"type": "text"}
        if value and not plain:
            raise DataError(f"`{name}` is not understood here: answers are passages, as they are.")
    for name in ("n", "max_tokens", "max_completion_tokens"):
        value = getattr(asked, name)
        if value is not None and value < 1:
            raise DataError(f"`{name}` must be at least 1, got {value}.")
    _check_length([message.text for message in asked.messages])


def _check_length(texts: Sequence[str]) -> None:
    characters = sum(map(len, texts))
    if characters > MAX_CHARACTERS:
        raise Refused(413, f"{characters} characters in one request; send {MAX_CHARACTERS}.")


def _about(answer: Answered, kind: str) -> dict[str, Any]:
    """What every object of one answer begins with; `id` is the prediction's."""
    model = answer.model
    return {
        "id": answer.id,
        "object": kind,
        "created": int(answer.time_s),
        "model": model.pipeline,
        "system_fingerprint": model.target.digest[:16],
        "release": model.target.release,
        "notice": model.bundle.signature.notice,
    }


def _streamed(
    about: dict[str, Any],
    choices: Sequence[tuple[str, str]],
    sources: Sequence[dict[str, Any]],
    usage: dict[str, int] | None,
    headers: Headers,
) -> Reply:
    about = {**about, "object": "chat.completion.chunk"}

    def event(index: int, delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
        return _event({**about, "choices": [choice]})

    async def parts() -> AsyncIterator[bytes]:
        for index, (content, reason) in enumerate(choices):
            yield event(index, {"role": "assistant", "content": ""})
            for part in _PART.findall(content):
                yield event(index, {"content": part})
            yield event(index, {"sources": sources} if index == 0 else {}, reason)
        if usage is not None:
            yield _event({**about, "choices": [], "usage": usage})
        yield b"data: [DONE]\n\n"

    return Reply(parts(), headers=headers, media=b"text/event-stream")


def _event(content: Any) -> bytes:
    return b"data: " + encode(content) + b"\n\n"


def _vector(row: np.ndarray[Any, Any], asked: _Embed) -> Any:
    if asked.encoding_format == "base64":
        return base64.b64encode(row.astype("<f4").tobytes()).decode()
    return row.tolist()
