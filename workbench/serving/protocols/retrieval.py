"""Bundles that find passages, and vectors, for a text: their answers as words and tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.core.records import Column
from workbench.serving.service import Answered
from workbench.serving.session import Bundle

EMBEDDING = "embedding"
"""The output of a bundle that is a vector of its one text."""


def is_chat(bundle: Bundle) -> bool:
    """Whether it answers a text with something that is looked up."""
    return bundle.signature.interface == "chat" and _passages(bundle) is not None


def is_embedding(bundle: Bundle) -> bool:
    """Whether it gives a vector of its one text."""
    texts = [c for c in bundle.inputs.values() if c.role == "text"]
    vectors = [c for c in bundle.signature.outputs if c.name == EMBEDDING and len(c.shape) == 1]
    return len(texts) == 1 and bool(vectors)


def text_column(bundle: Bundle) -> Column:
    """The input that takes the question."""
    return next(column for column in bundle.inputs.values() if column.role == "text")


def columns_of(bundle: Bundle) -> tuple[Column, Column]:
    """The input that takes the question, and the output that names passages (`is_chat`)."""
    passages = _passages(bundle)
    assert passages is not None
    return text_column(bundle), passages


def sources_of(bundle: Bundle, answer: Answered, passages: Column) -> list[dict[str, Any]]:
    """What was found, best first, each with its score where the bundle gives one."""
    named = bundle.named({passages.name: answer.outputs[passages.name]})[passages.name][0]
    rows = named if isinstance(named, list) else [named]
    sources = [dict(row) if isinstance(row, dict) else {"text": row} for row in rows]
    scores = answer.outputs.get("scores")
    if scores is not None and scores.ndim == 2 and scores.shape[1] == len(sources):
        for source, score in zip(sources, scores[0].tolist(), strict=True):
            source["score"] = score
    return sources


def choices_of(
    bundle: Bundle, sources: Sequence[dict[str, Any]], limit: int | None, texts: Sequence[str]
) -> tuple[list[tuple[str, str]], dict[str, int]]:
    """Content and reason of its end for each source, and the tokens of all that was said."""
    choices = [_cut(bundle, str(source.get("text") or ""), limit) for source in sources]
    prompt = count_tokens(bundle, texts)
    completion = count_tokens(bundle, [text for text, _ in choices])
    usage = {"prompt_tokens": prompt, "completion_tokens": completion}
    return choices, {**usage, "total_tokens": prompt + completion}


def _passages(bundle: Bundle) -> Column | None:
    """The output that is looked up; the first if there are several."""
    outputs = (c for c in bundle.signature.outputs if c.lookup in bundle.lookups)
    return next(outputs, None) if any(c.role == "text" for c in bundle.inputs.values()) else None


def _cut(bundle: Bundle, text: str, limit: int | None) -> tuple[str, str]:
    """The text within `limit` tokens, and why it ends."""
    if limit is None:
        return text, "stop"
    ends = [end for found in _encodings(bundle, text) for end in _ends(found)]
    return (text, "stop") if len(ends) <= limit else (text[: ends[limit - 1]], "length")


def count_tokens(bundle: Bundle, texts: Sequence[str]) -> int:
    """Tokens of the bundle's own tokenizer, without those that it adds around a text."""
    found = (encoding for text in texts for encoding in _encodings(bundle, text))
    return sum(len(_ends(encoding)) for encoding in found)


def _encodings(bundle: Bundle, text: str) -> list[Any]:
    """The tokenizer cuts where the model's sight ends, but hands over what it cut."""
    first = bundle.tokenizer.encode(text)
    return [first, *first.overflowing]


def _ends(encoding: Any) -> list[int]:
    """Where each token of a text ends in it."""
    pairs = zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
    return [end for (_, end), special in pairs if not special]
