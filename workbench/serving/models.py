"""The bundles that answer: loaded and warmed up from the pointer, replaced as a whole."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from workbench.core.errors import WorkbenchError
from workbench.core.paths import Paths
from workbench.serving.session import Bundle, check_finite, released_folder
from workbench.storage.pointer import Alias, Target, read_pointer

ANSWERS: Alias = "champion"
_WARM_CALLS = 5
_logger = logging.getLogger(__name__)

Stamp = tuple[int, int, int] | None
"""Modification time (ns), inode and size of the pointer file; None while there is none.

Where it cannot be looked at: -1, the system's number of the error and 0.
"""


@dataclass(frozen=True)
class Model:
    """One deployed release. call_s: measured duration of an answer for one row, in seconds."""

    pipeline: str
    alias: Alias
    target: Target
    bundle: Bundle
    call_s: float

    @property
    def version(self) -> str:
        return str(self.target.release)


@dataclass(frozen=True)
class Models:
    """All that is served at one moment.

    problems: sentence by pipeline (or by the pointer's file name), said by the readiness route.
    stamp: of the pointer that this was read from. loaded: False until a first look was taken.
    """

    by_name: Mapping[str, Model] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    stamp: Stamp = None
    loaded: bool = False
    pointed: frozenset[str] = frozenset()

    @property
    def ready(self) -> bool:
        """Something is released, and every released pipeline is answered for."""
        return self.loaded and bool(self.by_name) and self.pointed <= set(self.by_name)


def stamp_of(pointer: Path) -> Stamp:
    """Tell one pointer file from the next without reading it."""
    try:
        found = pointer.stat()
    except FileNotFoundError:
        return None
    except OSError as error:  # a link to itself, a file server that is away, no permission
        return -1, error.errno or 0, 0
    return found.st_mtime_ns, found.st_ino, found.st_size


def load_models(paths: Paths, before: Models | None = None) -> Models:
    """Load what the pointer names, reusing what `before` has loaded; never raises for one bundle.

    What is on disk may be broken in ways that nobody foresaw, and none of them may end the
    server's watch over the pointer: whatever goes wrong becomes a problem. A release that cannot
    be loaded leaves the one before it in place, if there was one, and a problem that says so. The
    same holds for a pointer that is damaged, or gone.
    """
    before = before or Models()
    stamp = stamp_of(paths.pointer)
    try:
        pipelines = read_pointer(paths.pointer).pipelines
    except Exception as error:
        problem = {paths.pointer.name: _sentence(error)}
        return Models(before.by_name, problem, stamp, True, before.pointed)
    if stamp is None and before.by_name:
        gone = f"{paths.pointer.name} is gone; the releases that it named keep answering."
        return Models(before.by_name, {paths.pointer.name: gone}, stamp, True, before.pointed)
    found: dict[str, Model] = {}
    problems: dict[str, str] = {}
    for name, aliases in sorted(pipelines.items()):
        if ANSWERS not in aliases:
            continue
        old = before.by_name.get(name)
        try:
            found[name] = load_model(paths, name, aliases[ANSWERS], old)
        except Exception as error:
            problems[name] = _sentence(error)
            if old is not None:
                found[name] = old
                problems[name] += f" Release {old.version} keeps answering."
    pointed = frozenset(name for name, aliases in pipelines.items() if ANSWERS in aliases)
    return Models(found, problems, stamp, True, pointed)


def load_model(paths: Paths, pipeline: str, target: Target, old: Model | None = None) -> Model:
    """Load, verify and warm up one release; BundleError when it is not what its digest says."""
    if old is not None and old.target == target:
        return old
    if old is not None and old.target.digest == target.digest:
        return Model(pipeline, ANSWERS, target, old.bundle, old.call_s)
    bundle = Bundle(released_folder(paths.bundles, target.digest))
    return Model(pipeline, ANSWERS, target, bundle, _warm(bundle))


def _warm(bundle: Bundle) -> float:
    """Answer the bundle's own example some times; return the fastest in seconds."""
    columns: dict[str, Any] = {}
    for name, column in bundle.inputs.items():
        blank: Any = None
        if column.role == "image":
            blank = np.zeros([max(size, 1) for size in column.shape], np.uint8)
        columns[name] = [bundle.signature.example.get(name, blank)]
    check_finite(bundle.predict(columns))
    times: list[float] = []
    for _ in range(_WARM_CALLS):
        start = time.perf_counter()
        bundle.predict(columns)
        times.append(time.perf_counter() - start)
    return min(times)


def _sentence(error: Exception) -> str:
    """The error in one line; what nobody foresaw with its traceback in the log."""
    if isinstance(error, WorkbenchError | OSError):
        return str(error).replace("\n", " ")
    _logger.error("loading failed", exc_info=error)
    return f"{type(error).__name__}: {error}".replace("\n", " ")
