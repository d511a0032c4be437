"""Statistics and vocabularies of the training side, and rows as arrays by role.

All a model learns about its columns outside its weights is here, from the training side only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.core.errors import DataError
from workbench.core.records import Role, Task
from workbench.data.examples import Spec

if TYPE_CHECKING:
    import numpy as np

MAX_WORDS = 20_000


@dataclass(frozen=True)
class ColumnFit:
    """What the training side says about one column.

    Numbers: mean, std, median and range of the values that are there; log: whether the model
    should see the signed logarithm, since the tail is heavy. Words: the vocabulary, most frequent
    first; code 0 is any other word, word i has code i + 1; a missing word is the empty one.
    """

    role: Role
    mean: float = 0.0
    std: float = 1.0
    median: float = 0.0
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    missing_fraction: float = 0.0
    words: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class Fitted:
    """Everything fitted on the training side: `fitted.json`.

    classes: target values in the order of the model's outputs. positive_fraction: of a binary
    target.
    """

    task: Task
    target: str
    columns: dict[str, ColumnFit]
    rows: int
    classes: tuple[str, ...] = ()
    positive_fraction: float = 0.0
    target_mean: float = 0.0
    target_std: float = 1.0


def fit(table: Any, spec: Spec) -> Fitted:
    """Fit on `table` (Arrow, the training side)."""
    import numpy as np

    columns = {name: _fit_column(table[name], name, role) for name, role in spec.roles.items()}
    classes: tuple[str, ...] = ()
    mean, std = 0.0, 1.0
    if spec.target and spec.task == "multiclass":
        classes = tuple(sorted({str(v) for v in table[spec.target].unique().to_pylist()}))
    elif spec.target and spec.task in ("binary", "regression"):
        target = table[spec.target].cast("float64").to_numpy(zero_copy_only=False)
        mean, std = float(np.mean(target)), float(np.std(target)) or 1.0
        if spec.task == "binary" and not 0 < mean < 1:
            raise DataError(
                f"The training side has only one class of '{spec.target}'.",
                fix="use more data, or another split",
            )
    return Fitted(
        task=spec.task, target=spec.target or "", columns=columns, rows=table.num_rows,
        classes=classes, positive_fraction=mean if spec.task == "binary" else 0.0,
        target_mean=mean, target_std=std,
    )


def _fit_column(values: Any, name: str, role: Role) -> ColumnFit:
    import numpy as np

    missing = values.null_count / max(len(values), 1)
    if role == "number":
        number = values.cast("float64", safe=False).to_numpy(zero_copy_only=False)
        there = number[np.isfinite(number)]
        missing = 1 - len(there) / max(len(number), 1)
        if not len(there):
            return ColumnFit(role=role, missing_fraction=1.0)
        spread = float(np.std(there)) or 1.0
        skew = float(np.mean(((there - np.mean(there)) / spread) ** 3))
        log = abs(skew) > 3
        seen = np.sign(there) * np.log1p(np.abs(there)) if log else there
        return ColumnFit(
            role=role, mean=float(np.mean(seen)), std=float(np.std(seen)) or 1.0,
            median=float(np.median(there)), low=float(there.min()), high=float(there.max()),
            log=log, missing_fraction=missing,
        )
    if role == "time":
        seconds = _seconds(values)
        return ColumnFit(
            role=role, low=float(seconds.min()), high=float(seconds.max()),
            missing_fraction=missing,
        )
    if role in ("word", "list"):
        flat = values.combine_chunks().flatten() if role == "list" else values
        return ColumnFit(role=role, words=_vocabulary(flat), missing_fraction=missing)
    if role == "image":
        return ColumnFit(role=role, missing_fraction=missing)
    return ColumnFit(role=role, missing_fraction=missing)


def _vocabulary(values: Any) -> tuple[str, ...]:
    """Words by falling count, then by name, so that equal data gives equal codes."""
    counts = values.cast("string").fill_null("").value_counts().to_pylist()
    ranked = sorted(counts, key=lambda pair: (-pair["counts"], pair["values"]))
    return tuple(pair["values"] for pair in ranked[:MAX_WORDS])


def _seconds(values: Any) -> np.ndarray:
    """Times as seconds since 1970-01-01 UTC; a missing time is 0."""
    import pyarrow.types as kinds

    if not kinds.is_integer(values.type):
        values = values.cast("timestamp[s]", safe=False)
    return values.cast("int64").fill_null(0).to_numpy(zero_copy_only=False)


def arrays(table: Any, roles: Mapping[str, Role]) -> dict[str, np.ndarray]:
    """Rows of an Arrow table as the arrays that the exported graph takes, raw.

    number: float32 [rows], missing is NaN. word: str [rows], missing is "". time: int64 [rows].
    list: str [rows, longest], padded with "". image: uint8 [rows, height, width, channels].
    text: str [rows].
    """
    import numpy as np

    found: dict[str, Any] = {}
    for name, role in roles.items():
        values = table[name]
        if role == "number":
            found[name] = values.cast("float32", safe=False).to_numpy(zero_copy_only=False)
        elif role == "time":
            found[name] = _seconds(values)
        elif role in ("word", "text"):
            found[name] = values.cast("string").fill_null("").to_numpy(zero_copy_only=False)
        elif role == "list":
            rows = [[str(v) for v in row or ()] for row in values.to_pylist()]
            longest = max((len(row) for row in rows), default=0) or 1
            found[name] = np.array([row + [""] * (longest - len(row)) for row in rows], dtype=object)
        else:
            found[name] = np.stack([np.asarray(row, dtype=np.uint8) for row in values.to_pylist()])
    return found


def codes(words: np.ndarray, vocabulary: tuple[str, ...]) -> np.ndarray:
    """Codes of words (int64, same shape): place in the vocabulary plus one, 0 when unknown."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    flat = pa.array(words.reshape(-1), pa.string())
    place = pc.index_in(flat, value_set=pa.array(vocabulary, pa.string()))  # type: ignore[attr-defined]
    return (pc.fill_null(place, -1).to_numpy(zero_copy_only=False).astype(np.int64) + 1).reshape(
        words.shape
    )
