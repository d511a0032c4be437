"""How a CSV file is written: what parts fields, what quotes them, where the header stands."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

DELIMITERS = ("\t", "|", ";", ",", "^", "~", "\x1f", "\x01", "¦", " ")
"""Tried in this order among equals: a semicolon never stands in a number, a comma does."""
QUOTES = ('"', "'")
ONE_COLUMN = "\x1f"
"""Delimiter of a file with one column: a sign that stands in no text."""
FIELD_LETTERS = 1 << 24
MAX_PREAMBLE = 100
_TOLD = re.compile(r"sep=(.)\r?\n")  # how Excel is told the delimiter
_YEAR = re.compile(r"(19|20)\d\d")
_NUMBER = re.compile(r"[-+(]?[\d.,' \u00a0]*\d[%)€$£]?(e[-+]?\d+)?", re.IGNORECASE)
_DATE = re.compile(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}([ T].*)?")


@dataclass(frozen=True)
class Dialect:
    """delimiter, quote, header: as in Recipe; skip_lines: lines before the first row of the table.

    agreement: fraction of the rows looked at that have as many fields as the first one.
    """

    delimiter: str
    quote: str
    header: bool
    skip_lines: int
    agreement: float


@dataclass(frozen=True)
class Row:
    """Fields of one row, the line it begins on (counted from 1) and the line it ends on."""

    fields: list[str]
    begins: int
    ends: int


def find_dialect(text: str, whole: bool, delimiter: str = "") -> Dialect:
    """Return how `text`, the beginning of a file, is written.

    whole: whether it is all of the file; else its last row may be cut off. delimiter: what a
    person said; empty to find it.
    """
    if told := _TOLD.match(text):
        rest = find_dialect(text[told.end() :], whole, delimiter or told[1])
        return replace(rest, skip_lines=rest.skip_lines + 1)
    found = [
        dialect
        for quote in QUOTES
        for sign in ([delimiter] if delimiter else DELIMITERS)
        if (dialect := _tried(text, whole, sign, quote)) is not None
    ]
    if not found:
        # a quote that is never closed hides every delimiter; reading says where it is
        found = [
            replace(dialect, quote='"')
            for sign in ([delimiter] if delimiter else DELIMITERS)
            if (dialect := _tried(text, whole, sign, "")) is not None
        ]
    if found:
        # max keeps the first of equals, and so the order of QUOTES and DELIMITERS
        return max(found, key=lambda one: round(one.agreement, 2))
    return _single(text, whole, delimiter or ONE_COLUMN)


def rows_of(lines: Iterator[str], delimiter: str, quote: str, strict: bool = True) -> Iterator[Row]:
    """Yield the rows of CSV lines that are not blank; csv.Error where a quote is not closed."""
    csv.field_size_limit(FIELD_LETTERS)
    reader = csv.reader(
        lines,
        delimiter=delimiter,
        quotechar=quote or None,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        strict=strict,
    )
    before = 0
    for fields in reader:
        if fields:
            yield Row(fields, before + 1, reader.line_num)
        before = reader.line_num


def _tried(text: str, whole: bool, delimiter: str, quote: str) -> Dialect | None:
    """The dialect with this delimiter and quote, or None where it does not part the text."""
    if delimiter not in text or (quote == "'" and "'" not in text):
        return None
    rows = _parsed(text, whole, delimiter, quote)
    if rows is None or not rows:
        return None
    wide = [row for row in rows if len(row.fields) > 1]
    if not wide:
        return None
    width = Counter(len(row.fields) for row in wide).most_common(1)[0][0]
    first = next(place for place, row in enumerate(rows) if len(row.fields) == width)
    if first > MAX_PREAMBLE or (first and not _names(rows[first].fields)):
        # what stands before is the header itself, of another width: no preamble
        first = 0
    table = rows[first:]
    agreement = sum(len(row.fields) == width for row in table) / len(table)
    if len(table[0].fields) == 1 or (first and (agreement < 0.6 or len(table) < 2)):
        return None  # commas in prose or in numbers, below the name of a single column
    if delimiter == " " and (agreement < 1 or not _mostly_numbers(table)):
        return None  # words of a sentence are not columns
    return Dialect(
        delimiter=delimiter,
        quote=quote,
        header=_has_header([row.fields for row in table]),
        skip_lines=table[0].begins - 1,
        agreement=agreement,
    )


def _single(text: str, whole: bool, delimiter: str) -> Dialect:
    """One column, which nothing parts."""
    rows = _parsed(text, whole, delimiter, '"')
    fields = [row.fields for row in rows or []]
    skipped = rows[0].begins - 1 if rows else 0
    return Dialect(delimiter, '"', _has_header(fields), skipped, 1.0)


def _parsed(text: str, whole: bool, delimiter: str, quote: str) -> list[Row] | None:
    """All rows of the text, without a last one that may be cut off; None where it is not CSV."""
    rows = []
    try:
        for row in rows_of(iter(io.StringIO(text, newline="")), delimiter, quote):
            rows.append(row)
    except csv.Error:
        # a cut-off text ends within quotes; any other that does is not in this dialect
        if whole or not rows or rows[-1].ends < text.count("\n") * 0.9:
            return None
        return rows
    return rows if whole or len(rows) < 2 else rows[:-1]


def _names(fields: list[str]) -> bool:
    """Whether fields can be a header: words, each another, hardly one empty."""
    words = [field.strip() for field in fields if field.strip()]
    return len(words) >= max(1, len(fields) * 0.5) and not any(_is_value(word) for word in words)


def _has_header(rows: list[list[str]]) -> bool:
    """Whether the first row names the columns: people's tables nearly always have a header.

    Only signs to the contrary count: numbers or dates on top of columns of such, and words on
    top that come again below.
    """
    if len(rows) < 2:
        return True
    votes = 0
    for place, top in enumerate(rows[0]):
        below = [row[place].strip() for row in rows[1:1000] if len(row) > place]
        below = [value for value in below if value]
        if not below or not top.strip():
            continue
        values = sum(_is_value(value) for value in below) > len(below) / 2
        if values:
            votes += 1 if not _is_value(top.strip()) or _is_named_by_year(top, below) else -1
        elif top.strip() in below:
            votes -= 1
    return votes >= 0


def _is_named_by_year(top: str, below: list[str]) -> bool:
    return bool(_YEAR.fullmatch(top.strip())) and not any(_YEAR.fullmatch(v) for v in below)


def _is_value(word: str) -> bool:
    return bool(_NUMBER.fullmatch(word) or _DATE.fullmatch(word))


def _mostly_numbers(rows: list[Row]) -> bool:
    fields = [field for row in rows[1:200] for field in row.fields]
    return sum(_is_value(field) for field in fields) > len(fields) / 2
