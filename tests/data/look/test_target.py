"""The target: which task it is, or in one sentence why nothing can be learnt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.data.look.tables import ROWS, outcome, seen, spread
from workbench.core.errors import DataError
from workbench.core.files import json_bytes
from workbench.data.kinds import Number, Word, number
from workbench.data.look.beliefs import Class, Corrections, Look


def of_target(values: Sequence[Any], name: str = "aim", said: Corrections | None = None) -> Look:
    noise = spread(lambda c: f"{c.uniform(0, 9):.3f}", len(values), seed=7)
    return seen({"noise": noise, name: values}, name, said)


@pytest.mark.parametrize(
    ("yes", "no"),
    [("yes", "no"), ("Ja", "Nein"), ("oui", "non"), ("TRUE", "FALSE"), ("1", "0"), ("Y", "N")],
)
def test_two_words_are_a_binary_target_and_yes_is_positive(yes: str, no: str) -> None:
    found = of_target(spread(lambda c: yes if c.random() < 0.7 else no))
    assert (found.task, found.positive, found.target_kind) == ("binary", yes, Word())
    assert {one.value for one in found.classes} == {yes, no}
    assert sum(one.rows for one in found.classes) == found.rows_learnt == ROWS


def test_native_truth_values_and_numbers_are_binary_too() -> None:
    assert of_target(spread(lambda c: c.random() < 0.4)).positive == "true"
    assert of_target(spread(lambda c: int(c.random() < 0.4))).positive == "1"
    assert of_target(spread(lambda c: 1.0 * (c.random() < 0.4))).positive == "1.0"


def test_without_a_word_for_yes_the_rarer_is_positive() -> None:
    values = spread(lambda c: "good" if c.random() < 0.8 else "bad")
    assert of_target(values).positive == "bad"
    assert of_target(values, said=Corrections(positive="good")).positive == "good"
    with pytest.raises(DataError, match="Did you mean 'good'"):
        of_target(values, said=Corrections(positive="goood"))


def test_words_are_classes_and_quantities_a_regression() -> None:
    assert of_target(spread(lambda c: c.choice("abc"))).task == "multiclass"
    assert of_target(spread(lambda c: c.choice((0, 1, 2)))).task == "multiclass"
    assert of_target(spread(lambda c: c.randrange(40)), "kind_code").task == "multiclass"
    assert of_target(spread(lambda c: c.randrange(5)), "item count").task == "regression"
    assert of_target(spread(lambda c: c.randrange(400))).task == "regression"
    prices = of_target(spread(lambda c: f"{c.uniform(0, 9):.2f}".replace(".", ",")))
    assert (prices.task, prices.target_kind) == ("regression", Number(","))
    assert (prices.classes, prices.positive) == ((), None)


def test_a_person_decides_the_task() -> None:
    values = spread(lambda c: c.choice((1, 2, 3)))
    found = of_target(values, said=Corrections(task="regression"))
    assert (found.task, found.target_kind) == ("regression", Number())
    with pytest.raises(DataError, match="3 values, and task binary needs two"):
        of_target(values, said=Corrections(task="binary"))
    words = spread(lambda c: c.choice("ab"))
    with pytest.raises(DataError, match="a regression needs numbers"):
        of_target(words, said=Corrections(task="regression"))


def test_a_target_that_is_not_there_is_answered_with_the_nearest_or_with_all() -> None:
    with pytest.raises(DataError, match=r"no column 'bougth' to predict\. Did you mean 'bought'"):
        seen({"a": outcome(), "bought": outcome()}, "bougth")
    with pytest.raises(DataError, match="It has 'a', 'b'"):
        seen({"a": outcome(), "b": outcome()}, "zzzzzz")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([None] * ROWS, "has no value in any row"),
        (["", "NA"] * (ROWS // 2), "has no value in any row"),
        (["yes"] * ROWS, "is 'yes' in all 400 rows"),
        ([f"sentence {n} of many" for n in range(ROWS)], "too many to be classes"),
        ([f"c{n % 1001}" for n in range(5005)], "more than 1,000"),
        ([[1, 2]] * ROWS, "is a list"),
        (["2024-01-01", "2024-05-06"] * (ROWS // 2), "is a date"),
        (["yes", "no"] * 9, "18 rows"),
        ((["yes", "no"] * 9) + [None] * ROWS, "18 rows have a 'aim'"),
        ([*["a"] * 30, *"bbcc"], "Only 1 class"),
    ],
)
def test_what_cannot_be_learnt_is_said_in_a_sentence(values: list[Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        of_target(values)


def test_one_number_for_all_and_an_empty_table_are_refused() -> None:
    with pytest.raises(DataError, match="one value"):
        of_target(["3.5"] * ROWS, said=Corrections(task="regression"))
    with pytest.raises(DataError, match="has 0 rows"):
        seen({"a": [], "aim": []}, "aim")


def test_rows_without_target_and_of_rare_classes_leave_and_are_counted() -> None:
    values = [*["a"] * 100, *["b"] * 60, *["c"] * 4, *["d"] * 1, *[None] * 7, *["?"] * 3]
    found = of_target(values)
    assert found.rare == (Class("c", 4), Class("d", 1))
    assert [one.value for one in found.classes] == ["a", "b"]
    assert found.rows_learnt == 160
    assert any(
        "2 classes have fewer than 5 rows ('c', 'd'): their 5 rows" in w for w in found.warnings
    )
    assert any("10 rows have no 'aim'" in warned for warned in found.warnings)


def test_a_mixed_regression_target_says_how_many_rows_leave() -> None:
    values = spread(lambda c: "n.v." if c.random() < 0.04 else f"{c.uniform(0, 9):.2f}")
    found = of_target(values)
    bad = values.count("n.v.")
    assert found.task == "regression"
    assert found.rows_learnt == ROWS - bad
    assert any(f"{bad} rows have a 'aim' that is no number" in said for said in found.warnings)


def test_few_and_uneven_rows_are_said() -> None:
    few = of_target(["yes", "no"] * 15)
    assert any("Only 30 rows" in said for said in few.warnings)
    uneven = of_target(spread(lambda c: "yes" if c.random() < 0.02 else "no", 1_000))
    assert any("uneven" in said and "'yes'" in said for said in uneven.warnings)
    assert not any("uneven" in said for said in of_target(outcome()).warnings)


def test_the_spelling_that_a_person_gives_is_followed() -> None:
    values = spread(lambda c: f"{c.randrange(1, 10)},{c.randrange(100, 1000)}")
    said = Corrections(kinds={"aim": number(",")})
    assert of_target(values, said=said).target_kind == Number(",")


def test_a_look_can_be_written_as_json() -> None:
    written = json_bytes(of_target(outcome()))
    assert b'"role": "number"' in written
    assert b'"positive": "yes"' in written
