"""Dividing examples into train, valid and test, so that unchanged rows never change side."""

from __future__ import annotations

import datetime as dt
from typing import Any

from workbench.core.errors import DataError
from workbench.core.params import Split
from workbench.data.examples import Spec

SIDE = "side of the split"
"""Longer than any name that a person gives a column: one may well be called `side`."""


def assign(table: Any, spec: Spec, split: Split) -> tuple[Any, dict[str, Any]]:
    """Return `table` with a column `side` (train, valid, test or gap), and what was decided.

    By time, the borders are moments, so later data cannot move a row to an earlier side unless
    the borders themselves move. By group or hash, a row's side is a function of its key alone.
    """
    return _by_time(table, spec, split) if split.by == "time" else _by_hash(table, spec, split)


def _by_time(table: Any, spec: Spec, split: Split) -> tuple[Any, dict[str, Any]]:
    import ibis

    if not spec.time:
        raise DataError(
            "A split by time needs `time=` in the Examples of `label`.",
            fix="name the time column, or use `by: group` or `by: hash`",
        )
    moment = table[spec.time].cast("timestamp").epoch_seconds()
    valid_s, test_s = _borders(table, moment, split)
    gap_s = int(split.gap_days * 86_400)
    side = ibis.cases(
        (moment < valid_s - gap_s, "train"),
        (moment < valid_s, "gap"),
        (moment < test_s - gap_s, "valid"),
        (moment < test_s, "gap"),
        else_="test",
    )
    return table.mutate(**{SIDE: side}), {
        "by": "time",
        "valid_from_s": valid_s,
        "test_from_s": test_s,
        "gap_s": gap_s,
    }


def _borders(table: Any, moment: Any, split: Split) -> tuple[int, int]:
    """Where valid and test begin, in seconds since 1970: as said, or by their share of rows."""
    if split.valid_from:
        said = (dt.datetime.fromisoformat(at) for at in (split.valid_from, split.test_from))
        valid_s, test_s = (int(_utc(at).timestamp()) for at in said)
        return valid_s, test_s
    places = (
        table.aggregate(
            valid=moment.quantile(1 - split.test_fraction - split.valid_fraction),
            test=moment.quantile(1 - split.test_fraction),
        )
        .execute()
        .iloc[0]
    )
    return int(places["valid"]), int(places["test"])


def _utc(moment: dt.datetime) -> dt.datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _by_hash(table: Any, spec: Spec, split: Split) -> tuple[Any, dict[str, Any]]:
    import ibis

    if split.by == "group" and not spec.group:
        raise DataError(
            "A split by group needs `group=` in the Examples of `label`.",
            fix="name the group column, or use `by: hash`",
        )
    columns = [spec.group] if split.by == "group" and spec.group else list(spec.key)
    word: Any = ibis.literal(split.salt)
    for column in columns:
        word = word + "\x1f" + table[column].cast("string").fill_null("")
    # MD5 is the same in every engine and release; its hexadecimal digits compare as text.
    place = word.hexdigest("md5")
    test_below = _digits(split.test_fraction)
    valid_below = _digits(split.test_fraction + split.valid_fraction)
    side = ibis.cases((place < test_below, "test"), (place < valid_below, "valid"), else_="train")
    return table.mutate(**{SIDE: side}), {"by": split.by, "columns": columns, "salt": split.salt}


def _digits(fraction: float) -> str:
    """First hexadecimal digits of the number at `fraction` of the range of a hash."""
    return f"{min(int(fraction * 16**8), 16**8 - 1):08x}"
