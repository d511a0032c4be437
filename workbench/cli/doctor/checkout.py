"""This checkout: settings, pipelines, the data they come from, and what the next run does."""

from __future__ import annotations

import hashlib
import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workbench.cli.doctor.finding import Finding, few, size
from workbench.core.paths import Paths

NEXT = "next run"
CHECKED_BYTES = 50e6
"""Largest source whose content is compared here; a run compares any."""


def lost(problem: str) -> Finding:
    """There is no checkout here; where there may be one."""
    near = [*sorted(Path.cwd().glob("*/params.yaml")), Path(__file__).parents[3] / "params.yaml"]
    found = next((file.parent for file in near if file.is_file()), None)
    fix = f"cd {shlex.quote(_from_here(found))}" if found else "cd FOLDER-WITH-params.yaml"
    return Finding("checkout", "bad", problem, fix, "commands work inside a checkout only")


def _from_here(folder: Path) -> str:
    here = Path.cwd()
    return str(folder.relative_to(here)) if folder.is_relative_to(here) else str(folder)


def settings(paths: Paths) -> Iterator[Finding]:
    """Whether params.yaml can be followed, by this machine too."""
    from workbench.cli.doctor.limits import usable_cores
    from workbench.core.params import read_params

    try:
        params = read_params(paths.params)
    except OSError as error:
        said = f"cannot be read: {error.strerror}"
        yield Finding("params.yaml", "bad", said, "git checkout params.yaml")
        return
    except UnicodeDecodeError:
        yield Finding("params.yaml", "bad", "is no text in UTF-8", "git checkout params.yaml")
        return
    names = few(params.pipelines, 6) or "none"
    yield Finding("params.yaml", "good", f"pipelines: {names}")
    cores = usable_cores()
    asked = {"engine.threads": params.engine.threads}
    asked |= {f"{name}.train.threads": block.train.threads for name, block in params.blocks.items()}
    many = [f"{key} is {threads}" for key, threads in asked.items() if threads > max(cores, 2)]
    if many:
        yield Finding(
            "threads",
            "note",
            f"{few(many)}, and {cores} can work here",
            f"edit params.yaml: {many[0].split()[0].rpartition('.')[2]}: {cores}",
            "more threads than cores only wait for each other",
        )


def pipelines(paths: Paths) -> Iterator[Finding]:
    """Whether every notebook keeps the contract; the library's own code is left to lint."""
    from workbench.core.check import check
    from workbench.core.params import read_params

    problems = check(paths.root, read_params(paths.params), ("pipelines",))
    yield Finding(
        "pipelines",
        "bad" if problems else "good",
        str(problems[0]) if problems else "every one keeps the contract",
        "workbench check" if problems else "",
        "a broken notebook stops a run before it begins",
    )


def sources(paths: Paths) -> Iterator[Finding]:
    """Whether the files that pipelines were begun from are still there, and the same."""
    from workbench.core.params import read_params

    for name, block in read_params(paths.params).blocks.items():
        source = (block.collect.model_extra or {}).get("source")
        if isinstance(source, dict) and isinstance(source.get("where"), str):
            yield _source(paths, name, source)


def _source(paths: Paths, name: str, source: dict[str, Any]) -> Finding:
    what, where = f"data of {name}", source["where"]
    matters = "needed when it is collected anew; what was collected before stays"
    again = f"workbench refresh {name}"
    if "://" in where and not where.startswith("sqlite:///"):
        return Finding(what, "good", "a database, asked only when it is collected", "", matters)
    file = paths.root / where.removeprefix("sqlite:///")
    collected = paths.stage("collect", name).is_dir()
    if not file.exists():
        said = f"{where} is gone"
        fix = f"{again} --data FILE"
        return Finding(what, "note" if collected else "bad", said, fix, matters)
    try:
        with file.open("rb") as content:
            small = file.stat().st_size <= CHECKED_BYTES and source.get("format") != "database"
            digest = hashlib.file_digest(content, "sha256").hexdigest() if small else ""
    except OSError as error:
        fix = f"chmod u+r {shlex.quote(str(file))}"
        return Finding(what, "bad", f"{where} cannot be read: {error.strerror}", fix, matters)
    if digest and digest != source.get("sha256"):
        said = f"{where} has changed since it was pinned"
        return Finding(what, "note" if collected else "bad", said, again, matters)
    there = f"{where}, {size(file.stat().st_size)}"
    return Finding(what, "good", there if digest else f"{there}, content not compared", "", matters)


def next_run(paths: Paths) -> Iterator[Finding]:
    """How many stages the next run looks at."""
    from workbench.execution.plan import plan

    waiting = [step.name for step in plan(paths) if step.action != "up to date"]
    said = f"{len(waiting)} stage{'s' if len(waiting) != 1 else ''} to run: {few(waiting)}"
    yield Finding(
        NEXT,
        "good",
        said if waiting else "nothing to do",
        "workbench repro" if waiting else "",
        "`workbench status` says why, stage by stage",
    )


def rights(paths: Paths) -> Iterator[Finding]:
    """Whether you may write here, and others may not read what is private."""
    if not os.access(paths.root, os.W_OK | os.X_OK):
        fix = f'sudo chown -R "$(id -un)" {shlex.quote(str(paths.root))}'
        yield Finding("this folder", "bad", "you may not write here", fix, "a run writes here")
    home = paths.home
    if not home.exists():
        return
    shown = shlex.quote(_from_here(home))
    matters = "it holds passports of predictions, tokens, databases"
    if not home.is_dir():
        said = f"{shown} is a file, and a folder is needed"
        yield Finding(".workbench", "bad", said, f"mv {shown} {shown}.before", matters)
        return
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        fix = f'sudo chown -R "$(id -un)" {shown} && chmod 700 {shown}'
        yield Finding(".workbench", "bad", "you may not write in it", fix, matters)
        return
    mode = stat.S_IMODE(home.stat().st_mode)
    if mode & 0o077:
        said = f"other accounts of this machine may look into it (rights {mode:o})"
        matters += "; leave it where a team shares it on purpose"
        yield Finding(".workbench", "note", said, f"chmod 700 {shown}", matters)
    else:
        yield Finding(".workbench", "good", "private to you", "", matters)
