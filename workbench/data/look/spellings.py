"""How the values of a text column are spelt: numbers with their marks, words for missing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from workbench.data.kinds import Number

AFFIXES = (
    *("%", "€", "$", "£", "¥", "₹", "₽", "₺", "₩", "R$", "US$"),
    *("EUR", "USD", "GBP", "CHF", "JPY", "SEK", "NOK", "DKK", "PLN", "kr", "zł", "Fr."),
)
MISSING = frozenset({"na", "n/a", "#n/a", "nan", "null", "?", "-", "--", "---"})
"""Spellings of missing anywhere; those below only where everything else is a number or a date."""
MISSING_NUMBER = MISSING | {"none", "nil", "missing", "unknown", ".", "n.a.", "#na", "#value!", "x"}

_PLAIN = re.compile(r"[+-]?\d+([eE][+-]?\d+)?")
_SPELLINGS = ((".", ""), (",", ""), (".", ","), (",", "."), (".", " "), (",", " "), (",", "'"))
_SPELLINGS += ((".", "'"),)
_BETWEEN = re.compile("[ \u00a0\u202f]")
_SIGNS = "|".join(sorted(map(re.escape, AFFIXES), key=len, reverse=True))
_AFFIX = re.compile(rf"([+-]?)\s*(?:({_SIGNS})\s*)?([+-]?[\d.,].*?)\s*({_SIGNS})?")


@dataclass(frozen=True)
class Spelling:
    """A kind that fits, the fraction of values it reads, and whether another fits as well."""

    kind: Number
    fraction: float
    ambiguous: bool = False


def missing_codes(counts: Mapping[str, int], codes: frozenset[str]) -> tuple[str, ...]:
    """Values that are spellings of missing, as they are written."""
    return tuple(sorted(value for value in counts if value.lower() in codes))


def numbers(counts: Mapping[str, int]) -> Spelling | None:
    """Find how `counts` (value without blanks around it: rows) spell numbers; None if they don't.

    Of several spellings that read as many rows the usual comes first: 1.234 is a little more than
    one, 1,234 is a thousand if every such value has groups of three.
    """
    missing = missing_codes(counts, MISSING_NUMBER)
    total = sum(rows for value, rows in counts.items() if value not in missing)
    bare: Counter[str] = Counter()
    affixes: set[str] = set()
    for value, rows in counts.items():
        found = _AFFIX.fullmatch(value)
        if found and value not in missing:
            affixes.update(sign for sign in (found[2], found[4]) if sign)
            bare[found[1] + _BETWEEN.sub(" ", found[3]).replace("\u2019", "'")] += rows
    if not bare:
        return None
    plain = sum(rows for value, rows in bare.items() if _PLAIN.fullmatch(value))
    marked = {value: rows for value, rows in bare.items() if not _PLAIN.fullmatch(value)}
    score = {pair: _read(marked, *pair) for pair in _SPELLINGS}
    best = max(_SPELLINGS, key=lambda pair: score[pair])
    # "1,234" alone: a decimal comma reads it too, but a point with groups of three is likelier.
    if best == (",", "") and score[(".", ",")] == score[best]:
        best = (".", ",")
    ambiguous = bool(marked) and score[best] > 0 and _two_ways(score, best)
    decimal, thousands = best if marked and score[best] else (".", "")
    kind = Number(decimal, thousands, missing, tuple(sorted(affixes)))
    return Spelling(kind, (plain + score[best]) / total, ambiguous)


def _read(counts: Mapping[str, int], decimal: str, thousands: str) -> int:
    """Rows whose value is one number in this spelling."""
    groups = rf"[1-9]\d{{0,2}}({re.escape(thousands)}\d{{3}})+|" if thousands else ""
    point = re.escape(decimal)
    shape = re.compile(rf"[+-]?(({groups}\d+)({point}\d*)?|{point}\d+)([eE][+-]?\d+)?")
    return sum(rows for value, rows in counts.items() if shape.fullmatch(value))


def _two_ways(score: Mapping[tuple[str, str], int], best: tuple[str, str]) -> bool:
    """Whether a spelling that gives other numbers reads just as many rows."""
    rivals = {(".", ""): (",", "."), (".", ","): (",", "")}
    rival = rivals.get(best)
    return rival is not None and score[rival] == score[best]
