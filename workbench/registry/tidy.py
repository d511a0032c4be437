"""Clean-up that never takes what is needed: DVC's cache, checkpoints, scratch.

`dvc gc` keeps what the workspace or Git needs and knows nothing of releases: a model that was
released from a run whose `dvc.lock` was never committed would lose its data. So the needed objects
are computed here (see `kept`), and what is left over is removed under the locks of all who write.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from workbench.core.errors import BusyError
from workbench.core.params import read_params
from workbench.core.paths import STAGES
from workbench.core.progress import progress
from workbench.execution.dvcfiles import Cache, locked, read_yaml
from workbench.execution.lock import hold
from workbench.metering.runs import read_runs
from workbench.registry import kept

if TYPE_CHECKING:
    from workbench.core.paths import Paths

DVC_WAIT_S = 5.0
Kind = Literal[
    "cached object", "remembered run", "checkpoint", "scratch folder", "half-written output"
]
_OBJECT = re.compile(r"[0-9a-f]{30}(?:\.dir)?")


@dataclass(frozen=True)
class Leftover:
    """A file or folder that nothing needs. size_bytes: what its removal frees."""

    kind: Kind
    path: Path
    why: str
    size_bytes: int


@dataclass(frozen=True)
class Tidied:
    """What was found, and removed unless only asked for. notes: what was left, and why."""

    leftovers: tuple[Leftover, ...]
    notes: tuple[str, ...] = ()

    @property
    def freed_bytes(self) -> int:
        return sum(one.size_bytes for one in self.leftovers)


def tidy(paths: Paths, *, dry_run: bool = False) -> Tidied:
    """Remove what neither the workspace, nor Git, nor a released digest needs.

    dry_run: only find it. Raises BusyError while a stage, a sync, a release or DVC is at work, and
    StateError where what is needed cannot be told; then nothing is removed.
    """
    with _alone(paths):
        notes: list[str] = []
        found = [
            *_cached(paths, notes),
            *_checkpoints(paths),
            *_scratch(paths),
            *_half_written(paths),
        ]
        if not dry_run:
            for one in progress(found, "tidy", len(found)):
                _remove(one.path)
    return Tidied(tuple(found), tuple(notes))


@contextlib.contextmanager
def _alone(paths: Paths) -> Iterator[None]:
    """Hold every lock of those who write what is removed here, DVC's own included."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(hold(paths.lock("repro"), "`workbench repro` of this checkout"))
        stack.enter_context(hold(paths.lock("sync"), "sync of this checkout", DVC_WAIT_S))
        for pipeline in read_params(paths.params).pipelines:
            what = f"release of {pipeline}"
            stack.enter_context(hold(paths.lock(f"{pipeline}.release"), what, DVC_WAIT_S))
            for stage in STAGES:
                lock = paths.lock(f"{pipeline}.{stage}")
                stack.enter_context(hold(lock, f"stage {stage} of {pipeline}"))
        dvc = paths.root / ".dvc" / "tmp"
        stack.enter_context(hold(dvc / "lock", "DVC of this checkout", DVC_WAIT_S))
        _check_dvc(dvc / "rwlock")
        yield


def _check_dvc(rwlock: Path) -> None:
    """Raise BusyError while DVC runs a stage: it lets go of its lock for that time."""
    try:
        held = json.loads(rwlock.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    readers = (holder for group in held.get("read", {}).values() for holder in group)
    for holder in (*held.get("write", {}).values(), *readers):
        if Path(f"/proc/{holder['pid']}").exists():
            raise BusyError(
                f"DVC is busy: process {holder['pid']} runs `{holder['cmd']}`.",
                kept="everything",
                fix="try again when it is done",
            )


def _cached(paths: Paths, notes: list[str]) -> Iterator[Leftover]:
    """Objects that nothing needs, and runs that could not be restored without them."""
    cache = Cache(paths.root)
    if not cache.folder.resolve().is_relative_to(paths.root.resolve()):
        notes.append(
            f"DVC's cache {cache.folder} is outside of this checkout, so others may use it: "
            "nothing in it was looked at"
        )
        return
    named = kept.named(paths)
    needs = kept.needs(kept.released(paths, named), cache, named)
    keep = kept.opened(cache, named.objects | needs.objects)
    gone: set[str] = set()
    for folder in sorted((cache.folder / "files" / "md5").glob("[0-9a-f][0-9a-f]")):
        for file in sorted(folder.iterdir()):
            md5 = folder.name + file.name
            if _OBJECT.fullmatch(file.name) and md5 not in keep:
                gone.add(md5)
                why = "neither workspace, Git nor a release needs it"
                yield Leftover("cached object", file, why, _size(file))
    for file in sorted((cache.folder / "runs").glob("*/*/*")):
        outs = locked(read_yaml(file), "outs").values()
        missing = any(md5 in gone or not cache.has(md5) for md5 in outs)
        if missing and file not in needs.runs:
            yield Leftover("remembered run", file, "its outputs are not in the cache", _size(file))


def _checkpoints(paths: Paths) -> Iterator[Leftover]:
    """Checkpoints of trainings that were given up: a later one of the pipeline has ended well."""
    ended: dict[str, float] = {}
    for run in read_runs(paths):
        if run.stage == "train" and run.state == "finished" and run.window:
            ended[run.pipeline] = max(run.window.end_s, ended.get(run.pipeline, 0.0))
    for folder in sorted(paths.checkpoints("x", "y").parent.parent.glob("*/*/")):
        newest = max((p.stat().st_mtime for p in [folder, *folder.rglob("*")]), default=0.0)
        if newest < ended.get(folder.parent.name, 0.0):
            yield Leftover("checkpoint", folder, "a later training has ended", _size(folder))


def _scratch(paths: Paths) -> Iterator[Leftover]:
    """Databases of stages and notebooks that were killed; DuckDB locks those that are in use."""
    for folder in sorted(paths.scratch.glob("*/")):
        if folder.is_dir() and not any(_is_locked(file) for file in folder.glob("*.duckdb")):
            yield Leftover("scratch folder", folder, "its process is gone", _size(folder))


def _is_locked(file: Path) -> bool:
    with file.open("rb+") as opened:
        try:
            fcntl.lockf(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _half_written(paths: Paths) -> Iterator[Leftover]:
    """What killed stages left beside their outputs; the next run would remove it as well."""
    for top in (paths.root / "data", paths.root / "plots"):
        for folder in sorted(top.glob("*/.*")):
            if folder.is_dir() and folder.suffix in (".part", ".old"):
                yield Leftover("half-written output", folder, "its stage is gone", _size(folder))


def _size(path: Path) -> int:
    """Bytes that removal frees: a file with another link stays on the disk."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    states = [os.lstat(file) for file in files]
    return sum(state.st_size for state in states if state.st_nlink == 1)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
        return
    path.unlink()
    for folder in (path.parent, path.parent.parent):  # DVC makes them again
        with contextlib.suppress(OSError):
            folder.rmdir()
