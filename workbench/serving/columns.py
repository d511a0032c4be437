"""Values as a client writes them, turned into the arrays that a bundle's graph takes.

The same rules hold at training (`workbench.data.fitted.arrays`): missing numbers are NaN, missing
words are "", missing times are 0. What is neither is refused by name, never guessed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from workbench.core.errors import DataError, did_you_mean
from workbench.core.records import Column
from workbench.data.images import pixels
from workbench.data.tokens import token_ids

MAX_CELLS = 1_000_000
"""Of one padded list column: one long list must not blow up thousands of short ones."""

_LARGEST = float(np.finfo(np.float32).max)
_NUMBERS = frozenset({int, float})
_PLAIN_NUMBERS = frozenset({int, float, type(None)})
_WORDS = frozenset({str, int, type(None)})
_EXPECTED = {
    "number": "a number or null",
    "word": "a word, a whole number or null",
    "time": "an ISO 8601 time, seconds since 1970-01-01 UTC or null",
    "text": "text or null",
    "list": "a list of words or null",
}


def expected(column: Column) -> str:
    """Say what one value of `column` is."""
    if column.role == "image":
        return f"an image (PNG, JPEG, or whole numbers to 255) of shape {list(column.shape)}"
    return _EXPECTED[column.role]


def columns_of(rows: Sequence[Any], known: Mapping[str, Column]) -> dict[str, list[Any]]:
    """Turn rows of named fields into columns; a field that a row lacks is None.

    DataError when there are no rows, when one is no object, or when it has an unknown field.
    """
    if len(rows) == 1 and type(row := rows[0]) is dict and row and row.keys() <= known.keys():
        return {name: [value] for name, value in row.items()}  # what most requests are
    if not rows:
        raise DataError("No rows given: expected at least one object of named fields.")
    named: set[str] = set()
    for place, row in enumerate(rows):
        if not isinstance(row, dict):
            raise DataError(f"rows[{place}] must be an object of named fields, got {_shown(row)}.")
        named.update(row)
    for name in sorted(named.difference(known), key=str):
        raise DataError(f"Unknown input '{_shown(name)}'.{did_you_mean(str(name), known)}")
    if not named:
        raise DataError(f"No fields given: expected some of {', '.join(sorted(known))}.")
    return {name: [row.get(name) for row in rows] for name in known if name in named}


def array_of(
    column: Column, values: Any, rows: int, tokenizer: Callable[[], Any]
) -> np.ndarray[Any, Any]:
    """Return `values` of one column as the graph takes them; None stands for all missing.

    number: float32 [rows]. time: int64 [rows]. word: str [rows]. list: str [rows, longest].
    text: int64 token codes [rows, longest]. image: uint8 [rows, height, width, channels].
    DataError names the column, the row and what was expected.
    """
    if column.role == "number":
        return _numbers(column, values, rows)
    if column.role == "image":
        return _images(column, values)
    if values is None:
        values = [None] * rows
    elif isinstance(values, np.ndarray):
        if column.role == "time" and values.dtype.kind in "iu":
            return values.astype(np.int64, copy=False)
        values = _plain(values)
    if column.role == "word":
        if not _WORDS.issuperset(map(type, values)):
            _refuse(column, values, lambda v: type(v) in _WORDS)
        return np.array(["" if v is None else str(v) for v in values], dtype=object)
    if column.role == "time":
        return np.array([_seconds(column, r, v) for r, v in enumerate(values)], dtype=np.int64)
    if column.role == "text":
        _refuse(column, values, lambda v: v is None or isinstance(v, str))
        return token_ids(tokenizer(), [v or "" for v in values])
    return _lists(column, values)


def numbers_of(names: Sequence[str], columns: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Those number columns as float32 [rows], all by one conversion; {} where one does not fit.

    Then `array_of` finds and names the value. Many columns of few rows are what most requests are.
    """
    block = [columns[name] for name in names]
    if len(block) < 2 or set(map(type, block)) != {list}:
        return {}
    if not _PLAIN_NUMBERS.issuperset(map(type, chain.from_iterable(block))):
        return {}
    try:
        array = np.array(block, dtype=np.float64)  # None becomes NaN
    except (ValueError, OverflowError):  # columns of unlike length, a whole number beyond floats
        return {}
    # Neither NaN nor a number of 32 bits: NaN compares as False both times.
    if (array > _LARGEST).any() or (array < -_LARGEST).any():
        return {}
    return dict(zip(names, array.astype(np.float32), strict=True))


def _numbers(column: Column, values: Any, rows: int) -> np.ndarray[Any, Any]:
    """Numbers in quotes are not numbers: a client that sends them has mixed up columns."""
    if values is None:
        return np.full(rows, np.nan, np.float32)
    if isinstance(values, np.ndarray):
        if values.dtype.kind in "fiu":
            return values.astype(np.float32, copy=False)
        values = values.tolist()
    for value in values:
        if value is None or (type(value) in _NUMBERS and -_LARGEST <= value <= _LARGEST):
            continue
        if not _is_number(value):
            _refuse(column, values, _is_number)
    return np.array(values, dtype=np.float32)


def _is_number(value: Any) -> bool:
    """A number that 32 bits can hold; NaN is a missing one; numpy's scalars are numbers too."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return value is None
    return bool(-_LARGEST <= value <= _LARGEST) or value != value


def _seconds(column: Column, row: int, value: Any) -> int:
    """Seconds since 1970-01-01 UTC of one time, which is in UTC unless it says otherwise."""
    try:
        if value is None:
            return 0
        if isinstance(value, int | float) and not isinstance(value, bool):
            seconds = int(value)
            if -(2**63) <= seconds < 2**63:
                return seconds
        moment = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(moment, dt.datetime):
            return int((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp())
    except (ValueError, OverflowError):
        pass  # said below, with the name of the column
    raise _refused(column, row, value)


def _lists(column: Column, values: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Lists of words, padded with "" to the longest or to the width that the graph takes."""
    _refuse(column, values, lambda v: v is None or isinstance(v, list | tuple | np.ndarray))
    lists: list[list[str]] = []
    for row, value in enumerate(values):
        words = [] if value is None else list(value)
        if not _WORDS.issuperset(map(type, words)):
            raise _refused(column, row, value)
        lists.append([str(word) for word in words if word is not None and word != ""])
    longest = max((len(row) for row in lists), default=0)
    width = column.shape[0] if column.shape and column.shape[0] > 0 else max(longest, 1)
    if longest > width or width * len(lists) > MAX_CELLS:
        raise DataError(f"Input '{column.name}' has a list of {longest} words, too long to answer.")
    return np.array([row + [""] * (width - len(row)) for row in lists], dtype=object)


def _images(column: Column, values: Any) -> np.ndarray[Any, Any]:
    """Unsigned bytes, or files (PNG, JPEG; base64 in JSON); a missing image is refused."""
    if values is not None and len(values) and all(isinstance(v, str | bytes) for v in values):
        try:
            values = pixels(values, column.shape)
        except DataError as error:
            raise DataError(f"Input '{column.name}' is no image: {error.problem}") from None
        except Exception as error:  # Pillow's decoders share no base class
            raise DataError(f"Input '{column.name}' is no image: {error}") from None
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError):
        array = np.empty(0, dtype=object)
    fits = len(array.shape) == len(column.shape) + 1 and all(
        size in (given, -1) for size, given in zip(column.shape, array.shape[1:], strict=True)
    )
    if not fits or array.dtype.kind not in "iu" or array.min() < 0 or array.max() > 255:
        raise DataError(f"Input '{column.name}' must be {expected(column)} in each row.")
    return array.astype(np.uint8, copy=False)


def _plain(values: np.ndarray[Any, Any]) -> list[Any]:
    """An array as a list; times of numpy become datetimes, whatever their unit."""
    if values.dtype.kind == "M":
        return values.astype("datetime64[s]").tolist()
    return values.tolist()


def _refuse(column: Column, values: Sequence[Any], fits: Callable[[Any], bool]) -> None:
    """Raise DataError for the first of `values` that does not fit."""
    for row, value in enumerate(values):
        if not fits(value):
            raise _refused(column, row, value)


def _refused(column: Column, row: int, value: Any) -> DataError:
    return DataError(
        f"Input '{column.name}' must be {expected(column)}, got {_shown(value)} in rows[{row}]."
    )


def _shown(value: Any) -> str:
    """A value as its client wrote it, short: it may be an image, or someone's letter."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
