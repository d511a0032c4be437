"""Python, packages against their pins, and the programs that a shell must find."""

from __future__ import annotations

import importlib.util
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from workbench.cli.doctor.finding import Finding, few
from workbench.core.paths import Paths

SHOWN = ("dvc", "mlflow", "torch", "onnxruntime", "duckdb")
"""Whose versions are asked for when somebody helps."""

DESK = ("marimo", "streamlit")
"""Notebooks and dashboards: `make up` installs them, the main job does without."""

_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;#]+)", re.M)


def here(program: str) -> str:
    """How a command of this environment is called, from the folder of the checkout."""
    if program.startswith("make"):
        return program
    folder = Path(sys.executable).parent
    try:
        return f"{folder.relative_to(Path.cwd())}/{program}"
    except ValueError:
        return f"{folder}/{program}"


def pinned(file: Path) -> dict[str, str]:
    """Versions by package that a requirements file holds still; empty without the file."""
    return dict(_PIN.findall(file.read_text(encoding="utf-8"))) if file.is_file() else {}


def python() -> Iterator[Finding]:
    """The version, and whether it is an environment of its own."""
    ok = (3, 11) <= sys.version_info[:2] < (3, 14)
    own = sys.prefix != sys.base_prefix
    where = f"in {Path(sys.prefix).name}" if own else "the system's own, no environment"
    yield Finding(
        "Python",
        "good" if ok else "bad",
        f"{platform.python_version()}, {where}",
        "" if ok else "make PYTHON=python3.12 repro",
        "3.11 to 3.13; its minor version is part of what a stage's code means",
    )


def packages(paths: Paths) -> Iterator[Finding]:
    """What runs a stage, against requirements.txt: others give other results."""
    wanted = pinned(paths.pins)
    if not wanted:
        fix = "git checkout requirements.txt"
        yield Finding("packages", "bad", "requirements.txt is missing or pins nothing", fix)
        return
    installed = {name: _version(name) for name in wanted}
    missing = [name for name, version in installed.items() if version is None]
    other = [
        f"{name} {version}, pinned is {wanted[name]}"
        for name, version in installed.items()
        # What follows + is the build of the same version: torch for processors or for GPUs.
        if version and version.split("+")[0] != wanted[name]
    ]
    mend = mending(paths)
    if missing:
        said = f"not installed: {few(missing)}"
        yield Finding("packages", "bad", said, mend, "stages, tracking and serving run on them")
    if other:
        said = f"other versions than pinned: {few(other)}"
        matters = "results may differ, and every stage runs again: versions are part of its meaning"
        yield Finding("package versions", "note", said, mend, matters)
    if not missing and not other:
        shown = ", ".join(f"{name} {installed[name]}" for name in SHOWN if installed.get(name))
        yield Finding("packages", "good", f"all {len(wanted)} as pinned ({shown})")


def extras() -> Iterator[Finding]:
    """What the main job does without."""
    missing = [name for name in DESK if importlib.util.find_spec(name) is None]
    yield Finding(
        "notebooks and dashboards",
        "note" if missing else "good",
        f"not installed: {', '.join(missing)}" if missing else _shown(DESK),
        "make .venv/dev" if missing else "",
        "the notebook editor and `workbench up`; not needed to train and release",
    )


def shell() -> Iterator[Finding]:
    """Whether `workbench` and `dvc`, as the documentation writes them, are those of here."""
    folder = Path(sys.executable).parent
    names = [name for name in ("workbench", "dvc") if (folder / name).exists()]
    found = {name: shutil.which(name) for name in names}
    lost = [f"`{name}`" for name, path in found.items() if path is None]
    other = [f"`{n}`" for n, path in found.items() if path and not _is_in(path, folder)]
    said = [f"does not find {' and '.join(lost)}"] if lost else []
    said += [f"finds another {' and '.join(other)} than this environment's"] if other else []
    if said and (folder / "activate").exists():
        yield Finding(
            "your shell",
            "note",
            "; ".join(said),
            f". {here('activate')}",
            f"typing commands as they are written; until then {here('workbench')}",
        )
    if not shutil.which("make"):
        fix = "sudo apt install make   # Debian, Ubuntu; macOS: xcode-select --install"
        yield Finding("make", "note", "not installed", fix, "`make repro`, `make up`, `make test`")


def _is_in(program: str, folder: Path) -> bool:
    return folder.resolve() in (Path(program).parent.resolve(), Path(program).resolve().parent)


def _shown(names: tuple[str, ...]) -> str:
    return ", ".join(f"{name} {_version(name) or ''}".strip() for name in names)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def mending(paths: Paths) -> str:
    """The command that brings every package to its pin."""
    constraints = "-c constraints.txt " if (paths.root / "constraints.txt").is_file() else ""
    return f"{_install()} {constraints}-r requirements.txt"


def _install() -> str:
    """How packages come into this environment; one made by uv has no pip of its own."""
    if importlib.util.find_spec("pip") is None and shutil.which("uv"):
        return f"uv pip install --python {here('python')}"
    return f"{here('python')} -m pip install"
