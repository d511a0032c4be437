from __future__ import annotations

import random
from typing import Any

import pytest

from workbench.core.errors import DataError
from workbench.core.records import Column
from workbench.data.disturbance import DAYS, WORD, drifted, drifts_of, spoilt
from workbench.serving.columns import array_of, columns_of

COLUMNS = (
    Column("amount", "number"),
    Column("country", "word"),
    Column("seen", "time"),
    Column("films", "list", shape=(-1,)),
    Column("frame", "image", shape=(1, 1, 3)),
)
ROW = {
    "amount": 10.0,
    "country": "de",
    "seen": "2026-01-01T00:00:00",
    "films": ["a"],
    "frame": [[[10, 20, 200]]],
}


def arrays(row: dict[str, Any]) -> list[Any]:
    """What a model would be given; the server's own checks."""
    known = {column.name: column for column in COLUMNS}
    columns = columns_of([row], known)
    return [array_of(known[name], values, 1, lambda: None) for name, values in columns.items()]


def test_each_role_drifts_in_its_own_way() -> None:
    said = ["amount=3", "country=fr", "seen=2", "films=b", "frame=2"]
    assert drifted(ROW, drifts_of(said, COLUMNS)) == {
        "amount": 30.0,
        "country": "fr",
        "seen": "2026-01-03T00:00:00",
        "films": ["b"],
        "frame": [[[20, 40, 255]]],
    }
    assert ROW["amount"] == 10.0


def test_all_lets_every_column_drift_and_a_later_word_changes_one() -> None:
    row = drifted(ROW, drifts_of(["all", "amount=5"], COLUMNS))
    assert row["amount"] == 50.0
    assert row["country"] == WORD
    assert row["seen"] == f"{2026 + DAYS // 365:.0f}-01-01T00:00:00"


def test_what_is_missing_stays_missing() -> None:
    assert drifted({"amount": None}, drifts_of(["amount"], COLUMNS)) == {"amount": None}


@pytest.mark.parametrize("said", ["amuont", "amount=much", "amount=nan", "amount=inf", "seen=soon"])
def test_a_drift_that_is_none_is_refused_by_name(said: str) -> None:
    with pytest.raises(DataError) as error:
        drifts_of([said], COLUMNS)
    assert "amount" in str(error.value) or "seen" in str(error.value)


def test_a_spoilt_row_is_refused_by_what_checks_inputs() -> None:
    chance = random.Random(1)
    for _ in range(50):
        row = spoilt(ROW, COLUMNS, chance)
        with pytest.raises(DataError):
            arrays(row)


def test_a_drifted_row_is_still_one_that_is_answered() -> None:
    assert len(arrays(drifted(ROW, drifts_of(["all"], COLUMNS)))) == len(COLUMNS)
