"""Serving one small model: ours with everything on, and other servers, in one run.

Processor time of the whole server by request (the steady measure on a shared machine), 32
connections, another row in every request, every answer compared. BENCH_PEERS chooses among the
others (default: hello,mlflow,mlserver,bentoml,litserve); each is installed in an environment of
its own the first time, below `.workbench/peers`. Ours and each other are measured in turn, twice,
so that a machine that changes its speed changes both.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, Row, show
from benchmarks.served import SERVE, Released, cpu_s, load, memory_mb, released, until_ready

PEERS = os.environ.get("BENCH_PEERS", "hello,mlflow,mlserver,bentoml,litserve").split(",")
SECONDS = float(os.environ.get("BENCH_SECONDS", "6"))
HERE = Path(__file__).parent / "peers"
TIMES = {"mlserver": 10, "mlflow": 15, "bentoml": 20, "litserve": 20}
"""How many times our processor time each of them is to need at least."""


@dataclass(frozen=True)
class Server:
    """How a server is started and asked. body: of one row; find: what stands before the score."""

    command: list[str]
    ready: str
    path: str
    body: Callable[[dict[str, float]], Any]
    find: str
    env: dict[str, str] = field(default_factory=dict)
    cwd: Path = ROOT
    packages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Took:
    """us: processor time by request in microseconds. start_s: until it was ready."""

    us: float
    memory_mb: float
    start_s: float
    p50_ms: float
    p99_ms: float


def main() -> None:
    model = released()
    ours: list[Took] = []
    rows: list[Row] = []
    for name in PEERS:
        theirs: list[Took] = []
        for _ in range(2):
            theirs.append(_measured(name, model))
            ours.append(_measured("ours", model))
        us = statistics.median(took.us for took in ours[-2:])
        their = statistics.median(took.us for took in theirs)
        bound = TIMES.get(name)
        rows.append(
            Row(
                f"a request, processor time, against {name}",
                f"{us:.0f} us",
                f"{their:.0f} us, {theirs[-1].memory_mb:.0f} MB, {theirs[-1].start_s:.1f} s",
                f"{their / us:.1f}",
                f">= {bound} x ours" if bound else "",
                their >= bound * us if bound else None,
            )
        )
    us = statistics.median(took.us for took in ours)
    start_s, memory = min(took.start_s for took in ours), max(took.memory_mb for took in ours)
    binary = statistics.median(_measured("ours v2", model).us for _ in range(2))
    rows += [
        Row("a request of named fields", f"{us:.0f} us", "", "", "<= 55 us", us <= 55),
        Row("the same as v2 tensors in JSON", f"{binary:.0f} us", "", "", "", None),
        Row("memory", f"{memory:.0f} MB", "", "", "<= 150 MB", memory <= 150),
        Row("ready", f"{start_s:.2f} s", "", "", "<= 1.5 s", start_s <= 1.5),
        Row(
            "latency at full load, 32 connections",
            f"p50 {ours[-1].p50_ms:.1f}, p99 {ours[-1].p99_ms:.1f} ms",
            "",
            "",
            "",
            None,
        ),
    ]
    show("Serving one small model (30 columns, MLP 64-64), keys of this machine, log on", rows)


def _measured(name: str, model: Released) -> Took:
    """Start it, warm it up, load it; RuntimeError when any answer is wrong."""
    port = _free_port()
    server = _servers(name, model, port)
    with _running(server) as process:
        start_s = until_ready(server.ready, process)
        wanted = [0.5] * len(model.rows) if name == "hello" else model.wanted
        config = {
            "port": port,
            "path": server.path,
            "bodies": [server.body(row) for row in model.rows],
            "wanted": wanted,
            "find": server.find,
            "connections": 32,
        }
        load(config | {"seconds": 1})
        before = cpu_s(process.pid)
        found = load(config | {"seconds": SECONDS})
        used = cpu_s(process.pid) - before
        if found["failed"] or found["wrong"] or not found["requests"]:
            raise RuntimeError(f"{name}: {found}")
        us = used / found["requests"] * 1e6
        return Took(us, memory_mb(process.pid), start_s, found["p50_ms"], found["p99_ms"])


@contextmanager
def _running(server: Server) -> Iterator[subprocess.Popen[bytes]]:
    """The server's process, in a group of its own that is ended as a whole."""
    import signal

    environment = {**os.environ, **server.env}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            server.command,
            cwd=server.cwd,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            yield process
        except Exception:
            output.seek(0)
            sys.stderr.write(output.read().decode(errors="replace")[-3000:])
            raise
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _servers(name: str, model: Released, port: int) -> Server:
    """The server of that name for this model on this port."""
    at = f"http://127.0.0.1:{port}"
    path = {"BENCH_MODEL": str(model.model)}

    def plain(row: dict[str, float]) -> Any:
        return row

    def tensors(row: dict[str, float]) -> Any:
        return {
            "inputs": [
                {"name": n, "shape": [1], "datatype": "FP32", "data": [v]} for n, v in row.items()
            ]
        }

    if name.startswith("ours"):
        command = [sys.executable, "-c", SERVE, str(model.root), str(port)]
        ready = f"{at}/v2/health/ready"
        if name == "ours v2":
            return Server(command, ready, "/v2/models/bench/infer", tensors, '"data":')
        return Server(command, ready, "/predict/bench", plain, '"score":')
    if name == "hello":
        command = [sys.executable, str(HERE / "hello.py"), str(port)]
        return Server(command, at, "/", plain, '"score":')
    if name == "mlflow":
        folder = _mlflow_model(model)
        command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder)]
        command += ["-p", str(port), "--env-manager", "local", "-w", "1"]
        return Server(
            command,
            f"{at}/ping",
            "/invocations",
            lambda row: {"dataframe_records": [row]},
            '"score":',
            {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        )
    home = _environment(name)
    if name == "bentoml":
        command = [str(home / "bentoml"), "serve", "bento:Bench", "-p", str(port)]
        return Server(
            command,
            f"{at}/readyz",
            "/predict",
            lambda row: {"row": row},
            '"score":',
            path | {"BENTOML_DO_NOT_TRACK": "True"},
            HERE,
        )
    if name == "litserve":
        command = [str(home / "python"), "lit.py", str(port)]
        return Server(command, f"{at}/health", "/predict", plain, '"score":', path, HERE)
    folder = Path(tempfile.mkdtemp())
    (folder / "settings.json").write_text(
        json.dumps(
            {
                "http_port": port,
                "grpc_port": _free_port(),
                "metrics_port": _free_port(),
                "parallel_workers": 0,
                "host": "127.0.0.1",
            }
        )
    )
    (folder / "model-settings.json").write_text(
        json.dumps({"name": "bench", "implementation": "mlserver_model.Bench"})
    )
    return Server(
        [str(home / "mlserver"), "start", str(folder)],
        f"{at}/v2/models/bench/ready",
        "/v2/models/bench/infer",
        tensors,
        '"data":',
        path | {"PYTHONPATH": str(HERE)},
    )


def _mlflow_model(model: Released) -> Path:
    import onnx
    from mlflow import onnx as flavour  # type: ignore[attr-defined]

    folder = Path(tempfile.mkdtemp()) / "model"
    options = {"intra_op_num_threads": 1, "inter_op_num_threads": 1}
    flavour.save_model(
        onnx.load(str(model.model)),
        folder,
        onnx_session_options=options,
        onnx_execution_providers=["CPUExecutionProvider"],
    )
    return folder


def _environment(name: str) -> Path:
    """The `bin` of the environment of a peer, made the first time."""
    home = ROOT / ".workbench" / "peers" / name
    if not (home / "done").exists():
        print(f"installing {name} into {home}: minutes", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        pip = [str(home / "bin" / "python"), "-m", "pip", "install", "-q"]
        subprocess.run([*pip, name, "onnxruntime", "numpy"], check=True)
        (home / "done").touch()
    return home / "bin"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    main()
