from __future__ import annotations

import json

import msgspec
import pytest

from workbench.monitoring.rollups import Key, Rollups, Series, Tally, together
from workbench.storage.windows import BOUNDS_MS, ServingWindow, append_windows, bin_of

NOW = 1_780_000_000.0
KEY = Key("fraud", "champion", 3, "d" * 64, False)


def window(end_s=NOW, *, pipeline="fraud", alias="champion", rehearsal=False, ms=(1.0,), **more):
    latency = [0] * (len(BOUNDS_MS) + 1)
    for one in ms:
        latency[bin_of(one)] += 1
    given = {"requests": len(ms), "rows": len(ms), "energy_j": 0.5, "cpu_s": 0.01} | more
    return ServingWindow(
        start_s=end_s - 1,
        end_s=end_s,
        pid=1,
        pipeline=pipeline,
        alias=alias,
        release=3,
        digest="d" * 64,
        rehearsal=rehearsal,
        latency=tuple(latency),
        latency_sum_s=sum(ms) / 1000,
        **given,
    )


def series_of(*windows) -> Series:
    rollups = Rollups()
    rollups.add(windows)
    return rollups.series[KEY]


def test_seconds_are_added_up_by_minute_and_by_hour(tmp_path):
    append_windows(tmp_path, [window(NOW - s, errors=int(s == 0)) for s in range(0, 7200, 10)])
    rollups = Rollups()
    rollups.update(tmp_path, NOW)
    series = rollups.series[KEY]
    assert series.last(86_400, NOW).requests == 720
    assert series.last(300, NOW).requests == pytest.approx(30, abs=6)
    assert series.last(3600, NOW).errors == 1
    assert series.last(3600, NOW).energy_j == pytest.approx(180, abs=4)


def test_only_what_is_new_is_read(tmp_path):
    append_windows(tmp_path, [window(NOW - 5)])
    rollups = Rollups()
    rollups.update(tmp_path, NOW)
    rollups.update(tmp_path, NOW)
    append_windows(tmp_path, [window(NOW)])
    rollups.update(tmp_path, NOW)
    assert rollups.series[KEY].last(3600, NOW).requests == 2


def test_a_line_that_is_half_written_is_read_when_it_is_whole(tmp_path):
    line = msgspec.json.encode(window()) + b"\n"
    file = tmp_path / "2026-05-28-1.jsonl"
    file.write_bytes(line + line[:40])
    rollups = Rollups()
    rollups.update(tmp_path, NOW)
    assert rollups.series[KEY].last(3600, NOW).requests == 1
    file.write_bytes(line + line)
    rollups.update(tmp_path, NOW)
    assert rollups.series[KEY].last(3600, NOW).requests == 2


def test_torn_and_foreign_lines_are_passed_over(tmp_path):
    good = msgspec.json.encode(window())
    (tmp_path / "2026-05-28-1.jsonl").write_bytes(b'{"a"\n\n\xff\xfe\n[]\n' + good + b"\n")
    rollups = Rollups()
    rollups.update(tmp_path, NOW)
    assert rollups.series[KEY].last(3600, NOW).requests == 1


def test_a_restart_goes_on_where_it_was_and_counts_nothing_twice(tmp_path):
    append_windows(tmp_path, [window(NOW - 5), window(NOW - 4, rehearsal=True)])
    before = Rollups()
    before.update(tmp_path, NOW)
    after = Rollups.restored(json.loads(msgspec.json.encode(before.saved())))
    append_windows(tmp_path, [window(NOW)])
    after.update(tmp_path, NOW)
    assert after.series[KEY].last(3600, NOW).requests == 2
    assert after.series[KEY._replace(rehearsal=True)].last(3600, NOW).requests == 1


def test_sums_of_another_shape_are_read_again_from_the_windows():
    saved = Rollups().saved() | {"bounds": [1, 2, 3], "read": {"2026-05-28-1.jsonl": 99}}
    assert Rollups.restored(json.loads(msgspec.json.encode(saved))).read == {}


def test_releases_aliases_and_rehearsals_are_counted_apart(tmp_path):
    append_windows(
        tmp_path,
        [window(), window(alias="shadow"), window(rehearsal=True), window(pipeline="")],
    )
    rollups = Rollups()
    rollups.update(tmp_path, NOW)
    assert {(key.alias, key.rehearsal) for key in rollups.of("fraud")} == {
        ("champion", False),
        ("shadow", False),
        ("champion", True),
    }
    assert len(rollups.series) == 3


def test_what_is_old_is_forgotten(tmp_path):
    append_windows(tmp_path, [window(NOW - 40 * 86_400)])
    append_windows(tmp_path, [window(NOW - 9 * 3600), window(NOW)])
    rollups = Rollups()
    rollups.update(tmp_path, NOW)
    series = rollups.series[KEY]
    assert (len(series.minutes), len(series.hours)) == (1, 2)
    rollups.update(tmp_path, NOW + 60 * 86_400)
    assert rollups.series == {}
    assert rollups.read == {}


def test_what_was_not_measured_is_not_a_zero():
    series = series_of(window(), window(energy_j=None))
    assert series.last(3600, NOW).energy_j is None
    assert together([]).energy_j is None


@pytest.mark.parametrize(
    ("bound", "slower"), [(1.0, 2), (0.5, 2), (10.0, 2), (2.5, 2), (17.5, 1), (20, 0), (30, 0)]
)
def test_requests_over_a_bound_are_counted_within_their_bin(bound, slower):
    series = series_of(window(ms=(0.4, 16.0, 19.0)))  # bins 0.3 to 0.5 and 15 to 20
    found = series.last(3600, NOW)
    assert found.slower_than(bound) == pytest.approx(slower)
    assert BOUNDS_MS[bin_of(16.0)] == 20


def test_beyond_the_last_bound_all_are_slow():
    series = series_of(window(ms=(9e9,)))
    assert series.last(3600, NOW).slower_than(1e7) == 1
    assert Tally().slower_than(1) == 0
    assert Tally().quantile_ms(0.5) is None
