"""A released model to be served in benchmarks: 30 named columns, an MLP of 64-64, two classes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COLUMNS = 30
ROWS = 2000
SERVE = """
import sys
from pathlib import Path
from workbench.core.paths import Paths
from workbench.serving.server import listen, serve

root = Path(sys.argv[1])
listening = listen(port=int(sys.argv[2]))
serve(Paths(root, root / ".workbench"), listening)
"""


@dataclass(frozen=True)
class Released:
    """A checkout with one release. rows: distinct; wanted: the bundle's own score of each."""

    root: Path
    rows: list[dict[str, float]]
    wanted: list[float]

    @property
    def model(self) -> Path:
        return next(self.root.glob(".workbench/bundles/*/model.onnx"))


def released() -> Released:
    """A checkout with release 1."""
    from tests.serving.bundles import release
    from workbench.core.paths import Paths

    root = Path(tempfile.mkdtemp())
    rows, wanted = exported(root / "bundle", seed=0)
    release(Paths(root, root / ".workbench"), "bench", root / "bundle")
    return Released(root, rows, wanted)


def exported(folder: Path, seed: int) -> tuple[list[dict[str, float]], list[float]]:
    """Write a bundle; its rows and its score of each.

    Nothing is trained, but it is exported truly: random weights serve as well as learnt ones.
    """
    import numpy as np
    import pyarrow as pa
    import torch

    from workbench.core.files import write_json
    from workbench.core.records import VERSION, Signature
    from workbench.data.examples import Spec
    from workbench.data.fitted import fit
    from workbench.serving.session import Bundle
    from workbench.storage.bundle import seal
    from workbench.training.columns import MLP
    from workbench.training.export import export_onnx
    from workbench.training.served import default_served

    rng = np.random.default_rng(0)
    names = [f"feature_{n:02}" for n in range(COLUMNS)]
    values = rng.normal(size=(ROWS, COLUMNS)).round(4)
    table = pa.table(
        {name: values[:, n] for n, name in enumerate(names)} | {"label": values[:, 0] > 0}
    )
    fitted = fit(table, Spec(("id",), dict.fromkeys(names, "number"), "binary", ("label",)))
    torch.manual_seed(seed)
    served = default_served(MLP(fitted, hidden=[64, 64]), fitted, "none")
    folder.mkdir(parents=True)
    first = torch.tensor(values[:2], dtype=torch.float32)
    example = {name: first[:, n] for n, name in enumerate(names)}
    export_onnx(
        served.module, example, served.inputs, served.outputs, fitted, folder / "model.onnx"
    )
    rows = [dict(zip(names, map(float, row), strict=True)) for row in values]
    signature = Signature(
        version=VERSION,
        pipeline="bench",
        interface="tabular",
        task="binary",
        inputs=served.inputs,
        outputs=served.outputs,
        threshold=0.5,
        example=rows[0],
    )
    write_json(folder / "signature.json", signature)
    seal(folder)
    bundle = Bundle(folder)
    score = bundle.predict({name: values[:, n].astype(np.float32) for n, name in enumerate(names)})
    return rows, score["score"].tolist()


def cpu_s(pid: int) -> float:
    """Processor seconds of a process and its children that still run."""
    import psutil

    process = psutil.Process(pid)
    used = sum(process.cpu_times()[:2])
    return used + sum(sum(child.cpu_times()[:2]) for child in process.children(recursive=True))


def memory_mb(pid: int) -> float:
    """Resident memory of a process and its children, in MB."""
    import psutil

    process = psutil.Process(pid)
    return sum(p.memory_info().rss for p in (process, *process.children(recursive=True))) / 1e6


def start(root: Path, port: int) -> subprocess.Popen[bytes]:
    """The workbench's own server."""
    return subprocess.Popen([sys.executable, "-c", SERVE, str(root), str(port)])


def until_ready(url: str, process: subprocess.Popen[bytes], limit_s: float = 120) -> float:
    """Seconds from here until `url` answers 200."""
    import httpx

    began = time.perf_counter()
    while time.perf_counter() - began < limit_s:
        if process.poll() is not None:
            raise RuntimeError(f"the server of {url} ended with {process.returncode}")
        try:
            if httpx.get(url, timeout=2).status_code == 200:
                return time.perf_counter() - began
        except httpx.HTTPError:
            pass
        time.sleep(0.02)
    raise RuntimeError(f"nothing answers at {url}")


def load(config: dict[str, Any]) -> dict[str, Any]:
    """Run the client in a process of its own; what it found."""
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
        json.dump(config, file)
    command = [sys.executable, "-m", "benchmarks.load", file.name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)
