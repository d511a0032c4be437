from __future__ import annotations

import os
import subprocess
import sys

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.serving import bundles
from workbench.core.files import write_json
from workbench.monitoring.drift import Drift
from workbench.monitoring.health import Health, Watched
from workbench.monitoring.levels import Burn, Level
from workbench.serving.stats import Counts, Total
from workbench.storage.windows import BOUNDS_MS, bin_of, quantile_ms, read_windows


@pytest.fixture
def server(paths, serve, tmp_path):
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "bundle"), number=3)
    started = serve(paths)
    started.until_loaded()
    return started


def scraped(server) -> dict[str, list]:
    said = server.client.get("/metrics")
    assert said.headers["content-type"].startswith("text/plain")
    return {family.name: family.samples for family in text_string_to_metric_families(said.text)}


def outcomes(found: dict[str, list]) -> dict[str, float]:
    return {
        sample.labels["outcome"]: sample.value
        for sample in found["workbench_requests"]
        if sample.labels["pipeline"] == "fraud" and sample.labels["rehearsal"] == "false"
    }


def test_prometheus_own_parser_reads_what_was_counted(server):
    for amount in range(5):
        assert server.client.post("/predict/fraud", json={"amount": amount}).status_code == 200
    assert server.client.post("/predict/fraud", json={"amount": "x"}).status_code == 400
    assert server.client.post("/predict/nothing", json={"amount": 1}).status_code == 404
    headers = {"x-workbench-rehearsal": "1"}
    server.client.post("/predict/fraud", json={"rows": [{"amount": 1}] * 7}, headers=headers)
    found = scraped(server)
    assert outcomes(found) == {"answered": 5, "refused": 1, "error": 0}
    rows = {s.labels["rehearsal"]: s.value for s in found["workbench_rows"]}
    assert rows == {"false": 5, "true": 7}
    counts = [s for s in found["workbench_request_seconds"] if s.name.endswith("_count")]
    assert sum(s.value for s in counts if s.labels["pipeline"] == "fraud") == 7
    buckets = [
        s.value
        for s in found["workbench_request_seconds"]
        if s.name.endswith("_bucket") and s.labels["rehearsal"] == "true"
    ]
    assert buckets == sorted(buckets)
    assert found["workbench_model_info"][0].labels["release"] == "3"


def test_windows_on_file_hold_every_request_and_all_that_the_process_used(server, paths):
    for _ in range(20):
        server.client.post("/predict/fraud", json={"amount": 1})
    server.client.post("/predict/fraud", json={"amount": "x"})
    server.stop()
    windows = list(read_windows(paths.serving_windows))
    own = [w for w in windows if w.pipeline == "fraud"]
    assert sum(w.requests for w in own) == 21
    assert sum(w.refused for w in own) == 1
    assert sum(sum(w.latency) for w in own) == 21
    assert {(w.alias, w.release, w.pid) for w in own} == {("champion", 3, server.process.pid)}
    used = sum(w.cpu_s for w in windows)
    assert 0.05 < used < 20  # its start, loading and answers; no other process's
    for window in windows:
        assert window.energy_lo_j <= window.energy_j <= window.energy_hi_j
    assert sum(w.energy_j for w in windows) > 0


def test_totals_of_other_workers_are_added_and_those_of_dead_ones_are_removed(
    paths, serve, tmp_path
):
    released = bundles.release(paths, "fraud", bundles.fraud(tmp_path / "bundle"), number=3)
    digest = released.digest
    counts = Counts(requests=40, rows=40, latency=[40] + [0] * len(BOUNDS_MS))
    total = msgspec.json.encode([Total(("fraud", "champion", 3, digest, False), counts)])
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    paths.serving_windows.mkdir(parents=True)
    alive, gone = (paths.serving_windows / f"totals-{pid}.json" for pid in (os.getpid(), dead.pid))
    alive.write_bytes(total)
    gone.write_bytes(total)
    server = serve(paths)
    server.until_loaded()
    server.client.post("/predict/fraud", json={"amount": 1})
    assert outcomes(scraped(server))["answered"] == 41
    assert not gone.exists()


def test_quantiles_come_from_bins_within_their_width():
    latency = [0] * (len(BOUNDS_MS) + 1)
    for ms in range(1, 101):
        latency[bin_of(ms)] += 1
    assert quantile_ms(latency, 0.5) == pytest.approx(50, rel=0.15)
    assert quantile_ms(latency, 0.95) == pytest.approx(95, rel=0.15)
    assert quantile_ms([0] * len(latency), 0.5) is None
    assert bin_of(1e9) == len(BOUNDS_MS)


BURNS = (Burn("fast", 3600, 300, 14.4), Burn("slow", 21_600, 1800, 6.0))


def drifted(psi: float) -> Drift:
    return Drift("input", "amount", "number", "drifted", 500, psi, 0.05, 0.2, None, None, 0.0, 0.0)


def test_what_the_monitor_found_is_a_metric_too(server, paths):
    found = Health(
        "fraud",
        0.0,
        levels=(
            Level("availability", "a promise", 0.999, 28, 100, 0.05, 0.9995, 0.5, BURNS),
            Level("latency", "another", 0.99, 28, 0, 0, None, None, BURNS),
        ),
        answers=(
            Watched("champion", 3, "d", False, 0.0, drift=(drifted(0.31),)),
            Watched("champion", 3, "d", True, 0.0, drift=(drifted(9.0),)),
        ),
    )
    write_json(paths.monitoring / "fraud.json", found)
    (paths.monitoring / "rollups.json").write_text('{"another": "kind"}')
    families = scraped(server)
    (psi,) = families["workbench_drift_psi"]
    assert (psi.value, psi.labels["column"], psi.labels["release"]) == (0.31, "amount", "3")
    (left,) = families["workbench_error_budget_left_fraction"]
    assert left.labels == {"pipeline": "fraud", "level": "availability"}
    assert left.value == 0.5
