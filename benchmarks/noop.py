"""A run with nothing to do: ours against plain DVC with the same stages, outputs and sources."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from benchmarks.checkouts import clone, environment
from benchmarks.measure import Row, alternate, once, show


def plain_project(checkout: Path) -> None:
    """Turn a finished clone into plain DVC: stages depend on source files, not on fingerprints."""
    path = checkout / "dvc.yaml"
    content = yaml.safe_load(path.read_text())
    del content["stages"]["fingerprint"]
    for name, stage in content["stages"].items():
        kept = [d for d in stage["deps"] if not d.startswith("fingerprints/")]
        stage["deps"] = [*kept, "pipelines", f"workbench/stages/{name}.py"]
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    subprocess.run([sys.executable, "-m", "dvc", "commit", "-q", "-f"], cwd=checkout, check=True)


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    ours, plain = clone(folder / "ours"), folder / "plain"
    once([sys.executable, "-m", "workbench.cli.main", "repro"], cwd=ours, env=environment(ours))
    subprocess.run(["cp", "-r", str(ours), str(plain)], check=True)
    plain_project(plain)
    dvc = (sys.executable, "-m", "dvc", "repro")
    measured = {}
    for kind, where in (("ours", ours), ("plain", plain)):
        measured[kind] = alternate({kind: dvc}, cwd=where, env=environment(where))[kind]
    ratio = measured["ours"].cpu_s / measured["plain"].cpu_s
    show(
        "`dvc repro` with nothing to do",
        [
            Row(
                "processor time, against plain DVC with the same stages",
                f"{measured['ours'].cpu_s:.2f} s",
                f"{measured['plain'].cpu_s:.2f} s",
                f"{ratio:.2f}",
                "<= 1.3",
                ratio <= 1.3,
            ),
        ],
    )


if __name__ == "__main__":
    main()
