"""A backup of what Git does not hold: databases, records, releases, and the data behind them.

It may be made while a run is under way: databases go through SQLite's online backup, logs are
only ever added to, everything else appears whole. Release logs are read first, so that each bundle
they name is there when its turn comes.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import io
import os
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from workbench.core.errors import BundleError, StateError
from workbench.core.files import json_bytes
from workbench.core.progress import progress
from workbench.execution.dvcfiles import Cache
from workbench.metering.runs import OWNER
from workbench.registry import kept
from workbench.registry.archive import (
    ARCHIVE_VERSION,
    LEDGER,
    MANIFEST,
    MLFLOW,
    POINTER,
    Manifest,
    folders,
    ledger_file,
    mlflow_file,
    place,
)
from workbench.registry.databases import copied, copy_rows, without_secrets
from workbench.storage.bundle import verify
from workbench.storage.predictions.compaction import paused

if TYPE_CHECKING:
    from workbench.core.paths import Paths


@dataclass(frozen=True)
class Backup:
    """A backup that was made. notes: what is not in it, and why."""

    file: Path
    size_bytes: int
    members: int
    bundles: int
    notes: tuple[str, ...]


class _Hashed:
    """A file that is hashed while it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.sum = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size)
        self.sum.update(content)
        return content


def backup(paths: Paths, target: Path | None = None) -> Backup:
    """Write a backup to `target`, a new file or a folder; here, with a dated name, by default.

    Raises StateError where the file exists, or a folder's list in DVC's cache is damaged.
    """
    file = _file(target)
    # A name of its own: two backups at once do not write one file.
    aside = file.with_name(f".{file.name}.{os.getpid()}.part")
    file.parent.mkdir(parents=True, exist_ok=True)
    notes: list[str] = []
    with contextlib.ExitStack() as stack:
        stack.callback(aside.unlink, missing_ok=True)
        stack.enter_context(paused(paths.predictions))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="workbench-")))
        sums: dict[str, str] = {}
        # Passports are personal: only the owner may read them, here as where they stand.
        raw = stack.enter_context(os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT, 0o600), "wb"))
        with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
            logs = _logs(paths)
            for name, content in logs.items():
                _add(tar, name, io.BytesIO(content), len(content), sums)
            members = [*_state(paths, notes), *_databases(paths, folder, notes)]
            members += _cache(paths, notes)
            for name, source in progress(members, "backup", len(members)):
                with contextlib.suppress(FileNotFoundError), source.open("rb") as opened:
                    state = os.fstat(opened.fileno())
                    _add(tar, name, opened, state.st_size, sums, state.st_mtime)
            made = dt.datetime.now(dt.UTC).isoformat("T", "seconds")
            artifacts = paths.artifacts.resolve().as_uri()
            content = json_bytes(Manifest(ARCHIVE_VERSION, made, artifacts, sums))
            _add(tar, MANIFEST, io.BytesIO(content), len(content), {})
        raw.flush()
        os.fsync(raw.fileno())
        try:
            os.link(aside, file)  # unlike a rename it never replaces what came there meanwhile
        except FileExistsError:
            raise _exists(file) from None
        except OSError:  # a disk without links
            aside.rename(file)
    digests = {n.split("/")[1] for n in sums if n.startswith("bundles/") and n.count("/") == 2}
    bundles = sum("." not in digest for digest in digests)
    return Backup(file, file.stat().st_size, len(sums), bundles, tuple(notes))


def _file(target: Path | None) -> Path:
    """The file to write; a folder gets a dated name in it."""
    named = f"workbench-backup-{dt.datetime.now():%Y-%m-%d-%H%M%S}.tar"
    file = target or Path(named)
    if file.is_dir():
        file = file / named
    if file.exists():
        raise _exists(file)
    return file


def _exists(file: Path) -> StateError:
    return StateError(
        f"{file} exists; a backup never replaces a file.", kept="it", fix="give another name"
    )


def _logs(paths: Paths) -> dict[str, bytes]:
    found = {}
    for file in sorted(folders(paths)["releases"].glob("*.jsonl")):
        content = file.read_bytes()
        found[f"releases/{file.name}"] = content[: content.rfind(b"\n") + 1]
    return found


def _state(paths: Paths, notes: list[str]) -> Iterator[tuple[str, Path]]:
    """Members that are files as they stand, without what is being written aside."""
    for part in ("bundles", "trusted", "predictions", "runs", "evidence", "artifacts"):
        folder = folders(paths)[part]
        for top in sorted(folder.iterdir()) if folder.is_dir() else ():
            if top.name.startswith(".") or not _is_whole(part, top, notes):
                continue
            for file in [top] if top.is_file() else sorted(top.rglob("*")):
                hidden = any(p.startswith(".") for p in file.relative_to(folder).parts)
                # The owner is a process of this machine: elsewhere nobody could tell that it ended.
                if not hidden and file.is_file() and file.name != OWNER:
                    name = f"{part}/{file.relative_to(folder).as_posix()}"
                    if place(paths, name) is None:
                        notes.append(f"{name} has a name that cannot be restored: left out")
                    else:
                        yield name, file
    if paths.pointer.is_file():
        yield POINTER, paths.pointer


def _is_whole(part: str, top: Path, notes: list[str]) -> bool:
    """Whether a bundle may go in; anything else may."""
    if part != "bundles" or not top.is_dir() or "." in top.name:
        return True
    try:
        if verify(top) == top.name:
            return True
        problem = f"{top} is another bundle than its name says"
    except BundleError as error:
        problem = error.problem.rstrip(".")
    notes.append(f"bundle {top.name[:12]} is left out: {problem}")
    return False


def _databases(paths: Paths, folder: Path, notes: list[str]) -> Iterator[tuple[str, Path]]:
    """Copies of ledger and MLflow, both as SQLite files, consistent at one moment each."""
    file = ledger_file(paths)
    if file is None:
        copy_rows(paths.ledger_url, f"sqlite:///{folder / LEDGER}")
        yield LEDGER, folder / LEDGER
    elif file.is_file() and copied(file, folder / LEDGER, notes):
        yield LEDGER, folder / LEDGER
    file = mlflow_file(paths)
    if file is None:
        notes.append("MLflow's runs are with its own server or database: back that up there")
    elif file.is_file() and copied(file, folder / MLFLOW, notes):
        without_secrets(folder / MLFLOW)
        yield MLFLOW, folder / MLFLOW


def _cache(paths: Paths, notes: list[str]) -> list[tuple[str, Path]]:
    """Objects and run-cache entries behind released digests."""
    cache, named = Cache(paths.root), kept.named(paths)
    needed = kept.needs(kept.released(paths, named), cache, named)
    notes += [
        f"release {digest[:12]}: DVC's cache no longer knows what it was made from; "
        "its bundle is whole without"
        for digest in needed.unknown
    ]
    objects = [cache.object(md5) for md5 in sorted(kept.opened(cache, needed.objects))]
    files = [file for file in (*objects, *needed.runs) if file.is_file()]
    return [(f"cache/{file.relative_to(cache.folder).as_posix()}", file) for file in files]


def _add(
    tar: tarfile.TarFile,
    name: str,
    source: IO[bytes],
    size: int,
    sums: dict[str, str],
    changed_s: float = 0.0,
) -> None:
    """Add a member of `size` bytes, also where its file grows meanwhile."""
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, changed_s, 0o600
    hashed = _Hashed(source)
    tar.addfile(member, hashed)  # type: ignore[arg-type]
    sums[name] = hashed.sum.hexdigest()
