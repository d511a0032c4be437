from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.serving import bundles

SERVE = """
import sys
from pathlib import Path
from workbench.core.paths import Paths
from workbench.serving.server import listen
from workbench.serving.workers import serve_workers

root = Path(sys.argv[1])
listening = listen(port=0)
print(listening.getsockname()[1], flush=True)
serve_workers(Paths(root, root / ".workbench"), listening, 2)
"""


@pytest.fixture
def two(paths, tmp_path):
    """A server of two workers, and its address."""
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "bundle"), number=3)
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(paths.root)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    at = f"http://127.0.0.1:{process.stdout.readline().strip()}"
    try:
        until(lambda: len(pids_ready(at)) == 2)
        yield process, at
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()


def until(holds, limit_s: float = 30) -> None:
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def pids_ready(at: str) -> set[str]:
    """Workers that answered, by the last part of the ids that they give."""
    seen = set()
    for _ in range(20):
        try:
            said = httpx.post(f"{at}/predict/fraud", json={"amount": 1}, timeout=10)
        except httpx.TransportError:
            continue
        if said.status_code == 200:
            seen.add(said.json()["id"].rpartition("-")[2])
    return seen


def answered(at: str) -> float:
    text = httpx.get(f"{at}/metrics", timeout=10).text
    families = {family.name: family.samples for family in text_string_to_metric_families(text)}
    return sum(
        s.value
        for s in families["workbench_requests"]
        if s.labels["pipeline"] == "fraud" and s.labels["outcome"] == "answered"
    )


def test_two_workers_count_together_and_a_killed_one_is_replaced(two):
    process, at = two
    before = answered(at)
    until(lambda: answered(at) >= before)
    children = psutil.Process(process.pid).children()
    workers = [child.pid for child in children if child.memory_info().rss > 20e6]
    assert len(workers) >= 2
    for _ in range(30):
        assert httpx.post(f"{at}/predict/fraud", json={"amount": 1}, timeout=10).is_success
    # Each tells what it counted once a second; any of them then says it all.
    until(lambda: answered(at) >= before + 30)
    os.kill(workers[0], signal.SIGKILL)
    until(lambda: len(pids_ready(at)) == 2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert not any(psutil.pid_exists(pid) for pid in workers)
