"""A backup put back: verified whole before anything moves, and nothing here is lost by it.

What is missing here comes back. Where both have a file and they differ, the one here stays and is
named, unless `replace` is asked for: then it steps aside into `.workbench/before-restore/DATE`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from workbench.core.errors import BundleError, WorkbenchError
from workbench.core.files import digest_file, read_json
from workbench.core.progress import progress
from workbench.core.secrets import private_folder
from workbench.execution.lock import hold
from workbench.registry.archive import (
    LEDGER,
    MLFLOW,
    POINTER,
    Manifest,
    folders,
    ledger_file,
    mlflow_file,
    place,
)
from workbench.registry.databases import copy_rows, relocate
from workbench.registry.log import read_log
from workbench.registry.pointer import point
from workbench.registry.unpacking import unpack
from workbench.storage.signature import signed_by

if TYPE_CHECKING:
    from workbench.core.paths import Paths

LOCK_WAIT_S = 10.0
Fate = Literal["add", "same", "grow", "mend", "differs"]


@dataclass
class Restored:
    """What a restore did.

    added, same: members that were missing here, and that were here already (or here with more).
    left: names of those that differ and stayed; replaced: that stepped aside, into `aside`.
    rows: new rows of the ledger. notes: sentences about what else is to be known.
    """

    made: str
    added: int = 0
    same: int = 0
    rows: int = 0
    left: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    aside: Path | None = None
    notes: list[str] = field(default_factory=list)


def restore(paths: Paths, file: Path, *, replace: bool = False) -> Restored:
    """Put a backup back into this checkout.

    Raises StateError, with nothing changed, for a file that is no whole backup of a known version;
    BusyError while a run, a sync or a release is under way.
    """
    private_folder(paths.home)
    with contextlib.ExitStack() as stack:
        stack.enter_context(hold(paths.lock("repro"), "`workbench repro` of this checkout"))
        stack.enter_context(hold(paths.lock("sync"), "sync of this checkout", LOCK_WAIT_S))
        staged = paths.home / ".restore.part"
        stack.callback(shutil.rmtree, staged, ignore_errors=True)
        shutil.rmtree(staged, ignore_errors=True)
        manifest = unpack(paths, file, staged)
        for name in _pipelines(paths, staged):
            what = f"release of {name}"
            stack.enter_context(hold(paths.lock(f"{name}.release"), what, LOCK_WAIT_S))
        done = Restored(manifest.made)
        aside = paths.home / "before-restore" / f"{dt.datetime.now():%Y-%m-%d-%H%M%S}"
        # The order of a release: the pointer last, when all that it needs is there.
        last = {"releases": 1, POINTER: 2}
        names = sorted(manifest.members, key=lambda n: (last.get(n.split("/")[0], 0), n))
        for name in progress(names, "restore", len(names)):
            if name == LEDGER:
                _ledger(paths, staged / name, aside, replace, done)
            elif name == MLFLOW:
                _mlflow(paths, staged / name, aside, replace, manifest, done)
            else:
                _member(paths, name, staged / name, aside, replace, done)
        done.aside = aside if aside.is_dir() else None
        _point(paths, done)
        return done


def _pipelines(paths: Paths, staged: Path) -> list[str]:
    """Pipelines that have a release log here or in the backup."""
    places = (folders(paths)["releases"], staged / "releases")
    return sorted({file.stem for folder in places for file in folder.glob("*.jsonl")})


def _member(
    paths: Paths, name: str, source: Path, aside: Path, replace: bool, done: Restored
) -> None:
    target = place(paths, name)
    assert target is not None  # checked with all names
    fate = _fate(paths, name, source, target)
    if fate == "same":
        done.same += 1
    elif fate == "differs" and not replace:
        done.left.append(name)
    else:
        if fate in ("differs", "mend"):
            _step_aside(target, aside / name)
            done.replaced.append(name)
        else:
            done.added += 1
        # DVC trusts what nobody may write; the rest, passports above all, is its owner's alone.
        _move(source, target, mode=0o444 if name.startswith("cache/files/") else 0o600)


def _fate(paths: Paths, name: str, source: Path, target: Path) -> Fate:
    """What becomes of a member, given what stands here."""
    if not target.exists():
        return "add"
    if name == POINTER:
        return "same"  # made true from the release logs afterwards
    if digest_file(source) == digest_file(target):
        return "same"
    if name.startswith("bundles/") and name.endswith(".sig"):
        return "same" if _holds(paths, target.stem) else "mend"
    if name.startswith(("cache/files/", "bundles/")) and name.count("/") > 1:
        return _of_digest(name, target)
    if name.endswith(".jsonl"):  # only ever added to: the longer one has all of the shorter
        if _begins_with(target, source):
            return "same"
        return "grow" if _begins_with(source, target) else "differs"
    if name.startswith("runs/") and _is_running(source) and not _is_running(target):
        return "same"  # it has ended since
    return "differs"


def _holds(paths: Paths, digest: str) -> bool:
    """Whether the signature here does; two of one bundle differ, for each has its own chance."""
    try:
        signed_by(paths, digest)
    except BundleError:
        return False
    return True


def _of_digest(name: str, target: Path) -> Fate:
    """A file whose name or folder is its digest: the verified one is right, ours was altered."""
    return "differs" if ".evidence/" in name else "mend"


def _is_running(record: Path) -> bool:
    try:
        return read_json(record, dict[str, Any]).get("state") == "running"
    except (OSError, msgspec.DecodeError):
        return False


def _begins_with(longer: Path, shorter: Path) -> bool:
    if longer.stat().st_size < shorter.stat().st_size:
        return False
    with longer.open("rb") as a, shorter.open("rb") as b:
        while block := b.read(1 << 20):
            if a.read(len(block)) != block:
                return False
    return True


def _ledger(paths: Paths, source: Path, aside: Path, replace: bool, done: Restored) -> None:
    """Put the ledger where none is, or add the rows that are missing."""
    target = ledger_file(paths)
    if target is not None and replace and target.exists():
        _database_aside(target, aside / LEDGER)
        done.replaced.append(LEDGER)
    empty = target is not None and not target.exists()
    try:
        done.rows = copy_rows(f"sqlite:///{source}", paths.ledger_url)
    except WorkbenchError as error:  # a server that is away: rows come from run records later
        done.notes.append(str(error))
        return
    done.added += empty
    done.same += not empty


def _mlflow(
    paths: Paths, source: Path, aside: Path, replace: bool, manifest: Manifest, done: Restored
) -> None:
    target = mlflow_file(paths)
    if target is None:
        done.notes.append(
            "The backup's MLflow database was left out: MLFLOW_TRACKING_URI names another place. "
            "`workbench sync` fills it from the run records."
        )
        return
    if target.exists() and not replace:
        done.same += 1
        done.notes.append(
            "MLflow's database here stays; `workbench sync` adds the runs that it lacks."
        )
        return
    if target.exists():
        _database_aside(target, aside / MLFLOW)
        done.replaced.append(MLFLOW)
    else:
        done.added += 1
    relocate(source, manifest.artifacts, paths.artifacts.resolve().as_uri())
    _move(source, target)


def _database_aside(file: Path, aside: Path) -> None:
    """A database steps aside with what SQLite keeps beside it."""
    for end in ("", "-wal", "-shm"):
        part = file.with_name(file.name + end)
        if part.exists():
            _step_aside(part, aside.with_name(aside.name + end))


def _step_aside(target: Path, aside: Path) -> None:
    aside.parent.mkdir(parents=True, exist_ok=True)
    _move(target, aside)


def _move(source: Path, target: Path, mode: int | None = None) -> None:
    """Move a file so that it appears whole, also from one disk to another."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if mode is not None:
        source.chmod(mode)
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        shutil.copy2(source, part)
        part.replace(target)
        source.unlink()


def _point(paths: Paths, done: Restored) -> None:
    """Let the server's pointer say what the release logs say now."""
    for pipeline in _logged(paths):
        try:
            point(paths, pipeline, read_log(paths, pipeline))
        except WorkbenchError as error:
            done.notes.append(str(error))


def _logged(paths: Paths) -> Iterator[str]:
    for file in sorted(folders(paths)["releases"].glob("*.jsonl")):
        yield file.stem
