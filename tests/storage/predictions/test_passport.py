from __future__ import annotations

import pytest

from tests.storage.predictions.conftest import passport
from workbench.storage.predictions import passport as module
from workbench.storage.predictions.passport import Ids, date_of, is_id, time_of


def test_rows_read_as_the_client_sent_them(log):
    assert passport(log).rows == [
        {"amount": 1.5, "country": "de"},
        {"amount": None, "country": "fr"},
    ]


def test_ids_are_unique_and_sort_by_order_even_if_the_clock_goes_back(monkeypatch):
    ids = Ids()
    issued = [ids.next() for _ in range(1000)]
    monkeypatch.setattr(module.time, "time_ns", lambda: 0)
    issued += [ids.next() for _ in range(1000)]
    assert sorted(set(issued)) == issued


def test_ids_sort_by_order_also_when_their_count_begins_again(monkeypatch):
    monkeypatch.setattr(module, "_COUNTS", 10)
    monkeypatch.setattr(module.time, "time_ns", lambda: 1_000_000_000)
    ids = Ids()
    issued = [ids.next() for _ in range(35)]
    assert sorted(set(issued)) == issued


def test_two_processes_issue_no_id_twice_in_one_millisecond(monkeypatch):
    monkeypatch.setattr(module.time, "time_ns", lambda: 1_000_000_000)
    one, two = Ids(), Ids()
    assert not {one.next() for _ in range(100)} & {two.next() for _ in range(100)}


def test_an_id_says_when_it_was_issued(monkeypatch):
    monkeypatch.setattr(module.time, "time_ns", lambda: 1_795_564_799_999_000_000)
    id = Ids().next()
    assert time_of(id) == 1_795_564_799.999
    assert date_of(time_of(id)) == "2026-11-24"
    assert date_of(time_of(id) + 0.001) == "2026-11-25"


@pytest.mark.parametrize(
    "id", ["", "../../etc", "0" * 28, "f" * 12 + "-000000-00000000", "000000000001-000000-0000000G"]
)
def test_what_was_never_issued_is_no_id(id):
    assert not is_id(id)
