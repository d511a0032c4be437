from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest

from tests.monitoring.deployed import amounts
from tests.serving.conftest import Server
from workbench.monitoring.alerts import QUIET_S, read_alerts
from workbench.monitoring.health import health_path, read_health, read_history
from workbench.monitoring.watch import ANSWERS_S, Watch
from workbench.storage.pointer import Pointer, write_pointer


def said(alerts):
    return [(alert.what, alert.state) for alert in alerts]


def test_a_quiet_deployment_is_known_and_alerts_nobody(deployed):
    watch = Watch(deployed.paths)
    assert watch.step(deployed.now) == []
    health = read_health(deployed.paths, "fraud")
    assert [(one.alias, one.release) for one in health.deployed] == [("champion", 4)]
    assert (health.levels, health.traffic, health.answers) == ((), (), ())


def test_what_was_asked_is_told_by_window_with_its_latency(deployed):
    deployed.serve(range(30), warnings=2)
    deployed.serve([1800] * 10)
    Watch(deployed.paths).step(deployed.now)
    traffic = {one.window: one for one in read_health(deployed.paths, "fraud").traffic}
    assert [traffic[w].requests for w in ("5m", "1h", "24h")] == [3000, 4000, 4000]
    assert traffic["5m"].per_s == pytest.approx(10)
    assert traffic["5m"].warnings == 60
    assert 3 <= traffic["5m"].p50_ms <= 5


def test_points_for_pages_are_there_by_minute_and_by_hour(deployed):
    deployed.serve(range(0, 7200, 60))
    Watch(deployed.paths).step(deployed.now)
    history = read_history(deployed.paths, "fraud")
    assert len(history.minutes) == pytest.approx(120, abs=1)
    assert 2 <= len(history.hours) <= 3
    assert sum(point.requests for point in history.hours) == 12_000
    starts = [point.start_s for point in history.minutes]
    assert starts == sorted(starts)


def test_failures_burn_the_budget_and_the_alert_ends_when_they_do(deployed):
    deployed.serve(range(200), errors=10)
    watch = Watch(deployed.paths)
    (alert,) = watch.step(deployed.now)
    assert (alert.what, alert.severity) == ("availability", "critical")
    assert "times too fast" in alert.sentence
    assert [one.key for one in read_health(deployed.paths, "fraud").alerts] == [alert.key]
    assert watch.step(deployed.now + 3) == []
    assert said(watch.step(deployed.now + 7 * 3600)) == [("availability", "ended")]


def test_neither_rehearsals_nor_shadows_spend_the_budget(deployed):
    deployed.serve(range(100))
    deployed.serve(range(200), errors=100, rehearsal=True)
    deployed.serve(range(200), errors=100, alias="shadow")
    watch = Watch(deployed.paths)
    assert watch.step(deployed.now) == []
    health = read_health(deployed.paths, "fraud")
    assert {level.budget_left_fraction for level in health.levels} == {1.0}
    keys = {(one.alias, one.rehearsal) for one in health.traffic}
    assert keys == {("champion", False), ("champion", True), ("shadow", False)}


def test_drift_is_alerted_by_column_and_in_a_rehearsal_marked_as_such(deployed):
    deployed.answer(amounts(1000, times=6), rehearsal=True)
    (alert,) = Watch(deployed.paths).step(deployed.now)
    assert (alert.what, alert.rehearsal) == ("drift:input:amount", True)
    assert "release 4" in alert.sentence
    assert alert.value > alert.limit


def test_the_log_is_looked_into_once_a_minute(deployed):
    watch = Watch(deployed.paths)
    now = deployed.now
    watch.step(now)
    deployed.answer(amounts(1000, times=6))
    assert watch.step(now + 1) == []
    assert said(watch.step(now + ANSWERS_S)) == [("drift:input:amount", "open")]


def test_a_restart_counts_nothing_twice_and_repeats_no_alert(deployed):
    deployed.serve(range(200), errors=10)
    now = deployed.now
    Watch(deployed.paths).step(now)
    again = Watch(deployed.paths)
    deployed.serve([0])
    assert again.step(now + 2) == []
    traffic = {one.window: one for one in read_health(deployed.paths, "fraud").traffic}
    assert traffic["24h"].requests == 20_100


def test_a_look_alone_writes_nothing(deployed):
    deployed.serve(range(200), errors=10)
    (health,) = Watch(deployed.paths).look(deployed.now)
    assert health.levels[0].burns[0].burns
    assert not deployed.paths.monitoring.exists()


def test_settings_are_read_again_when_they_change(deployed):
    deployed.serve(range(200), ms=60.0)
    watch = Watch(deployed.paths)
    assert watch.step(deployed.now) == []
    deployed.set("{levels: {latency_ms: 20}, alerts: {file: said.jsonl}}")
    assert said(watch.step(deployed.now)) == [("latency", "open")]
    assert len(read_alerts(deployed.paths.monitoring / "said.jsonl")) == 1


def test_damaged_settings_leave_the_ones_before_in_place(deployed, caplog):
    deployed.set("{levels: {latency_ms: 20}}")
    watch = Watch(deployed.paths)
    watch.step(deployed.now)
    deployed.set("{levels: {latncy_ms: 20}}")
    watch.step(deployed.now)
    assert watch.settings("fraud").levels.latency_ms == 20
    assert "the settings stay as they were" in caplog.text


def test_a_damaged_pointer_leaves_the_deployments_as_they_were(deployed, caplog):
    watch = Watch(deployed.paths)
    watch.step(deployed.now)
    deployed.paths.pointer.write_text("{")
    watch.step(deployed.now)
    assert read_health(deployed.paths, "fraud").deployed
    assert "the deployments stay as they were" in caplog.text


def test_damaged_sums_are_made_again_from_the_windows(deployed, caplog):
    deployed.serve([1])
    Watch(deployed.paths).step(deployed.now)
    for content in ("{", "[]", '{"bounds": 3}', "null"):
        (deployed.paths.monitoring / "rollups.json").write_text(content)
        Watch(deployed.paths).step(deployed.now)
        assert read_health(deployed.paths, "fraud").traffic[-1].requests == 100


def test_a_pipeline_that_cannot_be_looked_at_keeps_its_alerts_and_says_why(
    deployed,
):
    deployed.answer(amounts(1000, times=6))
    watch = Watch(deployed.paths)
    now = deployed.now
    watch.step(now)
    (hot,) = deployed.paths.predictions.glob("day=*/pipeline=fraud/_*.jsonl")
    hot.unlink()
    hot.mkdir()
    assert watch.step(now + 5 * QUIET_S) == []
    assert "fraud cannot be looked at" in watch.problem
    assert [alert.what for alert in watch.desk.open()] == ["drift:input:amount"]


def test_a_release_that_is_gone_is_no_longer_alerted_for(deployed):
    deployed.answer(amounts(1000, times=6))
    watch = Watch(deployed.paths)
    now = deployed.now
    watch.step(now)
    other = replace(deployed.target, digest="0" * 64, release=5)
    write_pointer(deployed.paths.pointer, Pointer(pipelines={"fraud": {"champion": other}}))
    assert said(watch.step(now + ANSWERS_S)) == [("drift:input:amount", "ended")]


def test_a_second_without_news_costs_a_page_of_writing_only(deployed):
    deployed.serve(range(0, 3600, 10))
    watch = Watch(deployed.paths)
    now = deployed.now
    watch.step(now)
    state = deployed.paths.monitoring / "rollups.json"
    before = state.stat().st_mtime_ns
    watch.step(now + 1)
    assert state.stat().st_mtime_ns == before
    assert len(health_path(deployed.paths, "fraud").read_bytes()) < 20_000
    assert json.loads(health_path(deployed.paths, "fraud").read_bytes())["at_s"] == now + 1


def test_what_was_said_is_logged_once(deployed, caplog):
    caplog.set_level(logging.INFO, "workbench")
    deployed.serve(range(200), errors=10)
    Watch(deployed.paths).step(deployed.now)
    assert len(caplog.records) == 1


def test_what_a_real_server_answered_and_refused_is_seen(deployed):
    server = Server(deployed.paths)
    try:
        server.until_loaded()
        for amount in amounts(40, times=50):
            row = {"amount": amount, "country": "de"}
            assert server.client.post("/predict/fraud", json=row).status_code == 200
        assert server.client.post("/predict/fraud", json={"amount": "?"}).status_code == 400
        assert server.client.post("/predict/nobody", json={}).status_code == 404
        log = [json.loads(line) for line in server.stop().splitlines()]
    finally:
        server.process.kill()
        server.process.wait()
    alerts = Watch(deployed.paths).step(deployed.now)
    health = read_health(deployed.paths, "fraud")
    (traffic,) = [one for one in health.traffic if one.window == "5m"]
    assert (traffic.requests, traffic.refused, traffic.errors) == (41, 1, 0)
    assert health.levels[0].total == 40
    (answers,) = health.answers
    assert {drift.rows for drift in answers.drift} == {40}
    assert "drift:input:amount" in [alert.what for alert in alerts]
    assert [line.get("status") for line in log] == [None, 400, 404]
