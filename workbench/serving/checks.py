"""What an input says that training never saw: a word to whoever asks, never a refusal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.core.records import Column

FEW = 32
"""Values up to which plain comparisons are faster than making an array of them."""

_MISSING = (None,)


@dataclass(frozen=True, slots=True)
class Checks:
    """The ranges and vocabularies of a signature, ready to be compared with.

    ranges: name, low and high of each number. words: name and vocabulary of each word or list.
    Times are left out: what is asked comes after what was learnt, always.
    """

    ranges: tuple[tuple[str, float, float], ...]
    words: tuple[tuple[str, frozenset[str]], ...]


def checks_of(inputs: Mapping[str, Column]) -> Checks:
    """Collect what can be checked of `inputs`.

    A range is wider by one step of 32 bits, so that its own ends are inside however they are sent.
    """
    return Checks(
        tuple(
            (name, _step(column.low, -np.inf), _step(column.high, np.inf))
            for name, column in inputs.items()
            if column.role == "number" and (column.low is not None or column.high is not None)
        ),
        tuple(
            (name, frozenset({*column.words, ""}))
            for name, column in inputs.items()
            if column.role in ("word", "list") and column.words
        ),
    )


def warned(checks: Checks, columns: Mapping[str, Any], rows: int) -> tuple[str, ...]:
    """Return a sentence for each column with values beyond training; missing ones never are.

    columns: values that the bundle has taken, so of the right kinds.
    """
    get = columns.get
    if rows == 1:  # most requests; a comprehension costs half of what a loop does
        outside = [
            name
            for name, low, high in checks.ranges
            if (value := get(name, _MISSING)[0]) is not None and not low <= value <= high
        ]
        unknown = [
            name
            for name, words in checks.words
            if (value := get(name, _MISSING)[0]) is not None
            and (type(value) is not str or value not in words)
        ]
        if not outside and not unknown:
            return ()
    return _sentences(checks, columns, rows)


def _sentences(checks: Checks, columns: Mapping[str, Any], rows: int) -> tuple[str, ...]:
    said: list[str] = []
    for name, low, high in checks.ranges:
        values = columns.get(name)
        if values is not None and _is_outside(values, rows, low, high):
            said.append(_range_sentence(name, low, high, values))
    for name, words in checks.words:
        values = columns.get(name)
        if values is not None and (found := list(_unknown(words, values))):
            said.append(_word_sentence(name, found, len(values)))
    return tuple(said)


def _is_outside(values: Any, rows: int, low: float, high: float) -> bool:
    if rows <= FEW:
        return any(v is not None and not low <= v <= high and v == v for v in values)
    array = np.asarray(values, np.float64)  # None becomes NaN, which is outside of nothing
    return bool(((array < low) | (array > high)).any())


def _items(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list | tuple | np.ndarray) else (value,)


def _range_sentence(name: str, low: float, high: float, values: Any) -> str:
    found = [
        (row, value)
        for row, value in enumerate(values)
        if value is not None and value == value and not low <= value <= high
    ]
    return (
        f"'{name}' is {found[0][1]:.6g}, outside of {low:.6g} to {high:.6g} seen in training"
        f"{_place(found[0][0], len(found), len(values))}."
    )


def _word_sentence(name: str, found: Sequence[tuple[int, str]], rows: int) -> str:
    first, word = found[0]
    shown = word if len(word) <= 40 else f"{word[:37]}..."
    many = len({row for row, _ in found})
    return f"'{name}' has '{shown}', a word not seen in training{_place(first, many, rows)}."


def _unknown(words: frozenset[str], values: Any) -> Iterator[tuple[int, str]]:
    """Row and word of each that is unknown. Whole numbers are words; a list holds several."""
    for row, value in enumerate(values):
        if type(value) is str:
            if value not in words:
                yield row, value
            continue
        for word in _items(value):
            if word is not None and str(word) not in words:
                yield row, str(word)


def _place(row: int, found: int, rows: int) -> str:
    """Where it is, when there is more than one row."""
    if rows == 1:
        return ""
    return f" (rows[{row}]" + (f" and {found - 1} more of {rows})" if found > 1 else ")")


def _step(bound: float | None, away: float) -> float:
    if bound is None:
        return away
    return float(np.nextafter(np.float32(bound), np.float32(away)))
