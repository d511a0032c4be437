"""A refusal in the words of the protocol that was spoken: its clients look for them there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.serving.protocols import mlflow, openai


def shaped(parts: Sequence[str], status: int, said: str) -> dict[str, Any]:
    """The body of an error for a request of the path `parts`."""
    match parts:
        case ["v1", *_]:
            return openai.error(status, said)
        case ["invocations", *_]:
            return mlflow.error(status, said)
    return {"error": said}
