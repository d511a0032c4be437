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


def seal(folder: Path) -> str:
    """Write the checksums of all files in `folder`; return the bundle's digest (hex)."""
    write_json(folder / CHECKSUMS, {"version": VERSION, "sha256": _sums(folder)})
    return digest_file(folder / CHECKSUMS)


def verify(folder: Path) -> str:
    """Return the digest of the bundle in `folder`; BundleError names the first altered file."""
    if not (folder / CHECKSUMS).is_file():
        raise BundleError(
            f"{folder} holds no bundle ({CHECKSUMS} is missing).",
            fix="run `workbench repro`, or `dvc pull` if it was made elsewhere",
        )
    stated = read_json(folder / CHECKSUMS)
    if stated.get("version", 0) > VERSION:
        raise BundleError(
            f"{folder} is a bundle of version {stated['version']}; this workbench reads {VERSION}.",
            fix="update the workbench",
        )
    found = _sums(folder)
    for name in sorted({*stated["sha256"], *found}):
        if stated["sha256"].get(name) != found.get(name):
            what = "is missing" if name not in found else "was altered or added"
            raise BundleError(
                f"{name} of bundle {folder} {what} since the bundle was sealed.",
                fix="take the bundle again from its release or from the DVC cache",
            )
    return digest_file(folder / CHECKSUMS)


def read_signature(folder: Path) -> Signature:
    """Read `signature.json` of a bundle."""
    try:
        return read_json(folder / "signature.json", Signature)
    except FileNotFoundError:
        raise BundleError(f"{folder} holds no bundle (signature.json is missing).") from None
    except msgspec.ValidationError as error:
        raise BundleError(f"signature.json of {folder} cannot be read: {error}.") from None


def _sums(folder: Path) -> dict[str, str]:
    return {
        file.relative_to(folder).as_posix(): digest_file(file)
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != CHECKSUMS
    }
