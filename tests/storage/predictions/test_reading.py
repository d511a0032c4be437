from __future__ import annotations

import threading
import time

import msgspec
import pytest

from tests.storage.predictions.conftest import logged, passport
from workbench.core.errors import StateError
from workbench.storage.predictions import reading
from workbench.storage.predictions.compaction import compact
from workbench.storage.predictions.lines import find_line, last_id
from workbench.storage.predictions.passport import DAY_S, Passport, date_of
from workbench.storage.predictions.places import segments
from workbench.storage.predictions.reading import find_passport, scan
from workbench.storage.predictions.search import search


def closed(paths) -> None:
    compact(paths.predictions, now_s=time.time() + 3700)


def mixed(paths, opened, count=3, **fields):
    """Passports of which one half is Parquet and the other lines, oldest first."""
    log = opened()
    many = logged(log, count, **fields)
    log.close()
    closed(paths)
    return many + logged(opened(), count, **fields)


@pytest.mark.parametrize("id", ["", "../../etc", "0" * 28, "f" * 12 + "-000000-00000000"])
def test_an_id_that_names_no_prediction_is_an_error_in_a_sentence(paths, id):
    with pytest.raises(StateError, match="prediction id"):
        find_passport(paths, id)


def test_an_id_that_is_not_on_file_is_said_with_its_day(paths, opened):
    mixed(paths, opened)
    with pytest.raises(StateError, match="on file for 1970-01-01"):
        find_passport(paths, "000000000001-000000-00000000")


def test_files_of_an_earlier_workbench_are_still_read(paths, log):
    now = passport(log)
    new = ("caller", "rehearsal", "warnings", "row_count", "logged", "private")
    old = {name: value for name, value in msgspec.to_builtins(now).items() if name not in new}
    file = paths.predictions / "fraud" / f"{date_of(now.time_s)}.jsonl"
    file.parent.mkdir(parents=True)
    lines = [msgspec.json.encode(old | {"id": id}) for id in ("torn", now.id, "0" * 28)]
    file.write_bytes(b"\n".join([lines[1], lines[0][:20], lines[2]]) + b"\n")
    found = find_passport(paths, now.id)
    assert found == Passport(**(old | {"id": now.id}))
    assert found in list(scan(paths, "fraud"))
    (shown,) = search(paths, "fraud", since_s=now.time_s)
    assert (shown.id, shown.row_count) == (now.id, 2)
    closed(paths)
    assert find_passport(paths, now.id) == found


def test_a_scan_takes_the_time_that_is_asked_for(paths, opened):
    many = mixed(paths, opened)
    middle = many[2].time_s
    early = [one for one in many if one.time_s < middle]
    assert list(scan(paths, "fraud", until_s=middle)) == early
    assert list(scan(paths, "fraud", since_s=middle)) == many[len(early) :]
    assert list(scan(paths, "fraud", until_s=middle - DAY_S)) == []
    assert list(scan(paths, "other")) == []


def test_a_search_has_the_newest_first_from_lines_and_columns(paths, opened):
    many = mixed(paths, opened)
    assert search(paths, "fraud") == many[::-1]
    assert search(paths, "fraud", limit=4) == many[:1:-1]
    assert search(paths, "other") == []


def test_a_search_goes_back_over_days_until_it_has_enough(paths, log):
    many = [passport(log, at_s=time.time() - days * DAY_S) for days in range(4)]
    for one in many:
        log.append(one)
    log.flush()
    assert search(paths, "fraud", limit=3) == many[:3]
    assert len(search(paths, "fraud", since_s=time.time() - 1.5 * DAY_S)) == 2
    assert len(search(paths, "fraud", until_s=time.time() - 1.5 * DAY_S)) == 2


HOSTILE = "x' or 1=1; drop table hot; --\n\"<b>🦊"


@pytest.mark.parametrize(
    ("wanted", "fields"),
    [
        ({"alias": "challenger"}, {"alias": "challenger"}),
        ({"release": 7}, {"release": 7}),
        ({"caller": HOSTILE}, {"caller": HOSTILE}),
        ({"rehearsal": True}, {"rehearsal": True}),
        ({"warned": True}, {"warnings": ("'age' is new",)}),
        ({"slower_than_ms": 50.0}, {"latency_ms": 51.0}),
        ({"text": HOSTILE.upper()}, {"inputs": {"name": [HOSTILE]}}),
        ({"text": "99.5"}, {"inputs": {"amount": [99.5]}}),
    ],
)
def test_a_search_finds_what_meets_its_condition_and_nothing_else(paths, opened, wanted, fields):
    log = opened()
    other = logged(log) + logged(log, inputs={"name": ["nobody"]})
    (one,) = logged(log, **fields)
    for _ in range(2):  # as lines, then as columns
        assert [found.id for found in search(paths, "fraud", **wanted)] == [one.id]
        assert len(search(paths, "fraud")) == len(other) + 1
        log.close()
        closed(paths)


def test_a_search_combines_conditions(paths, log):
    (one,) = logged(log, release=7, caller="shop")
    logged(log, release=7)
    logged(log, caller="shop")
    assert search(paths, "fraud", release=7, caller="shop") == [one]
    assert len(search(paths, "fraud", warned=False)) == 3


def test_a_segment_that_becomes_parquet_while_it_is_looked_at_is_read_once(
    paths, opened, monkeypatch
):
    log = opened()
    many = logged(log, 3)
    log.close()

    def segments_then_closed(partition):
        found = segments(partition)
        closed(paths)
        return found

    monkeypatch.setattr(reading, "segments", segments_then_closed)
    assert list(scan(paths, "fraud")) == many


def test_readers_never_miss_and_never_double_while_segments_are_closed(paths, opened):
    log = opened()
    many = {one.id for _ in range(40) for one in logged(log, 2)}
    log.close()
    counts: list[int] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            ids = [one.id for one in scan(paths, "fraud")]
            counts.append(len(ids) if set(ids) == many else -1)

    reader = threading.Thread(target=read)
    reader.start()
    closed(paths)
    stop.set()
    reader.join()
    assert {*counts, len(list(scan(paths, "fraud")))} == {len(many)}


@pytest.mark.parametrize("length", [1, 10, 5000, 300_000])
@pytest.mark.parametrize("torn", [b"", b'{"id":"000000000'])
def test_every_id_is_found_in_a_file_that_ascends(tmp_path, length, torn):
    ids = [f"{n * 7:012x}-{n:06x}-00000000" for n in range(20)]
    lines = [b'{"id":"%b","x":"%b"}' % (id.encode(), b"\\n" * (length // 2)) for id in ids]
    lines[10:10] = [torn]
    file = tmp_path / "lines"
    file.write_bytes(b"\n".join([*lines, torn]))
    with file.open("rb") as opened:
        for id in ids:
            assert (find_line(opened, id) or b"")[7:35].decode() == id
        assert last_id(opened) == ids[-1]
        for missing in ("000000000001-000000-00000000", "f" * 12, ""):
            assert find_line(opened, missing) is None


def test_an_empty_file_has_no_ids(tmp_path):
    (tmp_path / "lines").touch()
    with (tmp_path / "lines").open("rb") as opened:
        assert find_line(opened, "0") is None
        assert last_id(opened) == ""
