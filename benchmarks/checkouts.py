"""Clones to measure in: what Git tracks, in a folder of its own, with this environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.measure import ROOT

BIN = Path(sys.executable).parent


def clone(target: Path) -> Path:
    """Clone the committed state of this checkout to `target`, compiled as `make` leaves it."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(target)], check=True)
    compiled = [sys.executable, "-m", "compileall", "-q", str(target / "workbench")]
    subprocess.run(compiled, check=True)
    return target


def environment(folder: Path) -> dict[str, str]:
    """Environment in which `python`, `dvc` and `workbench` are these, on that clone's code."""
    return {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(folder),
        "WORKBENCH_HOME": str(folder / ".workbench"),
    }
