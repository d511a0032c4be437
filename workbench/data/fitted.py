"""Statistics and vocabularies of the training side, and rows as arrays by role.

All a model learns about its columns outside its weights is here, from the training side only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from workbench.core.errors import DataError
from workbench.core.records import Role, Task
from workbench.data.examples import Spec, weights_of
from workbench.data.images import pixels

if TYPE_CHECKING:
    import numpy as np

MAX_WORDS = 20_000
OFTEN = 5
"""Times that a word must be seen before a model may learn something about it alone."""

BINS = 48
_QUANTILE_ROWS = 200_000


@dataclass(frozen=True)
class ColumnFit:
    """What the training side says about one column.

    Numbers: mean, std, median and range of the values that are there; log: whether the model
    should see the signed logarithm, since the tail is heavy. quantiles: of numbers and of times
    (seconds), rising, from the lowest to the highest value: borders of at most BINS bins that
    hold about equally many rows. Words: the vocabulary, most frequent first; code 0 is any other
    word, word i has code i + 1; a missing word is the empty one; often: how many of them were
    seen OFTEN times or more, so that those with higher codes are rare. In a list there is no
    empty word: code 0 is padding as well. shape: of an image, one row.
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
    quantiles: tuple[float, ...] = ()
    often: int = 0


@dataclass(frozen=True)
class Fitted:
    """Everything fitted on the training side: `fitted.json`.

    targets: label columns, the main one first; target_means and target_stds are theirs, for
    regression. classes: target values in the order of the model's outputs, of a multiclass task;
    the items of a ranking task, in the order of the list column that the target extends, item i
    having code i + 1. positive_fraction: of a binary target.
    """

    task: Task
    targets: tuple[str, ...]
    columns: dict[str, ColumnFit]
    rows: int
    classes: tuple[str, ...] = ()
    positive_fraction: float = 0.0
    target_means: tuple[float, ...] = ()
    target_stds: tuple[float, ...] = ()

    @property
    def target(self) -> str:
        """The main label column, or an empty word."""
        return self.targets[0] if self.targets else ""


def fit(table: Any, spec: Spec) -> Fitted:
    """Fit on `table` (Arrow, the training side)."""
    import numpy as np

    columns = {name: _fit_column(table[name], name, role) for name, role in spec.roles.items()}
    classes: tuple[str, ...] = ()
    means: tuple[float, ...] = ()
    stds: tuple[float, ...] = ()
    positive = 0.0
    if spec.task == "multiclass" and spec.target:
        classes = tuple(sorted({str(v) for v in table[spec.target].unique().to_pylist()}))
    elif spec.task == "ranking" and spec.target:
        history, classes, often = _items(table, spec)
        columns[history] = replace(columns[history], words=classes, often=often)
    elif spec.task == "binary" and spec.target:
        label = numbers(table[spec.target])
        positive = float(np.average(label, weights=weights_of(table)))
        if not 0 < positive < 1:
            raise DataError(
                f"The training side has only one class of '{spec.target}'.",
                fix="use more data, or another split",
            )
    elif spec.task == "regression":
        labels = [numbers(table[target]) for target in spec.targets]
        means = tuple(float(np.mean(label)) for label in labels)
        stds = tuple(float(np.std(label)) or 1.0 for label in labels)
    return Fitted(
        task=spec.task,
        targets=spec.targets,
        columns=columns,
        rows=table.num_rows,
        classes=classes,
        positive_fraction=positive,
        target_means=means,
        target_stds=stds,
    )


def known(table: Any, fitted: Fitted) -> Any:
    """The rows of `table` (Arrow) whose class the training side has.

    Another class is nothing that the model could say: it must neither stop nor steer training.
    """
    import pyarrow as pa

    if fitted.task != "multiclass":
        return table
    classes = set(fitted.classes)
    kept = table.filter(pa.array([str(v) in classes for v in table[fitted.target].to_pylist()]))
    if not kept.num_rows:
        raise DataError(
            f"No row of the validation side has a class of '{fitted.target}' that the training "
            "side has.",
            fix="use more data, or another split in params.yaml (`by: hash`)",
        )
    return kept


def _items(table: Any, spec: Spec) -> tuple[str, tuple[str, ...], int]:
    """The list column that a ranking's target extends (the first), and their one vocabulary."""
    import pyarrow as pa

    history = next((name for name, role in spec.roles.items() if role == "list"), None)
    if history is None or spec.target is None:
        raise DataError(
            "Task ranking needs a column with role `list`: the items seen before the target.",
            fix="give one in the roles of `label`",
        )
    seen = table[history].combine_chunks().flatten().cast("string")
    target = table[spec.target].cast("string").combine_chunks()
    return history, *_vocabulary(pa.chunked_array([seen, target]), with_missing=False)


def numbers(values: Any) -> np.ndarray:
    """A label column (Arrow; numbers or booleans) as float64 [rows]."""
    return values.cast("float64").to_numpy(zero_copy_only=False)


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
            role=role,
            mean=float(np.mean(seen)),
            std=float(np.std(seen)) or 1.0,
            median=float(np.median(there)),
            low=float(there.min()),
            high=float(there.max()),
            log=log,
            missing_fraction=missing,
            quantiles=_quantiles(there),
        )
    if role == "time":
        seconds = _seconds(values.drop_null())
        if not len(seconds):
            return ColumnFit(role=role, missing_fraction=1.0)
        return ColumnFit(
            role=role,
            low=float(seconds.min()),
            high=float(seconds.max()),
            missing_fraction=missing,
            quantiles=_quantiles(seconds),
        )
    if role in ("word", "list"):
        flat = values.combine_chunks().flatten() if role == "list" else values
        words, often = _vocabulary(flat, with_missing=role == "word")
        return ColumnFit(role=role, words=words, missing_fraction=missing, often=often)
    if role == "image":
        return ColumnFit(role=role, shape=pixels(values.slice(0, 1).to_pylist()).shape[1:])
    return ColumnFit(role=role, missing_fraction=missing)


def _quantiles(there: np.ndarray) -> tuple[float, ...]:
    """Rising borders of at most BINS bins with about equally many of the values that are there.

    Of many rows, evenly spaced ones are enough; the ends are those of all rows.
    """
    import numpy as np

    some = there[:: -(-len(there) // _QUANTILE_ROWS)]
    inner = np.quantile(some, np.linspace(0, 1, BINS + 1)[1:-1], method="nearest")
    return tuple(np.unique(np.r_[there.min(), inner, there.max()]).astype(float).tolist())


def _vocabulary(values: Any, *, with_missing: bool) -> tuple[tuple[str, ...], int]:
    """Words by falling count, then by name, so that equal data gives equal codes.

    Also how many of them were seen OFTEN times or more.

    with_missing: whether the empty word is one of them. Not so for lists: their padding is the
    empty word, and with code 0 it is nothing, like a word that training never saw.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    found = values.cast("string").fill_null("").value_counts()
    counts = pa.table({"word": found.field("values"), "count": found.field("counts")})
    if not with_missing:
        counts = counts.filter(pc.field("word") != "")
    # Sorted as Arrow, whose order of UTF-8 is that of code points: most words are rare ones
    # beyond the limit, and as objects they would need gigabytes.
    ranked = counts.sort_by([("count", "descending"), ("word", "ascending")]).slice(0, MAX_WORDS)
    often = sum(count >= OFTEN for count in ranked["count"].to_pylist())
    return tuple(ranked["word"].to_pylist()), often


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
            rows = [[str(v) for v in row or () if v is not None] for row in values.to_pylist()]
            longest = max((len(row) for row in rows), default=0) or 1
            found[name] = np.array(
                [row + [""] * (longest - len(row)) for row in rows], dtype=object
            )
        else:
            found[name] = pixels(values.to_pylist())
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
