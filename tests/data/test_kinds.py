"""A raw column becomes what its kind says, or null: never a guess."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.core.errors import DataError
from workbench.data.kinds import (
    Kind,
    date,
    keyed,
    number,
    parsed,
    roles,
    text,
    word,
    written,
)

HOSTILE = 'na"me 😀 <b>\n; drop'


@pytest.fixture(scope="module", autouse=True)
def backend() -> Iterator[Any]:
    before = ibis.options.default_backend
    backend = ibis.duckdb.connect()
    ibis.set_backend(backend)
    yield backend
    ibis.options.default_backend = before
    backend.disconnect()


def read(values: Sequence[Any], kind: Kind, of: Any = None) -> list[Any]:
    table = ibis.memtable(pa.table({HOSTILE: pa.array(values, of)}))
    return parsed(table, {HOSTILE: kind}).to_pyarrow()[HOSTILE].to_pylist()


def day(year: int, month: int, of_month: int, *clock: int) -> dt.datetime:
    return dt.datetime(year, month, of_month, *clock)


@pytest.mark.parametrize(
    ("kind", "spelt", "value"),
    [
        (number(), " 1.5 ", 1.5),
        (number(), "1e3", 1000.0),
        (number(","), "-1,5", -1.5),
        (number(".", ","), "1,234,567.5", 1234567.5),
        (number(",", "."), "1.234,5", 1234.5),
        (number(",", " "), "1\u00a0234\u202f567,5", 1234567.5),
        (number(".", "'"), "1\u2019234.5", 1234.5),
        (number(affixes=("%",)), "12.5 %", 12.5),
        (number(",", affixes=("€", "$")), "-€ 3,50", -3.5),
        (number(affixes=("R$",)), "R$ 7", 7.0),
    ],
)
def test_numbers_are_read_as_their_kind_spells_them(kind: Kind, spelt: str, value: float) -> None:
    assert read([spelt], kind) == [value]


@pytest.mark.parametrize(
    ("kind", "spelt"),
    [
        (number(), "1,5"),
        (number(), "1_000"),
        (number(), "nan"),
        (number(), "inf"),
        (number(), "1e999"),
        (number(), "."),
        (number(), "twelve"),
        (number(), ""),
        (number(","), "1.5"),
        (number(".", ","), "1,23"),
        (number(".", ","), "1.234,5"),
        (number(",", "."), "1,234.5"),
        (number(), "5 €"),
        (number(missing=("-999",)), "-999.0"),
    ],
)
def test_what_is_not_spelt_so_becomes_null(kind: Kind, spelt: str) -> None:
    assert read([spelt, "7"], kind) == [None, 7.0]


def test_native_columns_need_no_spelling() -> None:
    assert read([1, None, -999], number(missing=("-999", "?"))) == [1.0, None, None]
    assert read([1.5, float("nan"), float("inf")], number()) == [1.5, None, None]
    assert read([True, False, None], number()) == [1.0, 0.0, None]
    assert read([True, None], word()) == ["true", None]
    assert read([3, None], word(missing=("4",))) == ["3", None]
    moment = day(2024, 1, 31, 12)
    assert read([moment, None], date()) == [moment, None]
    assert read([moment.date()], date()) == [day(2024, 1, 31)]
    assert read([20240131], date("%Y%m%d")) == [day(2024, 1, 31)]
    assert read([20240131.0], date("%Y%m%d")) == [day(2024, 1, 31)]


def test_dates_in_several_formats_and_zones_are_one_column_in_utc() -> None:
    kind = date("%d.%m.%y", "%d.%m.%Y", "%b %d, %Y", "iso", missing=("tba",))
    values = ["31.01.2024", "1.2.24", "Jan 31, 2024", "2024-01-31T10:00:00+02:00", "tba", "31/1"]
    found = read(values, kind)
    assert found == [
        *(day(2024, 1, 31), day(2024, 2, 1), day(2024, 1, 31), day(2024, 1, 31, 8)),
        *(None, None),
    ]


@pytest.mark.parametrize("spelt", ["infinity", "epoch", "today", "31.01.0024", "32.01.2024", " "])
def test_no_word_and_no_strange_year_is_a_date(spelt: str) -> None:
    assert read([spelt, "01.02.2024"], date("%d.%m.%Y", "iso")) == [None, day(2024, 2, 1)]


def test_counted_times_are_read_in_their_unit() -> None:
    assert read(["1700000000", "x"], date("epoch_s")) == [day(2023, 11, 14, 22, 13, 20), None]
    assert read([1700000000000], date("epoch_ms")) == [day(2023, 11, 14, 22, 13, 20)]


def test_words_lose_blanks_around_them_and_their_missing_codes() -> None:
    kind = word(missing=("?", "n/a"))
    assert read([" gold", "?", "n/a ", "", " ", None], kind) == ["gold", *[None] * 5]
    assert read(["a b c", "-"], text(missing=("-",))) == ["a b c", None]


def test_a_column_that_is_not_there_is_named_with_the_nearest() -> None:
    table = ibis.memtable({"price": ["1"]})
    with pytest.raises(DataError, match=r"No column 'prise'\. Did you mean 'price'"):
        parsed(table, {"prise": number()})


def test_marks_that_cannot_be_told_apart_and_words_for_formats_are_refused() -> None:
    with pytest.raises(DataError, match="decimal mark"):
        number(".", ".")
    with pytest.raises(DataError, match="Did you mean 'epoch_s'"):
        date("epoch")


def test_a_kind_is_written_as_a_pipeline_says_it() -> None:
    import workbench.data.kinds as wb

    kinds = [
        *(number(), number(",", ".", missing=("?",), affixes=("€",)), date(), word(), text(("-",))),
        *(date("%d.%m.%Y", "iso", missing=("x'\"",)), word(missing=("n/a", "?"))),
    ]
    for kind in kinds:
        assert eval(written(kind), {"wb": wb}) == kind
    assert written(number()) == "wb.number()"
    assert written(date()) == "wb.date()"


def test_roles_say_what_each_kind_is_to_a_model() -> None:
    kinds: dict[str, Kind] = {"a": number(), "b": date(), "c": word(), "d": text()}
    assert roles(kinds) == {"a": "number", "b": "time", "c": "word", "d": "text"}


SPELLINGS = [(".", ""), (",", ""), (".", ","), (",", "."), (",", " "), (".", "'")]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.decimals(-(10**9), 10**9, places=3), min_size=1, max_size=20),
    st.sampled_from(SPELLINGS),
)
def test_any_number_is_read_back_from_any_spelling(
    values: list[Any], marks: tuple[str, str]
) -> None:
    decimal, thousands = marks
    swap = str.maketrans({",": thousands, ".": decimal})
    spelt = [f"{value:,.3f}".translate(swap) for value in values]
    assert read(spelt, number(decimal, thousands)) == [float(value) for value in values]


CELLS = st.lists(
    st.tuples(*[st.one_of(st.none(), st.sampled_from(["", "a", "b", "é😀"]))] * 2),
    min_size=1,
    max_size=12,
)


def keys_of(
    rows: list[Any], names: tuple[str, str] = ("x", 'y"')
) -> dict[tuple[Any, ...], set[Any]]:
    """Keys by content, from rows in whatever order."""
    columns = {name: pa.array([r[i] for r in rows], pa.string()) for i, name in enumerate(names)}
    found = keyed(ibis.memtable(pa.table(columns))).to_pyarrow().to_pylist()
    keys: dict[tuple[Any, ...], set[Any]] = {}
    for row in found:
        keys.setdefault(tuple(row[n] for n in sorted(names)), set()).add((row["row"], row["copy"]))
    return keys


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(CELLS, st.randoms(use_true_random=False), CELLS)
def test_a_row_keeps_its_key_in_any_order_and_when_others_come(
    rows: list[Any], chance: Any, others: list[Any]
) -> None:
    keys = keys_of(rows)
    assert sum(map(len, keys.values())) == len(rows)  # unique over the table
    every = [one for some in keys.values() for one, _ in some]
    assert len(set(every)) == len(keys)  # rows that differ differ in `row`
    shuffled = chance.sample(rows, len(rows))
    assert keys_of(shuffled) == keys
    turned = [(second, first) for first, second in rows]
    assert keys_of(turned, ('y"', "x")) == keys
    more = keys_of(rows + others)
    assert all(some <= more[content] for content, some in keys.items())


def test_a_name_that_is_taken_is_refused_whatever_its_case() -> None:
    table = ibis.memtable({"Row": ["1"]})
    with pytest.raises(DataError, match="already has a column 'Row'"):
        keyed(table)
    assert keyed(table, row="k", copy="n").columns == ("Row", "k", "n")
