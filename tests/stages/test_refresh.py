"""Refreshing: new rows arrive, rows that were there keep their side, a failure changes nothing."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests import own_tables as tables
from tests.checkout import DVC, Checkout, copied
from tests.own import released
from workbench.core.files import read_json
from workbench.core.params import read_params

SIDES = ("train", "valid", "test")


@pytest.fixture
def own(shared: Path, tmp_path: Path) -> Iterator[Checkout]:
    """A copy of the checkout in which people's own tables went to releases."""
    made = released(shared)
    with copied(made, tmp_path / "checkout") as copy:
        yield copy


def sides(made: Checkout, pipeline: str, key: str) -> dict[object, str]:
    """The side of each row, by its key."""
    folder = made.paths.stage("split", pipeline)
    found = {}
    for side in SIDES:
        found |= dict.fromkeys(pq.read_table(folder / f"{side}.parquet")[key].to_pylist(), side)
    return found


def divide(made: Checkout, pipeline: str) -> None:
    made.run(*DVC, "repro", f"split@{pipeline}").ok()


def test_rows_that_were_there_keep_their_side_and_new_ones_get_one(own: Checkout) -> None:
    before = sides(own, "visits", "visit_id")
    rows = tables.visits(420)
    tables.as_sqlite(own.root / "visits.db", rows[10:])
    told = own.workbench("refresh", "visits", "--json").ok()
    (table,) = json.loads(told.text)["tables"]
    assert (table["rows_before"], table["rows_now"], table["same"]) == (300, 410, 290)
    divide(own, "visits")
    after = sides(own, "visits", "visit_id")
    assert len(after) == 410
    assert all(after[key] == side for key, side in before.items() if key in after)
    assert set(after.values()) == set(SIDES)

    again = own.workbench("refresh", "visits").ok()
    assert "nothing changed" in again.text


def test_a_split_by_time_keeps_its_borders_and_what_is_later_is_test(own: Checkout) -> None:
    before = sides(own, "houses", "sold on")
    tables.as_parquet(own.root / "moved.dat", tables.houses(360))
    (own.root / "houses.dat").unlink()
    told = own.workbench("refresh", "houses", "--data", "moved.dat").ok()
    assert "as before" in told.text
    block = read_params(own.paths.params).block("houses")
    assert block.split.valid_from
    assert block.split.test_from
    divide(own, "houses")
    after = sides(own, "houses", "sold on")
    assert {key: after[key] for key in before} == before
    assert {side for key, side in after.items() if key not in before} == {"test"}
    assert block.collect.as_of == dt.date.today()


def test_columns_that_moved_or_went_are_named_with_what_to_do(own: Checkout) -> None:
    path = Path(own.root.parent / "people.csv")
    rows = tables.people(500)
    for row in rows:
        del row["plan"]
        row["age"] = "" if row["age"] == "" else int(row["age"]) + 40
        row["colour"] = "red"
    tables.as_csv(path, rows, ";", "utf-8-sig")
    told = own.workbench("refresh", "people", "--data", str(path)).ok().sentence
    assert "columns new: colour" in told
    assert "columns gone: plan" in told
    assert "'plan' is gone, and pipelines/people.py names it" in told
    # A row is equal where the columns of both are: those whose age was missing already.
    report = read_json(own.paths.quality("people").with_name("refresh.json"))
    assert report["tables"][0]["same"] == sum(row["age"] == "" for row in rows[:400])
    assert report["lost"] == ["plan"]
    own.workbench("repro", "people").failed("No column 'plan'")


def test_a_source_that_cannot_be_read_changes_nothing(own: Checkout) -> None:
    params = own.paths.params.read_bytes()
    data = own.paths.stage("collect", "nasty")
    before = sorted(p.name for p in data.iterdir())
    (own.root / "nasty.json").write_text("")
    own.workbench("refresh", "nasty").failed("nasty.json is empty")
    (own.root / "nasty.json").unlink()
    own.workbench("refresh", "nasty").failed("nasty.json")
    assert own.paths.params.read_bytes() == params
    assert sorted(p.name for p in data.iterdir()) == before


def test_a_collect_that_fails_leaves_params_and_data_as_they_were(small: Checkout) -> None:
    params, data = small.paths.params.read_bytes(), small.data("collect")
    # The first day there is: the pipeline counts back from it.
    told = small.workbench("refresh", "small", "--as-of", "0001-01-01")
    assert told.code == 1
    assert "OverflowError" in told.text  # a mistake in a person's own code shows where
    assert "The new data of 'small' could not be collected" in told.sentence
    assert "as they were" in told.sentence
    assert small.paths.params.read_bytes() == params
    assert small.data("collect") == data


def test_a_simulated_source_moves_with_its_day(small: Checkout) -> None:
    told = json.loads(
        small.workbench("refresh", "small", "--as-of", "2026-07-10", "--json").ok().text
    )
    assert (told["before"], told["as_of"]) == ("2026-06-30", "2026-07-10")
    assert {table["name"] for table in told["tables"]} == {"orders", "shops"}
    assert read_params(small.paths.params).block("small").split.valid_from == told["borders"][0]


def test_moved_borders_and_a_day_that_stays_are_said(small: Checkout) -> None:
    told = small.workbench("refresh", "small", "--as-of", "2026-06-30", "--move-borders").ok().text
    assert "sides: divided by time anew (were valid from" in told
    assert "still as of 2026-06-30" in told
    assert "as_of was" not in told
