from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workbench.core.errors import MissingError
from workbench.core.files import write_json
from workbench.core.paths import Paths
from workbench.data.examples import Spec
from workbench.data.heldout import ROWS, heldout


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path, tmp_path / ".workbench")


def put(paths: Paths, **columns: list) -> None:
    """Leave a test side as the split stage does."""
    folder = paths.stage("split", "fraud")
    folder.mkdir(parents=True)
    write_json(folder / "examples.json", Spec(("id",), {}, "binary", ("label",)))
    pq.write_table(pa.table(columns), folder / "test.parquet")


def test_rows_are_what_a_client_sends_without_key_and_label(paths: Paths) -> None:
    seen = dt.datetime(2026, 5, 9, 8, 30, 37)
    put(paths, id=[7], seen=[seen], amount=[float("nan")], word=[None], tags=[["a"]], label=[True])
    (row,) = heldout(paths, "fraud", ["seen", "amount", "word", "tags"], seed=1)
    assert json.loads(json.dumps(row.fields)) == {
        "seen": "2026-05-09T08:30:37",
        "amount": None,
        "word": None,
        "tags": ["a"],
    }
    assert row.outcome is True


def test_a_key_that_the_model_takes_is_sent(paths: Paths) -> None:
    put(paths, id=[7], amount=[1.0], label=[False])
    assert heldout(paths, "fraud", ["id"], seed=1)[0].fields == {"id": 7}


def test_the_outcome_of_a_row_that_does_not_count_is_not_known(paths: Paths) -> None:
    put(paths, id=[1, 2], amount=[1.0, 2.0], label=[True, False], label_weight=[0.0, 1.5])
    rows = heldout(paths, "fraud", ["amount"], seed=1)
    assert {row.fields["amount"]: row.outcome for row in rows} == {1.0: None, 2.0: False}


def test_a_seed_gives_an_order_and_large_test_sides_are_sampled(paths: Paths) -> None:
    many = list(range(ROWS + 500))
    put(paths, id=many, label=[True] * len(many))
    first, again, other = (heldout(paths, "fraud", ["id"], seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    assert len({row.fields["id"] for row in first}) == ROWS


def test_without_a_test_side_the_sentence_says_how_to_get_one(paths: Paths) -> None:
    with pytest.raises(MissingError) as error:
        heldout(paths, "fraud", ["amount"], seed=1)
    assert "workbench repro fraud" in str(error.value.fix)
    put(paths, id=[1], label=[True])
    with pytest.raises(MissingError, match="no rows with the inputs"):
        heldout(paths, "fraud", ["amount"], seed=1)
