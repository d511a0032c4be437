"""How the values of a text column are spelt as dates: the formats that read them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from workbench.data.kinds import ISO, Date
from workbench.data.look.names import TIME, words_of
from workbench.data.look.spellings import MISSING_NUMBER, missing_codes

MAX_FORMATS = 8

_ISO = re.compile(
    r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?( ?(Z|UTC|[+-]\d{2}(:?\d{2})?))?)?"
)
_PARTS = re.compile(r"(\d{1,4})([./-])(\d{1,2})\2(\d{4}|\d{2})(.*)")
_DAY_NAME = re.compile(r"(\d{1,2})([ -])([A-Za-z]{3,9})\2(\d{4})(.*)")
_NAME_DAY = re.compile(r"([A-Za-z]{3,9}) (\d{1,2})(,?) (\d{4})(.*)")
_COMPACT = re.compile(r"(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
_TIMES = (
    (re.compile(r""), ""),
    (re.compile(r"[ T]\d{1,2}:\d{2}"), "%H:%M"),
    (re.compile(r"[ T]\d{1,2}:\d{2}:\d{2}"), "%H:%M:%S"),
    (re.compile(r"[ T]\d{1,2}:\d{2}:\d{2}\.\d+"), "%H:%M:%S.%f"),
    (re.compile(r" \d{1,2}:\d{2} ?[AaPp][Mm]"), "%I:%M %p"),
    (re.compile(r" \d{1,2}:\d{2}:\d{2} ?[AaPp][Mm]"), "%I:%M:%S %p"),
)
_EITHER = "%?"
"""Stands for day or month, whichever the other values of the column say."""


@dataclass(frozen=True)
class DateSpelling:
    """Formats that fit, the fraction of values they read, and whether day and month are a guess."""

    kind: Date
    fraction: float
    ambiguous: bool = False


def dates(counts: Mapping[str, int], name: str = "") -> DateSpelling | None:
    """Find the formats by which `counts` (value: rows) are dates; None if there are none.

    Days and months of 03/04/2024 are told apart by values above 12 in the same column. Whole
    numbers are moments only in a column whose `name` says so.
    """
    missing = missing_codes(counts, MISSING_NUMBER)
    total = sum(rows for value, rows in counts.items() if value not in missing)
    found: Counter[str] = Counter()
    days: Counter[str] = Counter()
    for value, rows in counts.items():
        form = format_of(value)
        if form is None and value not in missing:
            form = _counted(value, name)
        if form and _EITHER in form:
            days[_first_of(value)] += rows
        if form:
            found[form] += rows
    if not found:
        return None
    # Both readings are tried where both are needed; the first one wins where either would do.
    day_first = _orders(days, found)
    formats: Counter[str] = Counter()
    for form, rows in found.items():
        for place, order in enumerate(day_first if _EITHER in form else (True,)):
            formats[_ordered(form, day_first=order)] += rows if place == 0 else 0
    # "%Y" would read 24 as a year of its own, so the short year of the same shape goes first.
    ranked = sorted(formats, key=lambda form: ("%y" not in form, -formats[form], form))
    ambiguous = any(_EITHER in form for form in found) and not (days["day"] or days["month"])
    kind = Date(tuple(ranked[:MAX_FORMATS]), missing)
    return DateSpelling(kind, found.total() / total, ambiguous)


def format_of(value: str) -> str | None:
    """The format of one value, with "%?" for what may be a day or a month; None for no date."""
    if _ISO.fullmatch(value):
        return ISO
    if _COMPACT.fullmatch(value):
        return "%Y%m%d"
    if found := _PARTS.fullmatch(value):
        first, mark, second, last = found[1], found[2], found[3], found[4]
        if len(first) == 4 and len(last) == 2 and 0 < int(second) <= 12 and 0 < int(last) <= 31:
            return _with_time(mark.join(("%Y", "%m", "%d")), found[5])
        low, high = sorted((int(first), int(second)))
        if len(first) > 2 or not 0 < low <= 12 or high > 31:
            return None
        year = "%Y" if len(last) == 4 else "%y"
        return _with_time(mark.join((_EITHER, _EITHER, year)), found[5])
    if found := _DAY_NAME.fullmatch(value):
        month = _month(found[3])
        return month and _with_time(found[2].join(("%d", month, "%Y")), found[5])
    if found := _NAME_DAY.fullmatch(value):
        month = _month(found[1])
        return month and _with_time(f"{month} %d{found[3]} %Y", found[5])
    return None


def _month(word: str) -> str | None:
    if word.lower() in _MONTHS:
        return "%B" if len(word) > 3 else "%b"
    return "%b" if word.lower() in {month[:3] for month in _MONTHS} else None


def _with_time(day: str, rest: str) -> str | None:
    """The format of the day with that of the time behind it; None when that is no time."""
    for shape, form in _TIMES:
        if shape.fullmatch(rest):
            if form.endswith("%p") and " " not in rest.strip():
                form = form.replace(" %p", "%p")
            return f"{day}{rest[0]}{form}" if form else day
    return None


def _counted(value: str, name: str) -> str | None:
    """Seconds or milliseconds since 1970, of years between 1990 and 2065."""
    if not value.isdecimal() or not words_of(name) & TIME:
        return None
    count = int(value)
    if 631_152_000 <= count < 3_000_000_000:
        return "epoch_s"
    return "epoch_ms" if 631_152_000_000 <= count < 3_000_000_000_000 else None


def _first_of(value: str) -> str:
    """Which part must stand first: `day`, `month`, or `either`."""
    first, second = (int(part) for part in re.split(r"[./-]", value)[:2])
    return "day" if first > 12 else "month" if second > 12 else "either"


def _orders(days: Mapping[str, int], found: Mapping[str, int]) -> tuple[bool, ...]:
    """Whether the day stands first: one answer, or both with the likelier first."""
    day, month = days.get("day", 0), days.get("month", 0)
    if day and month:
        return (day >= month, day < month)
    if day or month:
        return (day > 0,)
    slashed = sum(rows for form, rows in found.items() if f"{_EITHER}/" in form)
    pointed = sum(rows for form, rows in found.items() if _EITHER in form)
    return (slashed * 2 <= pointed,)  # 03/04/2024 is written in America, 03.04.2024 is not


def _ordered(form: str, *, day_first: bool) -> str:
    for part in ("%d", "%m") if day_first else ("%m", "%d"):
        form = form.replace(_EITHER, part, 1)
    return form
