"""A backup taken apart and checked to the last byte, before anything else looks at it."""

from __future__ import annotations

import hashlib
import os
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from workbench.core.errors import StateError
from workbench.core.progress import progress
from workbench.metering.database import open_engine, parse_url
from workbench.metering.schema import migrate
from workbench.registry.archive import ARCHIVE_VERSION, LEDGER, MANIFEST, Manifest, place
from workbench.storage.bundle import verify

if TYPE_CHECKING:
    from workbench.core.paths import Paths


def unpack(paths: Paths, file: Path, staged: Path) -> Manifest:
    """Unpack into `staged`, each byte checked; returns what the backup says of itself.

    Raises StateError for anything that is not a whole backup of a known version, BundleError for a
    bundle in it that is not as it was sealed.
    """
    try:
        with tarfile.open(file, "r:") as tar:
            members = tar.getmembers()
            manifest = _manifest(file, tar, members)
            _check_names(paths, file, manifest, members)
            for member in progress(members[:-1], "verify", len(members)):
                source = tar.extractfile(member)
                assert source is not None  # only regular files came through
                target = staged / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                total = hashlib.sha256()
                with target.open("wb") as into:
                    while block := source.read(1 << 20):
                        total.update(block)
                        into.write(block)
                if total.hexdigest() != manifest.members[member.name]:
                    raise _bad(file, f"{member.name} was altered")
                # DVC takes the newest run, tracking tells when a candidate was seen.
                os.utime(target, (member.mtime, member.mtime))
    except FileNotFoundError:
        raise StateError(f"There is no file {file}.") from None
    except (tarfile.TarError, EOFError) as error:
        raise _bad(file, str(error)) from None
    except OSError as error:
        if error.errno is not None:  # of the disk, not of the archive
            raise
        raise _bad(file, str(error)) from None
    _check_content(file, staged)
    return manifest


def _manifest(file: Path, tar: tarfile.TarFile, members: list[tarfile.TarInfo]) -> Manifest:
    last = members[-1] if members else None
    source = tar.extractfile(last) if last and last.name == MANIFEST and _plain(last) else None
    if source is None:
        raise _bad(file, f"{MANIFEST} is not at its end, so it was cut short or is something else")
    content = source.read()
    try:
        version = msgspec.json.decode(content, type=dict[str, Any]).get("version")
        if isinstance(version, int) and version > ARCHIVE_VERSION:
            raise StateError(
                f"{file} has version {version}; this workbench reads {ARCHIVE_VERSION}.",
                kept="everything here; nothing was changed",
                fix="update the workbench",
            )
        return msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _bad(file, f"{MANIFEST} cannot be read: {error}") from None


def _check_names(
    paths: Paths, file: Path, manifest: Manifest, members: list[tarfile.TarInfo]
) -> None:
    """Nothing but plain files that the manifest names, once each, in places of a backup."""
    names = [member.name for member in members[:-1]]
    for member in members[:-1]:
        if not _plain(member) or place(paths, member.name) is None:
            raise _bad(file, f"{member.name!r} does not belong into a backup")
    if len(set(names)) != len(names) or set(names) != set(manifest.members):
        odd = next(iter(set(names) ^ set(manifest.members)), "a name twice")
        raise _bad(file, f"{MANIFEST} and members differ ({odd!r})")


def _check_content(file: Path, staged: Path) -> None:
    """Names that are digests tell the truth, and the ledger is of a version known here."""
    for cached in staged.glob("cache/files/md5/*/*"):
        with cached.open("rb") as opened:
            md5 = hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False))
        if md5.hexdigest() != (cached.parent.name + cached.name).removesuffix(".dir"):
            raise _bad(file, f"{cached.relative_to(staged)} is not what its name says")
    for bundle in staged.glob("bundles/*/"):
        if bundle.is_dir() and "." not in bundle.name and verify(bundle) != bundle.name:
            raise _bad(file, f"bundle {bundle.name} is not what its name says")
    if (staged / LEDGER).is_file():
        engine = open_engine(parse_url(f"sqlite:///{staged / LEDGER}"))
        with engine.execution_options(write=True).begin() as connection:
            migrate(connection)


def _plain(member: tarfile.TarInfo) -> bool:
    return member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse()


def _bad(file: Path, why: str) -> StateError:
    return StateError(
        f"{file} is no whole backup: {why}.",
        kept="everything here; nothing was changed",
        fix="take another copy of it, or an older backup",
    )
