"""Which encoding the bytes of a text are in, and the same text in UTF-8."""

from __future__ import annotations

import codecs
import gzip
import io
import re
from collections.abc import Iterator
from encodings.aliases import aliases
from pathlib import Path
from typing import TextIO

from workbench.core.errors import DataError, did_you_mean
from workbench.core.progress import progress
from workbench.data.sources.content import Survey, is_gzip
from workbench.data.sources.magic import UTF16_MARKS
from workbench.data.sources.recipe import Notes

PIECE_LETTERS = 1 << 22
UTF8_MARK = b"\xef\xbb\xbf"

_WEST = "äöüßÄÖÜéèêëàâáãåçîïíìñóòôõúùûœæøÅØÆÉÈÀÁÇÑÕÓÚÍ¿¡€£°§«»“”„’‘–—…·®©™²³½µ×"  # noqa: RUF001 - letters as they are
_LATIN = (
    ("cp1252", _WEST),
    ("cp1250", "ąćęłńóśźżĄĆĘŁŃÓŚŹŻčďěňřšťůýžáéíúČĎĚŇŘŠŤŮÝŽÁÉÍÚőűöüŐŰÖÜăâîşţäßô“”„’–€…§°"),  # noqa: RUF001
    ("cp1254", "çğıöşüÇĞİÖŞÜâîû“”’–€…"),  # noqa: RUF001
    ("cp850", _WEST),
    ("mac_roman", _WEST),
)
"""Letters that a text in one of these encodings is made of; the first of equals is taken.

charset_normalizer takes German or French for cp1250; counting letters does not.
"""


def find_encoding(path: Path, seen: Survey, given: str, notes: Notes) -> str:
    """Return the encoding to read a text file in; `given`, if any, is checked and followed.

    A byte-order mark decides; else what is UTF-8 throughout is UTF-8; else it is guessed, and
    said. Raises DataError when the bytes are not text, or not in the encoding that was given.
    """
    marked = _by_mark(seen)
    if given:
        encoding = _checked(path, seen, given, marked)
    else:
        encoding = marked or _unmarked_utf16(seen) or _utf8(seen)
        if encoding is None:
            _refuse_nul(path, seen.nul)
            encoding = _guess(path, seen)
            notes.say(
                f"Line {seen.not_utf8} is not UTF-8; the text is taken for {encoding}, a guess. "
                "If letters look wrong, say `--encoding`."
            )
    if encoding == "utf-8":
        _refuse_nul(path, seen.nul)
    else:
        _decode_all(path, encoding)
    if marked:
        notes.say(f"The file begins with a byte-order mark ({marked}), which is not data.")
    return encoding


def open_text(path: Path, encoding: str, newline: str | None = "") -> TextIO:
    """Open a text file, unpacked if it is gzip, without its byte-order mark."""
    name = "utf-8-sig" if encoding == "utf-8" else encoding
    if is_gzip(path):
        return io.TextIOWrapper(gzip.open(path, "rb"), encoding=name, newline=newline)  # type: ignore[arg-type]
    return path.open(encoding=name, newline=newline)


def text_pieces(path: Path, file: TextIO, what: str) -> Iterator[str]:
    """Yield the rest of an open text in pieces, with progress."""
    total = -(-path.stat().st_size // PIECE_LETTERS)
    return progress(iter(lambda: file.read(PIECE_LETTERS), ""), what, total)


def _by_mark(seen: Survey) -> str | None:
    if seen.head.startswith(UTF8_MARK):
        return "utf-8" if seen.not_utf8 is None else None
    return "utf-16" if seen.head.startswith(UTF16_MARKS) else None


def _unmarked_utf16(seen: Survey) -> str | None:
    """UTF-16 without a mark: in Western text every other byte is NUL."""
    start = seen.head[:4096]
    if start.count(0) < len(start) * 0.3:
        return None
    return "utf-16-le" if start[1::2].count(0) > start[0::2].count(0) else "utf-16-be"


def _utf8(seen: Survey) -> str | None:
    return "utf-8" if seen.not_utf8 is None else None


def _guess(path: Path, seen: Survey) -> str:
    best = max(_LATIN, key=lambda one: _likeness(seen.foreign, *one))
    if _likeness(seen.foreign, *best) > 0.8 and _scattered(seen.foreign):
        return best[0]
    from charset_normalizer import from_bytes

    found = from_bytes(seen.foreign).best()
    if found is None:
        raise DataError(
            f"{path.name} is not text: line {seen.not_utf8} fits no encoding.",
            fix="export it as CSV (UTF-8), or say `--encoding`",
        )
    return codecs.lookup(found.encoding).name


def _likeness(text: bytes, encoding: str, letters: str) -> float:
    """Fraction of the letters beyond ASCII that the encoding's languages use."""
    try:
        beyond = [letter for letter in text.decode(encoding) if not letter.isascii()]
    except UnicodeDecodeError:
        return 0.0
    return sum(letter in letters for letter in beyond) / max(len(beyond), 1)


def _scattered(text: bytes) -> bool:
    """Whether bytes beyond ASCII mostly stand alone, as accents do; in Cyrillic they do not."""
    runs = re.findall(rb"[\x80-\xff]+", text)
    return sum(len(run) for run in runs) < 1.7 * len(runs)


def _checked(path: Path, seen: Survey, given: str, marked: str | None) -> str:
    """The encoding that a person gave, by its usual name; DataError where it cannot be."""
    try:
        name = codecs.lookup(given).name
        "a".encode(name)
    except (LookupError, UnicodeError):
        known = {alias.replace("_", "-") for alias in aliases} | {"cp1252", "latin-1", "utf-8"}
        hint = did_you_mean(given.lower(), known)
        hint = hint if hint.startswith(" Did") else ""
        raise DataError(
            f"There is no encoding '{given}'.{hint}", fix="leave `--encoding` out: it is looked for"
        ) from None
    name = {"utf-8-sig": "utf-8", "ascii": "utf-8", "iso8859-1": "latin-1"}.get(name, name)
    if marked and name not in (marked, f"{marked}-le", f"{marked}-be"):
        raise DataError(
            f"{path.name} begins with the byte-order mark of {marked}, so it is not {given}.",
            fix=f"leave `--encoding` out, or say `--encoding {marked}`",
        )
    if marked:
        return marked
    if name == "utf-8" and seen.not_utf8 is not None:
        raise DataError(
            f"{path.name} is not {given}: line {seen.not_utf8} holds bytes that {given} has not.",
            fix=f"say `--encoding {_guess(path, seen)}`, or leave it out",
        )
    shows_utf8 = seen.not_utf8 is None and seen.nul is None
    if shows_utf8 and (name.startswith(("utf-16", "utf-32")) or (seen.foreign and name != "utf-8")):
        raise DataError(
            f"{path.name} is UTF-8 throughout; as {given} its letters would come out wrong.",
            fix="leave `--encoding` out",
        )
    return name


def _decode_all(path: Path, encoding: str) -> None:
    """Read all of it once: what cannot be decoded is found now, with its line."""
    lines = 1
    try:
        with open_text(path, encoding) as file:
            for piece in text_pieces(path, file, f"Decode {path.name}"):
                if (at := piece.find("\0")) >= 0:
                    _refuse_nul(path, lines + piece.count("\n", 0, at))
                lines += piece.count("\n")
    except UnicodeError:
        raise DataError(
            f"{path.name} is not {encoding}: it cannot be decoded from about line {lines} on.",
            fix="leave `--encoding` out, or export the file as UTF-8",
        ) from None


def _refuse_nul(path: Path, line: int | None) -> None:
    if line is not None:
        raise DataError(
            f"{path.name} holds a NUL byte in line {line}: it is binary, or was damaged.",
            fix="export it again as text (CSV, UTF-8)",
        )
