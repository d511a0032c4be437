"""What life does to rows: values drift away from training, and some rows are not valid at all."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.core.errors import DataError, did_you_mean
from workbench.core.records import Column, Role

ALL = "all"
FACTOR, DAYS, WORD = 2.0, 365.0, "never seen before"
"""What a column that is only named becomes: that many times its value, so many days later, or
this word."""

_NUMERIC: Mapping[Role, float] = {"number": FACTOR, "image": FACTOR, "time": DAYS}
_WRONG: Mapping[Role, Any] = {
    "number": "many",
    "word": ["one", "two"],
    "time": "the other day",
    "text": 17,
    "list": "one",
    "image": "no picture",
}
"""A value of a wrong type for each role."""


@dataclass(frozen=True)
class Drift:
    """How one column drifts. by: a factor, days, or a word, as its role takes it."""

    column: Column
    by: float | str


def drifts_of(said: Sequence[str], columns: Sequence[Column]) -> tuple[Drift, ...]:
    """Read `COLUMN`, `COLUMN=BY` or `all`; DataError for a column or a number that is none."""
    known = {column.name: column for column in columns}
    found: dict[str, Drift] = {}
    for one in said:
        name, given, by = one.partition("=")
        if name == ALL and not given and ALL not in known:
            found |= {column.name: Drift(column, _by(column)) for column in columns}
        elif name not in known:
            raise DataError(
                f"There is no input '{name[:80]}' to drift.{did_you_mean(name, [*known, ALL])}"
            )
        else:
            found[name] = Drift(known[name], _by(known[name], by if given else None))
    return tuple(found.values())


def drifted(fields: Mapping[str, Any], drifts: Sequence[Drift]) -> dict[str, Any]:
    """The row with its columns drifted; what is missing stays missing."""
    row = dict(fields)
    for drift in drifts:
        if (value := row.get(drift.column.name)) is not None:
            row[drift.column.name] = _CHANGES[drift.column.role](value, drift.by)
    return row


def spoilt(
    fields: Mapping[str, Any], columns: Sequence[Column], chance: random.Random
) -> dict[str, Any]:
    """The row with one value of a wrong type, or with a field that nobody knows."""
    column = chance.choice([*columns, None])
    if column is None:
        return {**fields, "no_such_field": 1}
    return {**fields, column.name: _WRONG[column.role]}


def _by(column: Column, said: str | None = None) -> float | str:
    if column.role not in _NUMERIC:
        return WORD if said is None else said
    if said is None:
        return _NUMERIC[column.role]
    try:
        number = float(said)
        if abs(number) < 1e6:  # neither NaN nor infinite either
            return number
    except ValueError:
        pass
    what = "days" if column.role == "time" else "a factor"
    raise DataError(f"Input '{column.name}' drifts by {what}, not by '{said[:40]}'.")


def _scaled(value: Any, by: Any) -> Any:
    return value * by


def _later(value: Any, by: Any) -> Any:
    if isinstance(value, str):
        return (dt.datetime.fromisoformat(value) + dt.timedelta(days=by)).isoformat()
    return value + by * 86_400


def _brighter(value: Any, by: Any) -> Any:
    """An image of nested lists; a file (in base64) stays as it is."""
    if isinstance(value, list):
        return [_brighter(part, by) for part in value]
    return value if isinstance(value, str) else min(255, max(0, round(value * by)))


_CHANGES: Mapping[Role, Callable[[Any, Any], Any]] = {
    "number": _scaled,
    "time": _later,
    "image": _brighter,
    "word": lambda _, by: by,
    "text": lambda _, by: by,
    "list": lambda _, by: [by],
}
