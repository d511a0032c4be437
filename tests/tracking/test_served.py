from __future__ import annotations

import pytest

from workbench.metering.ledger import SERVE, Ledger
from workbench.metering.site import Site
from workbench.storage.windows import ServingWindow, append_windows
from workbench.tracking.served import serving_records, shares

HOUR = 500_000 * 3600.0


def window(at_s, requests, *, pipeline="fraud", release=1, pid=1, length_s=1.0, **more):
    return ServingWindow(
        start_s=at_s - length_s,
        end_s=at_s,
        pid=pid,
        pipeline=pipeline,
        alias="champion",
        release=release,
        digest=f"{release:064x}",
        requests=requests,
        rows=requests,
        cpu_s=more.pop("cpu_s", 0.5),
        energy_j=more.pop("energy_j", 3600.0),
        energy_lo_j=1800.0,
        energy_hi_j=7200.0,
        memory_bytes=100,
        **more,
    )


def records(tmp_path, windows, now_s=HOUR + 3 * 3600):
    append_windows(tmp_path / "serving", windows)
    return serving_records(tmp_path / "serving", tmp_path / "bundles", now_s)


def test_an_hour_that_is_over_is_one_record_a_release(tmp_path):
    found = records(
        tmp_path,
        [
            window(HOUR + 10, 4),
            window(HOUR + 11, 6),
            window(HOUR + 11, 2, release=2),
            window(HOUR + 3700, 1),
        ],
    )
    told = [(r.params["release"], r.metrics["requests"], r.window.start_s) for r in found]
    assert sorted(told) == [(1, 1, HOUR + 3600), (1, 10, HOUR), (2, 2, HOUR)]
    first = next(r for r in found if r.metrics["requests"] == 10)
    assert first.window.cpu_s == 1.0
    assert first.window.usages[0].energy_kwh == pytest.approx(0.002)
    assert first.window.usages[0].lo == pytest.approx(0.001)
    assert first.window.duration_s == pytest.approx(1 + 6 / 8)


def test_an_hour_under_way_is_not_told_yet(tmp_path):
    windows = [window(HOUR + 10, 4)]
    assert not records(tmp_path, windows, HOUR + 3600)
    assert len(serving_records(tmp_path / "serving", tmp_path / "bundles", HOUR + 3721)) == 1


def test_idle_time_is_shared_equally_and_nothing_is_lost_or_counted_twice(tmp_path):
    windows = [
        window(HOUR + 60, 0, length_s=60),
        window(HOUR + 60, 0, length_s=60, pipeline="care"),
        window(HOUR + 60, 9, length_s=60, pid=2),
        window(HOUR + 60, 1, length_s=60, pid=2, pipeline="care"),
    ]
    assert [share for _, share in shares(windows)] == [0.5, 0.5, 0.9, 0.1]
    found = records(tmp_path, windows)
    assert sum(r.window.duration_s for r in found) == pytest.approx(120)
    assert sum(r.window.usages[0].energy_kwh for r in found) == pytest.approx(0.004)


def test_rehearsal_is_told_apart(tmp_path):
    found = records(tmp_path, [window(HOUR + 1, 5), window(HOUR + 1, 7, rehearsal=True)])
    assert {(r.params["rehearsal"], r.metrics["requests"]) for r in found} == {
        (False, 5.0),
        (True, 7.0),
    }


def test_the_ledger_has_each_hour_once_and_it_is_no_run_of_a_stage(tmp_path):
    found = records(tmp_path, [window(HOUR + 10, 1000)])
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    site = Site(electricity_usd_per_kwh=0.5, hardware_usd_per_hour=3.6, grid_g_per_kwh=100)
    assert ledger.append_all(found, site) == 1
    assert ledger.append_all(found, site) == 0
    (row,) = ledger.rows(stage=SERVE)
    assert row["tags"] == {
        "release": "1",
        "rehearsal": "false",
        "requests": "1000",
        "rows": "1000",
    }
    assert row["cost_usd"] == pytest.approx(0.001 * 0.5 + 3.6 / 3600)
    assert row["carbon_g"] == pytest.approx(0.1)
    assert row["provenance"] == "modelled"
    assert ledger.last("fraud") == []


def test_windows_are_removed_after_days_and_their_hours_are_still_told(tmp_path):
    day_s = 86_400.0
    folder = tmp_path / "serving"
    first = records(tmp_path, [window(HOUR + 10, 4), window(HOUR + 3650, 1)])
    assert [r.metrics["requests"] for r in first] == [4, 1]
    append_windows(folder, [window(HOUR + 4 * day_s, 7)])
    later = serving_records(folder, tmp_path / "bundles", HOUR + 5 * day_s)
    assert [r.metrics["requests"] for r in later] == [4, 1, 7]
    assert len(list(folder.glob("????-??-??-*.jsonl"))) == 1
    with (folder / "hours.jsonl").open("ab") as file:
        file.write(b'{"torn')
    again = serving_records(folder, tmp_path / "bundles", HOUR + 5 * day_s)
    assert [r.id for r in again] == [r.id for r in later]
