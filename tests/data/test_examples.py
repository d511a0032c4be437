"""What `label` says of its columns is checked before anything learns from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workbench.core.errors import DataError
from workbench.data.censoring import Censored
from workbench.data.examples import WEIGHT, Examples, read_spec, weights_of
from workbench.data.splits import SIDE
from workbench.stages.split import weighed

TABLE = {
    "id": [1, 2, 3],
    "x": [0.5, 1.5, 2.5],
    "y": [True, False, False],
    "kg": [2.0, 0.0, 1.0],
    "days": [1, 2, 3],
    "known": [True, True, False],
}


def examples(**more: Any) -> Examples:
    how: dict[str, Any] = {"key": "id", "roles": {"x": "number"}, "target": "y", "task": "binary"}
    return Examples(ibis.memtable(pa.table(TABLE)), **(how | more))


def test_a_weight_is_written_under_its_own_name_and_read_back(tmp_path: Path) -> None:
    examples(weight="kg").write(tmp_path)
    rows = pq.read_table(tmp_path / "examples.parquet")
    found = weights_of(rows)
    assert found is not None
    assert found.tolist() == TABLE["kg"]
    assert weights_of(rows.drop([WEIGHT])) is None


def test_follow_up_is_kept_beside_the_features_and_never_among_them(tmp_path: Path) -> None:
    censored = Censored("days", "known")
    examples(censored=censored).write(tmp_path)
    assert read_spec(tmp_path).censored == censored
    assert {"days", "known"} <= set(pq.read_schema(tmp_path / "examples.parquet").names)
    with pytest.raises(DataError, match="the future"):
        examples(censored=censored, roles={"days": "number"}).spec()


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(DataError, match=r"'kk'.*Choose from: days, id, kg"):
        examples(weight="kk").spec()
    with pytest.raises(DataError, match=r"'knwon'.*Did you mean 'known'"):
        examples(censored=Censored("days", "knwon")).spec()


def test_weight_and_censored_are_not_given_together() -> None:
    with pytest.raises(DataError, match="give one of them"):
        examples(weight="kg", censored=Censored("days", "known")).spec()


def test_a_weight_below_nothing_stops_the_split() -> None:
    for wrong in (-1.0, float("nan"), None):
        sided = pa.table({SIDE: ["train", "test"], WEIGHT: pa.array([1.0, wrong])})
        with pytest.raises(DataError, match="1 rows do not say how much they count"):
            weighed(ibis.memtable(sided), examples().spec())
