"""A look at a whole table: keys, times, groups, leaks, and a person's word above all."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.data.look.tables import ROWS, of, outcome, seen, spread, table_of
from workbench.core.errors import DataError
from workbench.data.kinds import Date, Kind, Number, Word, parsed, word
from workbench.data.look import sample
from workbench.data.look.beliefs import Corrections
from workbench.data.look.looking import look

START = dt.date(2024, 1, 1)


def days(seed: int = 1, until: int = 300) -> list[str]:
    return spread(lambda c: str(START + dt.timedelta(days=c.randrange(until))), seed=seed)


def noise(seed: int = 3) -> list[str]:
    return spread(lambda c: f"{c.uniform(0, 9):.4f}", seed=seed)


def shop() -> dict[str, list[Any]]:
    return {
        "order_id": [f"O{n:05}" for n in range(ROWS)],
        "customer_id": spread(lambda c: f"C{c.randrange(120)}"),
        "ordered_at": days(),
        "birth_date": days(2),
        "price": noise(),
        "store_id": spread(lambda c: c.randrange(5)),
        "bought": outcome(),
    }


def test_key_time_group_and_features_of_a_table_are_found() -> None:
    found = seen(shop())
    assert (found.key, found.time, found.group) == (("order_id",), "ordered_at", "customer_id")
    assert [one.use for one in found.columns] == [
        *("key", "group", "time"),
        *("left out", "feature", "feature", "target"),
    ]
    # Half of the birthdays here are after the order: unknown then, and it is said.
    assert "later than 'ordered_at'" in of(found, "birth_date").why
    assert found.features == {"ordered_at": Date(), "price": Number(), "store_id": Word()}


def test_an_amount_of_a_customer_is_no_group() -> None:
    income = spread(lambda c: f"{c.randrange(200)}00")
    assert seen({"customer_income": income}).group is None
    assert seen({"customer": income}).group == "customer"


def test_a_column_with_one_repeat_or_one_gap_is_no_key() -> None:
    twice = [f"O{n:05}" for n in range(ROWS - 1)] + ["O00000"]
    gap = [f"P{n:05}" for n in range(ROWS - 1)] + [None]
    found = seen({"order_id": twice, "pay_id": gap, "price": noise()})
    assert found.key == ()
    assert {of(found, name).use for name in ("order_id", "pay_id")} == {"left out"}
    assert seen({"column_1": list(range(ROWS)), "price": noise()}).key == ("column_1",)


def test_a_measurement_that_happens_to_be_unique_is_a_feature() -> None:
    found = seen({"weight": [f"{n * 1.37:.2f}" for n in range(ROWS)]})
    assert (found.key, of(found, "weight").use) == ((), "feature")


def test_a_persons_word_wins_and_says_so() -> None:
    said = Corrections(
        kinds={"store_id": word(missing=("0",))},
        drop=("price",),
        keep=("birth_date",),
        key=("order_id", "store_id"),
        time="",
        group="",
    )
    found = seen(shop(), said=said)
    assert (found.key, found.time, found.group) == (("order_id", "store_id"), None, None)
    assert of(found, "price").use == "left out"
    assert of(found, "price").why == "you left it out"
    assert of(found, "birth_date").use == "feature"
    assert of(found, "customer_id").use == "left out"
    assert of(found, "store_id").kind == Word(missing=("0",))
    assert seen(shop(), said=Corrections(group="store_id")).group == "store_id"


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (Corrections(drop=("prise",)), "`drop` names column 'prise'.* Did you mean 'price'"),
        (Corrections(kinds={"x": word()}), "`kinds` names column 'x'"),
        (Corrections(time="bought_at"), "`time` names column 'bought_at'"),
        (Corrections(time="price"), "'price' is named as the time"),
        (Corrections(drop=("price",), keep=("price",)), "both kept and dropped"),
        (Corrections(group="bought"), "'bought' is the target"),
        (Corrections(task="ranking"), "No task 'ranking' here"),
    ],
)
def test_a_correction_that_cannot_be_followed_is_named(said: Corrections, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        seen(shop(), said=said)


@pytest.mark.parametrize("rows", [ROWS, 40])
def test_a_feature_that_is_the_answer_is_left_out(rows: int) -> None:
    answer = outcome(rows)
    told = {"reason": ["left" if a == "yes" else "stays" for a in answer]}
    told["score"] = [str(n + 1000 * (a == "yes")) for n, a in enumerate(answer)]  # type: ignore[assignment]
    found = seen(told | {"price": noise()[:rows], "bought": answer})
    assert {leak.column for leak in found.leaks if leak.certain} == {"reason", "score"}
    assert of(found, "score").use == "left out"
    assert "alone tells 'bought'" in of(found, "score").why
    assert set(found.features) == {"price"}


def test_a_column_that_is_there_only_for_one_outcome_is_a_leak() -> None:
    answer = outcome()
    refunds = [f"{n % 7}.5" if a == "yes" else None for n, a in enumerate(answer)]
    found = seen({"refund": refunds, "price": noise(), "bought": answer})
    assert [(leak.column, leak.certain) for leak in found.leaks] == [("refund", True)]
    assert "missing alone tells" in found.leaks[0].why


def test_leaks_of_classes_and_of_quantities_are_found() -> None:
    kinds = spread(lambda c: c.choice("abcd"))
    classes = {"number": [str("abcd".index(k)) for k in kinds], "price": noise(), "aim": kinds}
    assert [one.column for one in seen(classes, "aim").leaks] == ["number"]
    euros = noise(5)
    dollars = [f"{float(value) * 1.1:.5f}" for value in euros]
    money = {"dollars": dollars, "price": noise(), "euros": euros}
    assert [one.column for one in seen(money, "euros").leaks] == ["dollars"]


def test_chance_and_constants_are_no_leaks() -> None:
    columns: dict[str, Any] = {f"noise {n}": noise(n) for n in range(20)}
    columns |= {f"word {n}": spread(lambda c: f"w{c.randrange(9)}", seed=n) for n in range(20)}
    columns |= {"same": ["x"] * ROWS, "nearly": ["x"] * (ROWS - 1) + ["y"]}
    assert seen(columns).leaks == ()


def test_a_name_like_the_targets_is_asked_about_and_stays() -> None:
    found = seen({"bought_before": noise()})
    assert [(leak.column, leak.certain) for leak in found.leaks] == [("bought_before", False)]
    assert of(found, "bought_before").use == "feature"


def test_equal_rows_are_counted() -> None:
    columns = {name: [*values, *values[:7]] for name, values in shop().items()}
    found = seen(columns)
    assert any("7 rows are equal" in said for said in found.warnings)
    assert found.key == ()


def test_a_look_is_the_same_in_any_order_of_rows_and_from_a_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    columns = {name: values * 10 for name, values in shop().items()}
    columns["order_id"] = [f"O{n:06}" for n in range(10 * ROWS)]
    turned = {name: values[::-1] for name, values in columns.items()}
    monkeypatch.setattr(sample, "SAMPLE_ROWS", 1_500)
    found = look(table_of(columns), "bought")
    assert 1_000 < found.sampled_rows <= 1_500 < found.rows == 10 * ROWS
    assert found.key == ("order_id",)
    assert sum(one.rows for one in found.classes) == 10 * ROWS
    assert look(table_of(turned), "bought") == found


def test_a_table_of_mostly_equal_rows_still_gives_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "SAMPLE_ROWS", 1_500)
    columns = {"a": ["1", "2"] * 2_000, "bought": ["yes", "no", "no", "yes"] * 1_000}
    found = look(table_of(columns), "bought")
    assert found.sampled_rows > 1_000
    assert found.task == "binary"


def test_the_kinds_believed_are_those_that_a_pipeline_reads_with() -> None:
    found = seen(shop())
    kinds: dict[str, Kind] = found.features
    types = parsed(table_of(shop()), kinds).schema()
    assert [str(types[name]) for name in ("ordered_at", "price", "store_id")] == [
        *("timestamp", "float64", "string"),
    ]


def test_a_very_wide_table_can_be_looked_at() -> None:
    columns: dict[str, Any] = {f"c{n}": ["1.5", "2.5"] * 20 for n in range(1_200)}
    found = seen(columns | {"bought": ["yes", "no", "no", "yes"] * 10})
    assert len(found.columns) == 1_201


def test_whole_numbers_that_only_count_the_rows_are_the_key_whatever_their_name() -> None:
    tickets = [str(1000 + n) for n in range(ROWS)]
    found = seen({"ticket": tickets, "price": noise()})
    assert found.key == ("ticket",)
    assert not any("ticket" in warning for warning in found.warnings)


def test_a_second_numbering_and_one_with_gaps_are_told_of() -> None:
    codes = [f"A-{n:05}" for n in range(ROWS)]
    gaps = [str(1000 + n + n // 2) for n in range(ROWS)]
    found = seen({"order_id": codes, "ticket": gaps, "price": noise()})
    assert (found.key, of(found, "ticket").use) == (("order_id",), "feature")
    assert any("'ticket' is another whole number in every row" in w for w in found.warnings)
    kept = seen({"order_id": codes, "ticket": gaps}, said=Corrections(keep=("ticket",)))
    assert not any("'ticket' is another" in warning for warning in kept.warnings)


def test_a_time_that_was_guessed_is_told_as_a_guess() -> None:
    assert "taken for" in of(seen(shop()), "ordered_at").why


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ({"town": Number()}, "'town' cannot be read as numbers"),
        ({"ordered_at": Date(("%d.%m.%Y",))}, "'ordered_at' cannot be read as dates"),
    ],
)
def test_a_kind_that_reads_not_one_value_is_refused(kinds: dict[str, Kind], words: str) -> None:
    columns = {"town": spread(lambda c: c.choice("ABC")), "ordered_at": days()}
    with pytest.raises(DataError, match=words):
        seen(columns, said=Corrections(kinds=kinds))


def test_a_name_that_is_nearly_right_is_told_how_it_is_written() -> None:
    columns = {"PLZ": spread(lambda c: c.choice("ABC")), "Dauer Monate": noise()}
    with pytest.raises(DataError, match="Did you mean 'PLZ'"):
        seen(columns, said=Corrections(drop=("Plz",)))
    with pytest.raises(DataError, match='blanks into quotes: "Dauer Monate"'):
        seen(columns, said=Corrections(drop=("dauer", "monate")))
