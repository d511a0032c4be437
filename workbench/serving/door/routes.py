"""What a path asks of a key: a role, and the pipeline that it names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from workbench.serving.door.keys import Role


class Need(NamedTuple):
    """role: None where nobody needs a key. pipeline: None where the path names none."""

    role: Role | None
    pipeline: str | None = None


# The form at /try asks for a key itself, and holds nothing of a pipeline before it has one.
_OPEN, _ASK, _FEEDBACK = Need(None), Need("ask"), Need("feedback")
_WATCH, _ADMIN = Need("watch"), Need("admin")


def need_of(parts: Sequence[str]) -> Need:
    """What a request for this path needs; a path that nobody knows needs a key as well."""
    match parts:
        case ["predict" | "invocations", name] | ["try", name, "signature"]:
            return Need("ask", name)
        case ["v2", "models", name, *_]:
            return Need("ask", name)
        case ["v2", "health", "live" | "ready"] | ["ping" | "health"] | ["try", _] | [""]:
            return _OPEN
        case ["feedback", *_]:
            return _FEEDBACK
        case ["metrics"] | ["v2", "repository", "index"]:
            return _WATCH
        case ["v2", "repository", "models", name, *_]:
            return Need("admin", name)
        case ["v2", "repository", *_] | ["admin", *_]:
            return _ADMIN
    return _ASK
