"""A bundle as files: what is served and shipped to the edge. Data, never code.

model.onnx       takes the raw named columns
signature.json   what goes in and comes out (`workbench.core.records.Signature`)
lookups/         tables that name row numbers, one JSON list each
files/           a tokenizer and the like
card.md          what the model is for, how good it is, what it is not for
checksums.json   SHA-256 of every other file; its own digest names the bundle
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from workbench.core.errors import BundleError
from workbench.core.files import digest_file, read_json, write_json
from workbench.core.records import VERSION, Signature

CHECKSUMS = "checksums.json"


class _Sums(msgspec.Struct):
    """What `checksums.json` holds."""

    sha256: dict[str, str]
    version: int = 0


def seal(folder: Path) -> str:
    """Write the checksums of all files in `folder`; return the bundle's digest (hex)."""
    write_json(folder / CHECKSUMS, {"version": VERSION, "sha256": _sums(folder)})
    return digest_file(folder / CHECKSUMS)


def verify(folder: Path) -> str:
    """Return the digest of the bundle in `folder`; BundleError names the first altered file."""
    sums = _read_sums(folder / CHECKSUMS)
    found = _sums(folder)
    for name in sorted({*sums, *found}):
        if sums.get(name) != found.get(name):
            what = "is missing" if name not in found else "was altered or added"
            raise BundleError(
                f"{name} of bundle {folder} {what} since the bundle was sealed.",
                fix="take the bundle again from its release or from the DVC cache",
            )
    return digest_file(folder / CHECKSUMS)


def stated(folder: Path) -> dict[str, str]:
    """SHA-256 by relative name of all files, as `checksums.json` states them, and its own."""
    return {**_read_sums(folder / CHECKSUMS), CHECKSUMS: digest_file(folder / CHECKSUMS)}


def read_signature(folder: Path) -> Signature:
    """Read `signature.json` of a bundle."""
    try:
        return read_json(folder / "signature.json", Signature)
    except FileNotFoundError:
        raise BundleError(f"{folder} holds no bundle (signature.json is missing).") from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BundleError(f"signature.json of {folder} cannot be read: {error}.") from None


def _read_sums(path: Path) -> dict[str, str]:
    try:
        found = read_json(path, _Sums)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise BundleError(
            f"{path.parent} holds no bundle ({CHECKSUMS} is missing).",
            fix="run `workbench repro`, or `dvc pull` if it was made elsewhere",
        ) from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BundleError(f"{CHECKSUMS} of {path.parent} cannot be read: {error}.") from None
    if found.version > VERSION:
        raise BundleError(
            f"{path.parent} is a bundle of version {found.version}; "
            f"this workbench reads {VERSION}.",
            fix="update the workbench",
        )
    return found.sha256


def _sums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file by relative path.

    A link to a file counts as the file, because DVC may link what it checks out. A link to a
    folder is refused: its files would be read, and not be summed.
    """
    found: dict[str, str] = {}
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if file.is_symlink() and file.is_dir():
            raise BundleError(f"{name} of bundle {folder} is a link to another folder.")
        if file.is_file() and name != CHECKSUMS:
            found[name] = digest_file(file)
    return found
