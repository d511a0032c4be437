from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workbench.data.distributions import (
    BINS,
    IMAGES,
    ROWS,
    counted,
    likeliest,
    seen,
    spread,
    table_distributions,
    table_values,
)


def spread_of(role, values):
    return spread(role, seen(role, values))


def test_numbers_fall_into_bins_with_equally_many_and_two_empty_ones_around_them():
    one = spread_of("number", list(range(1000)))
    assert len(one.shares) == BINS + 2
    assert one.shares[0] == one.shares[-1] == 0
    assert one.shares[1:-1] == pytest.approx([1 / BINS] * BINS, abs=0.002)
    assert sum(one.shares) == pytest.approx(1)


def test_a_value_beyond_all_that_was_seen_is_in_a_bin_of_its_own():
    one = spread_of("number", [0, 0, 1, 1])
    now = counted(one, seen("number", [-5, 0, 1, 7]))
    assert now.tolist() == [1, 1, 1, 1, 0]


def test_missing_values_and_those_that_cannot_be_read_are_counted_apart():
    values = [1.0, None, float("nan"), "no number", float("inf"), {"a": 1}, True]
    found = seen("number", values)
    assert (found.rows, found.missing) == (7, 5)
    assert found.numbers.tolist() == [1.0, 1.0]
    assert spread_of("number", values).missing_fraction == pytest.approx(5 / 7)


def test_words_that_are_rare_count_among_all_others():
    one = spread_of("word", ["a"] * 600 + ["b"] * 397 + ["<b>rare'\n", "c", "d"])
    assert one.words == ("a", "b")
    assert one.shares == pytest.approx((0.6, 0.397, 0.003))
    assert counted(one, seen("word", ["new", "a", None, "", 5])).tolist() == [1, 0, 2, 2]


def test_a_row_with_a_long_list_counts_once():
    one = spread_of("list", [["a"]] * 50 + [["b"]] * 50)
    now = counted(one, seen("list", [["a"] * 98 + ["b", None], ["b"], [], None]))
    assert now.sum() == pytest.approx(4)
    assert now[-1] == 2


def test_a_time_is_looked_at_by_its_hour_so_that_the_calendar_is_no_drift():
    zone = dt.timezone(dt.timedelta(hours=2))
    moments = [
        dt.datetime(2026, 5, 1, 13, 59),
        dt.datetime(2026, 5, 1, 15, 0, tzinfo=zone),
        dt.date(2026, 5, 1),
        "2031-01-01T13:00:00",
        "2031-01-01T13:00:00Z",
        13 * 3600 + 86_400 * 365,
        "yesterday",
    ]
    assert seen("time", moments).numbers.tolist() == [13, 13, 0, 13, 13, 13]


def test_a_text_is_looked_at_by_its_length_and_an_image_by_its_brightness():
    assert seen("text", ["abc", "", None]).numbers.tolist() == [3, 0]
    image = np.full((2, 2, 3), 7, np.uint8)
    assert seen("image", [image.tolist(), "no image"]).numbers.tolist() == [7]


def test_a_class_is_told_by_its_highest_score():
    assert likeliest(("cat", "dog"), [[0.2, 0.8], [0.9, 0.1]]) == ["dog", "cat"]


def test_a_column_without_any_value_has_shares_and_no_borders():
    one = spread_of("number", [None, None])
    assert (one.shares, one.borders, one.missing_fraction) == ((0.0,), (), 1.0)


def test_a_large_file_is_looked_at_evenly_from_its_first_to_its_last_row(tmp_path):
    rows = 3 * ROWS + 1
    table = pa.table({"at": list(range(rows)), "other": ["x"] * rows})
    pq.write_table(table, tmp_path / "train.parquet", row_group_size=10_000)
    found = table_values(tmp_path / "train.parquet", {"at": "number", "absent": "word"})
    assert found.keys() == {"at"}
    numbers = found["at"].numbers
    assert ROWS * 0.7 < len(numbers) <= ROWS
    assert len({*np.diff(numbers)}) == 1
    assert IMAGES < ROWS


def test_the_test_side_is_counted_by_the_bins_of_the_training_side(tmp_path):
    for name, values in (("train", [1.0, 2.0, 3.0, 4.0]), ("test", [9.0, 9.0, None, 1.0])):
        pq.write_table(pa.table({"a": values}), tmp_path / f"{name}.parquet")
    found = table_distributions(
        tmp_path / "train.parquet", tmp_path / "test.parquet", {"a": "number"}
    )
    one = found["a"]
    assert one.tested == (0, 0.25, 0, 0, 0, 0.5, 0.25)
    assert (one.rows, one.tested_rows) == (4, 4)
