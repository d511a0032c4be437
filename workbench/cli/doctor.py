"""What `workbench doctor` looks at, each finding with what mends it."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from workbench.core.errors import MissingError, WorkbenchError
from workbench.core.paths import Paths, find_paths
from workbench.core.secrets import masked

PACKAGES = (
    "dvc",
    "mlflow",
    "torch",
    "onnxruntime",
    "duckdb",
    "ibis-framework",
    "marimo",
    "streamlit",
)
RAPL = Path("/sys/class/powercap/intel-rapl:0/energy_uj")


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `note`: works without it, but something is missing."""

    what: str
    state: Literal["good", "note", "bad"]
    found: str
    fix: str = ""


def examine() -> list[Finding]:
    """Look at machine, environment and checkout; nothing is changed."""
    found = [*_machine(), *_energy(), *_packages()]
    try:
        paths = find_paths()
    except MissingError as error:
        return [*found, Finding("checkout", "bad", error.problem, error.fix or "")]
    return [*found, *_checkout(paths), *_state(paths), *_ports()]


def _machine() -> Iterator[Finding]:
    ok = (3, 11) <= sys.version_info[:2] < (3, 14)
    yield Finding(
        "Python",
        "good" if ok else "bad",
        platform.python_version(),
        "" if ok else "make an environment with Python 3.11 to 3.13: make PYTHON=python3.12 repro",
    )
    cores = os.cpu_count() or 1
    yield Finding("processor cores", "good", str(cores))
    memory = _memory_bytes()
    if memory:
        low = memory < 4e9
        yield Finding(
            "memory",
            "note" if low else "good",
            f"{memory / 1e9:.1f} GB",
            "set `engine: {memory_limit: 1GB}` in params.yaml" if low else "",
        )
    free = shutil.disk_usage(Path.cwd()).free
    low = free < 5e9
    yield Finding(
        "free disk",
        "note" if low else "good",
        f"{free / 1e9:.0f} GB",
        "dvc gc --workspace removes old data; `workbench runs` shows what is kept" if low else "",
    )


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _energy() -> Iterator[Finding]:
    if shutil.which("nvidia-smi"):
        yield Finding("GPU", "good", "an NVIDIA driver is installed")
    else:
        yield Finding("GPU", "note", "none found; everything runs on the processor")
    if not RAPL.exists():
        yield Finding(
            "energy counter (RAPL)",
            "note",
            "this machine has none (virtual machines rarely do)",
            "energy is modelled from processor time, with an interval",
        )
    else:
        yield Finding(
            "energy counter (RAPL)",
            "note",
            "there, but the meter does not read it yet",
            "energy is modelled from processor time, with an interval",
        )


def _packages() -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            yield Finding(name, "good", metadata.version(name))
        except metadata.PackageNotFoundError:
            optional = name in ("marimo", "streamlit")
            yield Finding(
                name,
                "note" if optional else "bad",
                "not installed",
                # Not `pip install`: that may move the versions that are pinned.
                "make .venv/dev" if optional else "make repro",
            )
    if not shutil.which("git"):
        yield Finding(
            "git", "bad", "not installed", "install Git; commits are how a run is found again"
        )


def _checkout(paths: Paths) -> Iterator[Finding]:
    from workbench.core.check import check
    from workbench.core.params import read_params
    from workbench.execution.plan import plan

    try:
        params = read_params(paths.params)
    except WorkbenchError as error:
        yield Finding("params.yaml", "bad", error.problem, error.fix or "")
        return
    yield Finding("params.yaml", "good", f"pipelines: {', '.join(params.pipelines)}")
    try:
        problems = check(paths.root, params)
        yield Finding(
            "pipelines",
            "bad" if problems else "good",
            str(problems[0]) if problems else "every one keeps the contract",
            "workbench check" if problems else "",
        )
    except WorkbenchError as error:  # a notebook that is no Python
        yield Finding("pipelines", "bad", error.problem, error.fix or "")
    if params.site.grid_g_per_kwh is None:
        yield Finding(
            "grid",
            "note",
            "not set: carbon is not computed",
            "set `site: grid_g_per_kwh` in params.yaml, with its source",
        )
    if params.site.electricity_usd_per_kwh is None:
        yield Finding(
            "prices",
            "note",
            "not set: cost is not computed",
            "set `site: electricity_usd_per_kwh` and `hardware_usd_per_hour`",
        )
    try:
        waiting = [s.name for s in plan(paths) if s.action != "up to date"]
        yield Finding(
            "next run",
            "good",
            f"{len(waiting)} stages" if waiting else "nothing to do",
            "workbench repro" if waiting else "",
        )
    except WorkbenchError as error:
        yield Finding("next run", "bad", error.problem, error.fix or "")


def _state(paths: Paths) -> Iterator[Finding]:
    config = paths.root / ".dvc" / "config"
    text = config.read_text(encoding="utf-8") if config.is_file() else ""
    if not text:
        yield Finding("DVC", "bad", "this folder is no DVC project", "dvc init")
    elif "['remote" not in text:
        yield Finding(
            "DVC remote",
            "note",
            "none: data is only on this machine",
            "dvc remote add -d store FOLDER-OR-s3://BUCKET",
        )
    else:
        yield Finding("DVC remote", "good", "set")
    yield _cache(paths)
    yield Finding("tracking (MLflow)", "good", masked(paths.tracking_url))
    yield Finding("ledger", "good", masked(paths.ledger_url))


def _cache(paths: Paths) -> Finding:
    """Reads all that dvc.lock names: DVC trusts its cache without a look."""
    from workbench.execution.damage import damages
    from workbench.execution.dvcfiles import Cache, locked, read_lock

    try:
        stages = read_lock(paths.dvc_lock)
    except WorkbenchError as error:
        return Finding("DVC cache", "bad", error.problem, error.fix or "")
    cache = Cache(paths.root)
    for entry in stages.values():
        for damage in damages(cache, locked(entry, "outs")):
            error = damage.error(paths.root)
            return Finding("DVC cache", "bad", error.problem, error.fix or "")
    return Finding("DVC cache", "good", f"what {len(stages)} stages made is whole")


def _ports() -> Iterator[Finding]:
    from workbench.cli.up import PORTS

    for name, port in PORTS.items():
        with socket.socket() as probe:
            probe.settimeout(0.2)
            taken = probe.connect_ex(("127.0.0.1", port)) == 0
        yield Finding(
            f"port {port} ({name})",
            "note" if taken else "good",
            "in use" if taken else "free",
            f"`workbench up` is running, or another program has it: --{name}-port" if taken else "",
        )
