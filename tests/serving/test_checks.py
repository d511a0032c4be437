from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.records import Column
from workbench.serving.checks import FEW, checks_of, warned

COLUMNS = {
    column.name: column
    for column in (
        Column("amount", "number", low=0.1, high=981.15),
        Column("age", "number", low=18),
        Column("country", "word", words=("de", "fr", "7")),
        Column("seen", "list", shape=(-1,), words=("Alien", "Brazil")),
        Column("free", "word"),
        Column("paid_at", "time", low=0, high=1),
    )
}
CHECKS = checks_of(COLUMNS)


def said(rows=1, **columns) -> tuple[str, ...]:
    return warned(CHECKS, columns, rows)


@pytest.mark.parametrize("rows", [1, 3, FEW + 1])
def test_values_that_training_saw_are_not_spoken_of(rows):
    inside = {"amount": 5, "age": 99, "country": "de", "seen": ["Alien"], "free": "x"}
    assert said(rows, **{name: [value] * rows for name, value in inside.items()}) == ()


@pytest.mark.parametrize("rows", [1, 3, FEW + 1])
def test_missing_values_are_not_beyond_training(rows):
    for missing in (None, float("nan")):
        assert said(rows, amount=[missing] * rows) == ()
    assert said(rows, country=[None] * rows, seen=[None] * rows) == ()
    assert said(rows, country=[""] * rows, seen=[[""]] * rows) == ()
    assert said(rows) == ()


def test_a_number_beyond_the_range_is_named_with_it():
    assert said(amount=[1200.5], age=[17]) == (
        "'amount' is 1200.5, outside of 0.1 to 981.15 seen in training.",
        "'age' is 17, outside of 18 to inf seen in training.",
    )


@pytest.mark.parametrize("rows", [5, FEW + 5])
def test_of_many_rows_the_first_is_named_and_the_others_are_counted(rows):
    values = [5.0] * rows
    values[2] = values[4] = -1
    assert said(rows, amount=values) == (
        "'amount' is -1, outside of 0.1 to 981.15 seen in training "
        f"(rows[2] and 1 more of {rows}).",
    )
    assert said(rows, amount=np.array(values, np.float32)) == said(rows, amount=values)


def test_an_unknown_word_is_named_and_whole_numbers_are_words():
    assert said(country=["atlantis"]) == ("'country' has 'atlantis', a word not seen in training.",)
    assert said(country=[7]) == ()
    assert "'8'" in said(country=[8])[0]
    assert "'Dune'" in said(seen=[["Alien", "Dune"]])[0]
    assert len(said(country=["x" * 1_000_000])[0]) < 200


def test_the_ends_of_a_range_are_inside_however_they_are_sent():
    for value in (0.1, 981.15, np.float32(981.15), np.float32(0.1)):
        assert said(amount=[value]) == ()
        assert said(FEW + 1, amount=np.full(FEW + 1, value, np.float32)) == ()


def test_times_after_training_are_what_is_expected():
    assert said(paid_at=["2030-01-01"]) == ()


@given(st.lists(st.none() | st.floats(width=32), min_size=1, max_size=2 * FEW))
def test_few_and_many_values_are_judged_alike(values):
    beyond = [
        v for v in values if v is not None and not math.isnan(v) and not 0.09999 <= v <= 981.1501
    ]
    assert bool(said(len(values), amount=values)) == bool(beyond)
