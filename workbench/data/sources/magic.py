"""What a file is by its first bytes, whatever its name ends in."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Literal

from workbench.core.errors import DataError

Kind = Literal["parquet", "json", "text"]

GZIP = b"\x1f\x8b"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_SPREADSHEET = "open it and save the sheet as CSV (UTF-8)"
_UNPACK = "unpack it and name the file inside"
_FOREIGN = (
    (b"%PDF", "a PDF document", "find the table as CSV, or copy it into a spreadsheet"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Office file", _SPREADSHEET),
    (b"BZh", "a bzip2 archive", "bunzip2 it first"),
    (b"\xfd7zXZ\x00", "an xz archive", "unxz it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "unzstd it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (b"Rar!", "a RAR archive", _UNPACK),
    (b"ARROW1", "an Arrow (Feather) file", "save it as Parquet: `df.to_parquet(...)`"),
    (b"ORC", "an ORC file", "save it as Parquet"),
    (b"Obj\x01", "an Avro file", "save it as Parquet"),
    (b"\x89HDF", "an HDF5 file", "save the table as Parquet: `df.to_parquet(...)`"),
    (b"\x93NUMPY", "a NumPy array", "save it with column names as CSV or Parquet"),
    (b"\x89PNG", "a PNG picture", "name a table"),
    (b"\xff\xd8\xff", "a JPEG picture", "name a table"),
    (b"GIF8", "a GIF picture", "name a table"),
    (b"\x7fELF", "a program", "name a table"),
    (b"RDX", "an R data file", "write it from R with `write.csv(x, file, row.names = FALSE)`"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the data", "git lfs pull"),
)


def kind_of(path: Path, head: bytes) -> Kind:
    """Return what `head`, the first bytes of the (unpacked) file, shows it to be.

    Raises DataError for everything that is not a table in a form that is read here.
    """
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"SQLite format 3\0"):
        raise _refused(path, "an SQLite database", f"give it as `--data sqlite:///{path.name}`")
    if head.startswith(b"PK\x03\x04"):
        raise _refused(path, *_zip(path))
    if len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5:
        raise _refused(
            path,
            "a Python pickle, which can run code when it is opened",
            "open it where you trust it and write `df.to_parquet(...)`",
        )
    if head[8:12] == b"DUCK":
        raise _refused(path, "a DuckDB database", "write the table with `COPY ... TO 'x.parquet'`")
    for magic, what, fix in _FOREIGN:
        if head.startswith(magic):
            raise _refused(path, what, fix)
    return _text_kind(path, head)


def _text_kind(path: Path, head: bytes) -> Kind:
    if head.startswith(UTF16_MARKS):
        return "text"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    lower = start[:200].lower()
    if lower.startswith((b"<!doctype html", b"<html")) or b"<html" in lower:
        raise _refused(
            path,
            "a web page (HTML)",
            "download the file itself: behind the link there may be a log-in or a viewer",
        )
    if lower.startswith(b"<?xml"):
        raise _refused(path, "an XML file", "export the table as CSV")
    squeezed = b"".join(start[:200].split())
    return "json" if squeezed.startswith((b'{"', b"[{", b"{}", b"[]")) else "text"


def _zip(path: Path) -> tuple[str, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return "a damaged zip archive", "download it again"
    if any(name.startswith("xl/") for name in names):
        return "an Excel workbook", _SPREADSHEET
    if "content.xml" in names:
        return "an OpenDocument file", _SPREADSHEET
    if any(name.startswith("word/") for name in names):
        return "a Word document", "save its table as CSV"
    if any(name.endswith("data.pkl") for name in names):
        return "saved PyTorch objects", "write the table as Parquet"
    files = [name for name in names if not name.endswith("/")]
    return "a zip archive", f"unpack it and name the file inside: {', '.join(files[:3])}"


def _refused(path: Path, what: str, fix: str) -> DataError:
    ending = f", although its name ends in {path.suffix}" if path.suffix else ""
    return DataError(f"{path.name} is {what}{ending}; a table is read here.", fix=fix)
