"""The bundles that answer: loaded and warmed up from the pointer, replaced as a whole."""

from __future__ import annotations

import logging
import mmap
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from workbench.core.errors import WorkbenchError
from workbench.core.paths import Paths
from workbench.serving.session import Bundle, check_finite, released_folder
from workbench.storage.likeness import unlike
from workbench.storage.pointer import Pointer, Target, Traffic, read_pointer
from workbench.storage.signature import signed_by

Alias = Literal["champion", "challenger", "shadow"]
"""How a model came to answer; nobody sees the answers of a shadow."""

ANSWERS: Literal["champion"] = "champion"
_WARM_CALLS, _WARM_ROWS = 5, 64
UNLOADED = "It was unloaded; POST /v2/repository/models/NAME/load brings it back."
_WARM_S = 30.0
"""A model that takes longer to answer its own example is not served."""
_LOOPS = (b"\x22\x04Loop", b"\x22\x04Scan")
"""How a graph's file names nodes that go around: field 4 of a node, four letters."""
_logger = logging.getLogger(__name__)

Stamp = tuple[int, int, int] | None
"""Modification time (ns), inode and size of the pointer file; None while there is none.

Where it cannot be looked at: -1, the system's number of the error and 0.
"""


@dataclass(frozen=True)
class Model:
    """One deployed release.

    call_s: measured duration of an answer for one row, in seconds; row_s: of each row more.
    loops: its values may decide how long it takes. pinned: asked for by its version, so that no
    other may answer.
    """

    pipeline: str
    alias: Alias
    target: Target
    bundle: Bundle
    call_s: float
    row_s: float = 0.0
    loops: bool = False
    pinned: bool = False

    def expected_s(self, rows: int) -> float:
        """How long an answer for `rows` rows takes, as measured when it was loaded."""
        return self.call_s + (rows - 1) * self.row_s

    @property
    def version(self) -> str:
        return str(self.target.release)

    @cached_property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What an answer says of who gave it."""
        return (b"x-release", self.version.encode()), (b"x-alias", self.alias.encode())


@dataclass(frozen=True)
class Models:
    """All that is served at one moment.

    problems: sentence by pipeline (or by the pointer's file name), said by the readiness route.
    stamp: of the pointer that this was read from, None while not all of it is loaded. loaded:
    False until a first look was taken. traffic: of the challengers that can answer in the
    champion's place; any other is only asked by its version.
    """

    by_name: Mapping[str, Model] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    stamp: Stamp = None
    loaded: bool = False
    pointed: frozenset[str] = frozenset()
    challengers: Mapping[str, Model] = field(default_factory=dict)
    traffic: Mapping[str, Traffic] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        """Something is released, and every released pipeline is answered for."""
        return self.loaded and bool(self.by_name) and self.pointed <= set(self.by_name)

    @property
    def all(self) -> list[Model]:
        """Champions and challengers."""
        return [*self.by_name.values(), *self.challengers.values()]

    def of_version(self, name: str, version: str) -> Model | None:
        """The champion or challenger of that release, which then answers itself or not at all."""
        for model in (self.by_name.get(name), self.challengers.get(name)):
            if model is not None and model.version == version:
                alias = "challenger" if model.alias == "shadow" else model.alias
                return replace(model, alias=alias, pinned=True)
        return None


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
    same holds for a pointer that is damaged, or gone. A challenger that cannot be loaded gets no
    traffic.

    At most one more model of a pipeline is in memory than the pointer names: where champion and
    challenger are both new, the challenger is left for the next turn (`stamp` is None then).
    """
    before = before or Models()
    stamp = stamp_of(paths.pointer)
    try:
        pointer = read_pointer(paths.pointer)
    except Exception as error:
        problem = {paths.pointer.name: _sentence(error)}
        return replace(before, problems=problem, stamp=stamp, loaded=True)
    if stamp is None and before.by_name:
        gone = f"{paths.pointer.name} is gone; the releases that it named keep answering."
        return replace(before, problems={paths.pointer.name: gone}, stamp=stamp, loaded=True)
    names = [name for name, aliases in sorted(pointer.pipelines.items()) if ANSWERS in aliases]
    away = [name for name in names if (paths.unloaded / name).exists()]
    names = [name for name in names if name not in away]
    loads = [_Load(name, *_held(before, name)) for name in names]
    for load in loads:
        load.champion_of(paths, pointer)
        load.challenger_of(paths, pointer)
    return Models(
        by_name={load.name: load.champion for load in loads if load.champion},
        problems=dict.fromkeys(away, UNLOADED)
        | {load.name: " ".join(load.problems) for load in loads if load.problems},
        stamp=None if any(load.is_partial for load in loads) else stamp,
        loaded=True,
        pointed=frozenset(names),
        challengers={load.name: load.challenger for load in loads if load.challenger},
        traffic={load.name: load.traffic for load in loads if load.traffic},
    )


def _held(before: Models, name: str) -> tuple[Model | None, Model | None]:
    return before.by_name.get(name), before.challengers.get(name)


@dataclass
class _Load:
    """One pipeline on its way from what is loaded (old, rival) to what the pointer names."""

    name: str
    old: Model | None
    rival: Model | None
    champion: Model | None = None
    challenger: Model | None = None
    traffic: Traffic | None = None
    is_partial: bool = False
    problems: list[str] = field(default_factory=list[str])

    def champion_of(self, paths: Paths, pointer: Pointer) -> None:
        target = pointer.pipelines[self.name][ANSWERS]
        try:
            self.champion = load_model(paths, self.name, target, self.old, self.rival)
        except Exception as error:
            self.champion = self.old
            kept = f" Release {self.old.version} keeps answering." if self.old else ""
            self.problems.append(_sentence(error) + kept)

    def challenger_of(self, paths: Paths, pointer: Pointer) -> None:
        target = pointer.pipelines[self.name].get("challenger")
        if target is None or self.champion is None:
            return
        held = {model.bundle for model in (self.old, self.rival) if model}
        is_held = any(bundle.digest == target.digest for bundle in held)
        if held and not is_held and self.champion.bundle not in held:
            self.is_partial = True
            return
        traffic = pointer.traffic.get(self.name)
        alias: Alias = "shadow" if traffic and traffic.mode == "shadow" else "challenger"
        try:
            found = load_model(paths, self.name, target, self.rival, self.old, alias=alias)
        except Exception as error:
            said = f"Release {target.release} cannot challenge: {_sentence(error)}"
            self.problems.append(said)
            return
        self.challenger = found
        reason = unlike(self.champion.bundle.signature, found.bundle.signature)
        if reason and traffic:
            self.problems.append(f"Release {target.release} gets no traffic: {reason}.")
        else:
            self.traffic = traffic


def load_model(
    paths: Paths,
    pipeline: str,
    target: Target,
    *held: Model | None,
    alias: Alias = ANSWERS,
) -> Model:
    """Load, verify and warm up one release; BundleError when it is not what its digest says.

    held: loaded ones, of which one with the same digest lends its bundle.
    """
    for model in held:
        if model is not None and model.target.digest == target.digest:
            same = model.target == target and model.alias == alias
            return model if same else replace(model, target=target, alias=alias)
    folder = released_folder(paths.bundles, target.digest)
    signed_by(paths, target.digest)
    bundle = Bundle(folder)
    times = _warm(bundle)
    return Model(pipeline, alias, target, bundle, *times, loops=_loops(folder / "model.onnx"))


def _loops(graph: Path) -> bool:
    """Whether the graph has nodes that go around as often as a value says."""
    with graph.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return any(content.find(name) >= 0 for name in _LOOPS)


def _warm(bundle: Bundle) -> tuple[float, float]:
    """Answer the bundle's own example some times, alone and as a batch.

    Returns the seconds of the fastest answer to one row, and of each row more in a batch.
    """
    columns: dict[str, Any] = {}
    for name, column in bundle.inputs.items():
        blank: Any = None
        if column.role == "image":
            blank = np.zeros([max(size, 1) for size in column.shape], np.uint8)
        columns[name] = [bundle.signature.example.get(name, blank)]
    patience = threading.Timer(_WARM_S, bundle.interrupt)
    patience.start()
    try:
        check_finite(bundle.predict(columns))
        one = _fastest(bundle, columns)
        rows = 2 if bundle.heavy else _WARM_ROWS
        many = _fastest(bundle, {name: values * rows for name, values in columns.items()})
    finally:
        patience.cancel()
    return one, max(0.0, (many - one) / (rows - 1))


def _fastest(bundle: Bundle, columns: dict[str, Any]) -> float:
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
