"""A server under load for long, and under what life does to it.

`python -m benchmarks.endurance`: a soak at half load (BENCH_SOAK_MINUTES, default 60), the tail at
70 % load, 1,000 alias moves under load, ten times too much load, and `kill -9`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import Row, show
from benchmarks.served import Released, exported, load, memory_mb, released, start, until_ready
from benchmarks.serving import _free_port

SOAK_S = float(os.environ.get("BENCH_SOAK_MINUTES", "60")) * 60
MOVES = int(os.environ.get("BENCH_MOVES", "1000"))


def main() -> None:
    model = released()
    port = _free_port()
    process = start(model.root, port)
    rows: list[Row] = []
    try:
        until_ready(f"http://127.0.0.1:{port}/v2/health/ready", process)
        ask = _config(model, port)
        full = load(ask | {"seconds": 8})
        rate = full["requests"] / full["seconds"]
        rows.append(Row("full load, 32 connections", f"{rate:.0f} requests/s", "", "", "", None))
        rows += _tail(ask, rate)
        rows += _overload(ask, rate)
        rows += _soak(ask, rate, process)
        rows += _moves(model, ask, rate)
        rows += _killed(model, ask, process)
    finally:
        process.terminate()
        process.wait()
    show("A server under load (two shared cores, client beside it)", rows)


def _config(model: Released, port: int) -> dict[str, Any]:
    return {
        "port": port,
        "path": "/predict/bench",
        "bodies": model.rows,
        "wanted": model.wanted,
        "find": '"score":',
        "connections": 32,
    }


def _tail(ask: dict[str, Any], rate: float) -> list[Row]:
    found = load(ask | {"seconds": 20, "rate": 0.7 * rate})
    ratio = found["p99_ms"] / found["p50_ms"]
    said = f"p50 {found['p50_ms']:.2f}, p99 {found['p99_ms']:.2f} ms, {found['failed']} failed"
    return [Row("at 70 % load", said, "", f"{ratio:.1f}", "p99 <= 5 x p50", ratio <= 5)]


def _overload(ask: dict[str, Any], rate: float) -> list[Row]:
    """Ten times as many as it can answer, from many connections; then how soon it is itself."""
    load(ask | {"seconds": 6, "rate": 10 * rate, "connections": 480})
    began = time.perf_counter()
    while time.perf_counter() - began < 30:
        found = load(ask | {"seconds": 1, "rate": 0.3 * rate})
        if not found["failed"] and not found["wrong"] and found["p99_ms"] < 250:
            break
    took = time.perf_counter() - began
    return [Row("after ten times its load", f"{took:.1f} s to itself", "", "", "<= 5 s", took <= 5)]


def _soak(ask: dict[str, Any], rate: float, process: subprocess.Popen[bytes]) -> list[Row]:
    load(ask | {"seconds": 30, "rate": 0.5 * rate})  # what it needs once, it has by now
    before = memory_mb(process.pid)
    found = load(ask | {"seconds": SOAK_S, "rate": 0.5 * rate})
    growth = memory_mb(process.pid) / before - 1
    said = (
        f"{growth:+.1%} of {before:.0f} MB, {found['requests']} requests, {found['failed']} failed"
    )
    return [
        Row(
            f"{SOAK_S / 60:.0f} minutes at half load: memory",
            said,
            "",
            "",
            "< 2 % growth, 0 failed",
            growth < 0.02 and not found["failed"] and not found["wrong"],
        )
    ]


def _moves(model: Released, ask: dict[str, Any], rate: float) -> list[Row]:
    """The champion goes to and fro between two releases that answer differently.

    Every answer names the release that gave it, and is compared with what that one says.
    """
    from tests.serving.bundles import release
    from workbench.core.paths import Paths

    paths = Paths(model.root, model.root / ".workbench")
    other = Path(tempfile.mkdtemp()) / "bundle"
    _, wanted = exported(other, seed=1)
    ask = ask | {"by_release": {"1": model.wanted, "2": wanted}}
    done = threading.Event()
    moved = 0

    def move() -> None:
        nonlocal moved
        while moved < MOVES and not done.is_set():
            folder, number = ((other, 2), (model.root / "bundle", 1))[moved % 2]
            release(paths, "bench", folder, number)
            moved += 1
            time.sleep(0.6)  # the server looks twice a second: each is seen

    mover = threading.Thread(target=move)
    mover.start()
    failed = wrong = requests = 0
    while mover.is_alive():
        found = load(ask | {"seconds": 5, "rate": 0.4 * rate})
        failed, wrong = failed + found["failed"], wrong + found["wrong"]
        requests += found["requests"]
    mover.join()
    said = f"{failed} failed, {wrong} misattributed of {requests} requests"
    holds = not failed and not wrong
    return [Row(f"{moved} moves of the alias under load", said, "", "", "0 and 0", holds)]


def _killed(model: Released, ask: dict[str, Any], process: subprocess.Popen[bytes]) -> list[Row]:
    """What of the answers that clients got is on file after `kill -9` at full load."""
    from workbench.core.paths import Paths
    from workbench.storage.predictions.reading import scan

    paths = Paths(model.root, model.root / ".workbench")
    config = ask | {"seconds": 4}
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
        json.dump(config, file)
    client = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load", file.name],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(3)
    killed_s = time.time()
    process.send_signal(signal.SIGKILL)
    process.wait()
    client.kill()
    client.wait()
    times = [p.time_s for p in scan(paths, "bench", killed_s - 2.5, killed_s + 1)]
    lost_s = killed_s - max(times)
    said = f"the last {max(lost_s, 0):.2f} s of answers are not on file"
    return [Row("`kill -9` at full load", said, "", "", "<= 1 s", lost_s <= 1)]


if __name__ == "__main__":
    main()
