"""A file is what its bytes say; what is no table here is said, with the way to one."""

from __future__ import annotations

import io
import pickle
import sqlite3
import zipfile
from pathlib import Path

import pytest

from tests.data.sources.conftest import Reader
from workbench.core.errors import DataError


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return buffer.getvalue()


FILES = {
    "an Excel workbook": zipped("[Content_Types].xml", "xl/workbook.xml"),
    "an OpenDocument": zipped("mimetype", "content.xml"),
    "a Word document": zipped("word/document.xml"),
    "a zip archive": zipped("folder/train.csv"),
    "a damaged zip": zipped("a.csv")[:20],
    "an old Excel": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500,
    "a PDF": b"%PDF-1.7\n" + b"\xe2\xe3" * 50,
    "a Python pickle": pickle.dumps({"a": [1, 2]}),
    "a web page": b"\n<!DOCTYPE html><html><body>Sign in</body></html>",
    "an XML file": b'<?xml version="1.0"?><rows/>',
    "a PNG picture": b"\x89PNG\r\n\x1a\n" + b"\0" * 50,
    "a program": b"\x7fELF" + b"\1" * 50,
    "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
}


@pytest.mark.parametrize("what", FILES)
def test_what_only_calls_itself_csv_is_named(take: Reader, what: str) -> None:
    with pytest.raises(DataError, match=what) as error:
        take("table.csv", FILES[what])
    assert "although its name ends in .csv" in error.value.problem
    assert error.value.fix


def test_sqlite_under_another_name_is_told_how_to_be_read(take: Reader, root: Path) -> None:
    with sqlite3.connect(root / "x.csv") as raw:
        raw.execute("CREATE TABLE t (a)")
    raw.close()
    with pytest.raises(DataError, match=r"--data sqlite:///x.csv"):
        take("x.csv")


def test_bytes_without_any_form_are_refused(take: Reader) -> None:
    with pytest.raises(DataError, match=r"NUL byte|not text"):
        take("x.csv", bytes(range(256)) * 40)


def test_parquet_and_json_under_the_name_of_csv_are_simply_read(take: Reader, root: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": [1, 2]}), root / "p.csv")
    assert take("p.csv").rows == [(1,), (2,)]
    assert take("j.csv", '{"a": 1}\n{"a": 2}\n').rows == [(1,), (2,)]
    assert take("c.parquet", "a,b\n1,2\n").rows == [("1", "2")]
