"""Which bundle answers under which alias: the small file between registry and server.

The registry writes it whole when an alias moves, the server reads it and nothing else of the
registry: importing MLflow would cost it seconds and 200 MB.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from workbench.core.errors import StateError
from workbench.core.files import read_json, write_json
from workbench.core.records import VERSION

Alias = Literal["champion", "challenger"]
Mode = Literal["canary", "shadow"]
Name = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]*\\Z", max_length=100)]
"""A pipeline: it becomes part of paths and addresses."""
Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}\\Z")]

_AGAIN = "run `workbench release` to write it again"


@dataclass(frozen=True)
class Target:
    """One deployed release. digest: of its bundle, hex; run_id: of the run that trained it."""

    digest: Digest
    release: int
    run_id: str


@dataclass(frozen=True)
class Traffic:
    """Which requests reach a challenger: as a canary it answers them, as a shadow nobody sees it.

    weight: share of the requests. sticky: an input (that of the first row), or else a header;
    requests of equal values are treated alike, those without one go to the champion. None: each
    request by itself.
    """

    mode: Mode
    weight: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    sticky: str | None = None


@dataclass(frozen=True)
class Pointer:
    """Deployed releases by pipeline and alias, and how requests reach the challengers."""

    version: int = VERSION
    pipelines: dict[Name, dict[Alias, Target]] = field(default_factory=dict)
    traffic: dict[Name, Traffic] = field(default_factory=dict)


def read_pointer(path: Path) -> Pointer:
    """Read the pointer; without the file nothing is released. StateError when it is damaged."""
    try:
        pointer = read_json(path, Pointer)
    except FileNotFoundError:
        return Pointer()
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise StateError(
            f"{path.name} cannot be read: {error}.", kept="the releases and bundles", fix=_AGAIN
        ) from None
    if pointer.version > VERSION:
        raise StateError(
            f"{path.name} has version {pointer.version}; this workbench reads {VERSION}.",
            fix="update the workbench",
        )
    return pointer


def write_pointer(path: Path, pointer: Pointer) -> None:
    """Replace the pointer in one step, so that a reader sees the old or the new one."""
    write_json(path, pointer)
