"""What a stage's code means, as a small record that can be compared and explained."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.core.errors import PipelineError, did_you_mean
from workbench.core.fingerprint.contract import STAGE_FUNCTIONS, VERSION
from workbench.core.fingerprint.graph import Graph
from workbench.core.fingerprint.packages import versions
from workbench.core.fingerprint.source import Source

if TYPE_CHECKING:
    from workbench.core.fingerprint.names import Node
    from workbench.core.paths import Paths

ABSENT = "absent"
"""Hash of a contract function that the pipeline does not define."""


@dataclass(frozen=True)
class Fingerprint:
    """What the code of one stage of one pipeline means.

    digest: hash of all the rest. parts: binding (`module:name`) -> short hash of its meaning.
    packages: distribution -> installed version. python: minor version, as "3.11".
    """

    version: int
    stage: str
    pipeline: str
    digest: str
    python: str
    parts: dict[str, str]
    packages: dict[str, str]


def fingerprint(root: Path, stage: str, pipeline: str) -> Fingerprint:
    """Return the fingerprint of one stage, reading only the modules that it reaches.

    Raises PipelineError when there is no such stage or notebook, or a file is not Python.
    """
    return _fingerprint(Graph(Source(root)), stage, pipeline)


def fingerprint_all(root: Path, pipelines: Iterable[str]) -> dict[tuple[str, str], Fingerprint]:
    """Return the fingerprints of every stage of `pipelines` by (stage, pipeline)."""
    graph = Graph(Source(root))
    return {
        (stage, pipeline): _fingerprint(graph, stage, pipeline)
        for pipeline in pipelines
        for stage in STAGE_FUNCTIONS
    }


def _fingerprint(graph: Graph, stage: str, pipeline: str) -> Fingerprint:
    entries, parts = _entries(graph.source, stage, pipeline)
    reached = graph.reach(entries)
    for node in reached.nodes:
        text = graph.text(node, reached.keep)
        if text is not None:
            parts[":".join(node)] = hashlib.sha256(text.encode()).hexdigest()[:16]
    record = {
        "version": VERSION,
        "stage": stage,
        "pipeline": pipeline,
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "parts": dict(sorted(parts.items())),
        "packages": versions(reached.outside),
    }
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    return Fingerprint(digest=digest, **record)


def _entries(source: Source, stage: str, pipeline: str) -> tuple[list[Node], dict[str, str]]:
    """Return where a stage starts, and the contract functions that are left to their default."""
    if stage not in STAGE_FUNCTIONS:
        raise PipelineError(
            f"There is no stage '{stage}'.{did_you_mean(stage, STAGE_FUNCTIONS)}",
            fix="workbench --help",
        )
    library = source.load(f"workbench.stages.{stage}")
    if library is None or "run" not in library.bindings:
        raise PipelineError(
            f"workbench/stages/{stage}.py:1 defines no function `run`.",
            fix=f"restore it: git checkout workbench/stages/{stage}.py",
        )
    notebook = source.load(f"pipelines.{pipeline}")
    if notebook is None or notebook.package:
        known = sorted(path.stem for path in (source.root / "pipelines").glob("[!_]*.py"))
        raise PipelineError(
            f"pipelines/{pipeline}.py:1 does not exist.{did_you_mean(pipeline, known)}",
            fix=f"workbench new {pipeline}",
        )
    entries: list[Node] = [(library.name, "run")]
    absent: dict[str, str] = {}
    for function in STAGE_FUNCTIONS[stage]:
        if function in notebook.bindings:
            entries.append((notebook.name, function))
        else:
            absent[f"{notebook.name}:{function}"] = ABSENT
    return entries, absent


def changes(old: Fingerprint, new: Fingerprint) -> list[str]:
    """Say in sentences why `new` differs from `old`; empty when the meaning is the same."""
    said = []
    if old.version != new.version:
        said.append(f"the fingerprint's rules {old.version} became {new.version}")
    if old.python != new.python:
        said.append(f"Python {old.python} became {new.python}")
    before = {name: part for name, part in old.parts.items() if part != ABSENT}
    after = {name: part for name, part in new.parts.items() if part != ABSENT}
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            said.append(f"{name} added")
        elif name not in after:
            said.append(f"{name} removed")
        elif before[name] != after[name]:
            said.append(f"{name} changed")
    for name in sorted(old.packages.keys() | new.packages.keys()):
        was, now = old.packages.get(name), new.packages.get(name)
        if was is None:
            said.append(f"{name} {now} added")
        elif now is None:
            said.append(f"{name} {was} removed")
        elif was != now:
            said.append(f"{name} {was} became {now}")
    return said


def write_all(paths: Paths, pipelines: Iterable[str]) -> list[Path]:
    """Bring the fingerprint files up to date; return those written or removed.

    A file whose content stays is not touched, and files of vanished pipelines go.
    """
    from workbench.core import files

    changed: list[Path] = []
    wanted: set[Path] = set()
    for (stage, pipeline), made in fingerprint_all(paths.root, pipelines).items():
        path = paths.fingerprint(stage, pipeline)
        wanted.add(path)
        if read(path) != made:
            files.write_json(path, made)
            changed.append(path)
    folder = paths.fingerprint("any", "any").parents[1]
    for path in sorted(folder.glob("*/*.json")):
        if path not in wanted:
            path.unlink()
            changed.append(path)
    return changed


def read(path: Path) -> Fingerprint | None:
    """Return the fingerprint in a file; None when there is none or it is not one (any more)."""
    import msgspec

    from workbench.core import files

    try:
        return files.read_json(path, Fingerprint)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
