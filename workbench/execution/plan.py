"""What the next `dvc repro` will do, and why, computed without running anything.

`dvc status` cannot say it: after any edit it sees only the fingerprint stage. Here fingerprints
are computed in memory and compared with dvc.lock, and the run cache is asked as DVC asks it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from workbench.core.files import json_bytes
from workbench.core.fingerprint import Fingerprint, changes, fingerprint_all, read
from workbench.core.params import read_params, require_parts
from workbench.core.paths import Paths
from workbench.core.reads import check_reads
from workbench.execution.damage import damages
from workbench.execution.dvcfiles import (
    Cache,
    DvcStage,
    Hashes,
    feeds,
    is_in,
    locked,
    param,
    read_lock,
    read_stages,
    read_yaml,
)

INSTALLED = "installed packages or Python changed, which DVC does not see"
"""Why the fingerprint stage has to be forced: none of its inputs is a file that changed."""

Action = Literal["run", "restore", "may run", "up to date"]


@dataclass(frozen=True)
class Step:
    """What happens to one stage in the next run.

    action: `run`; `restore` from DVC's cache, without running; `may run`, where only the data that
    a stage before it gives will tell; or nothing. reasons: sentences, most telling first.
    """

    name: str
    action: Action
    reasons: tuple[str, ...] = ()


@dataclass
class _State:
    """What is known while stages are gone through in order.

    hashes: of outputs after the next run, by path; None where only running would tell.
    """

    paths: Paths
    params: Mapping[str, Any]
    lock: Mapping[str, Any]
    disk: Hashes
    cache: Cache
    codes: Mapping[tuple[str, str], Fingerprint]
    after: dict[str, str | None] = field(default_factory=dict)


def plan(paths: Paths, settings: Path | None = None) -> list[Step]:
    """Return a step for each stage of dvc.yaml, in the order of the next run.

    settings: another file in the place of params.yaml, for what a run would do if it stood there.
    Raises ParamsError, PipelineError or StateError where a run would stop at once, or would
    restore what is damaged.
    """
    file = settings or paths.params
    checked = read_params(file)
    for pipeline in checked.pipelines:
        require_parts(checked, pipeline)
    params = read_yaml(file)
    codes = fingerprint_all(paths.root, checked.pipelines)
    for pipeline in checked.pipelines:
        check_reads(checked, pipeline, paths.notebook(pipeline))
    state = _State(
        paths=paths,
        params=params,
        lock=read_lock(paths.dvc_lock),
        disk=Hashes(paths.root, paths.root / ".workbench" / "hashes.json"),
        cache=Cache(paths.root),
        codes=codes,
    )
    stages = read_stages(paths.dvc_yaml, params)
    steps = [_step(stage, stages, state) for stage in stages]
    state.disk.keep()
    return steps


def _step(stage: DvcStage, stages: list[DvcStage], state: _State) -> Step:
    entry = state.lock.get(stage.name)
    reasons, waits = _reasons(stage, entry, state)
    deps = {dep: _now(dep, state) for dep in stage.deps}
    if stage.name == "fingerprint":
        return _fingerprint_step(stage, entry, deps, reasons, state)
    if not reasons and not waits:
        return Step(stage.name, "up to date")
    if any(md5 is None for md5 in deps.values()):
        state.after.update(dict.fromkeys(stage.outs))
        upstream = ", ".join(s.name for s in stages if feeds(s, stage) and _unsure(s, state))
        if not reasons:
            said = (f"if {upstream} gives other data than before",)
            return Step(stage.name, "may run", said)
        if _may_restore(stage, entry, deps, state):
            said = (*reasons, f"restored if {upstream} gives data that DVC has seen")
            return Step(stage.name, "may run", said)
        return Step(stage.name, "run", (*reasons, *(f"{dep} may change" for dep in waits)))
    earlier = _earlier(stage, entry, deps, state)
    if earlier is not None:
        for damage in damages(state.cache, earlier):
            raise damage.error(state.paths.root)
        state.after.update(earlier)
        return Step(stage.name, "restore", reasons)
    state.after.update(dict.fromkeys(stage.outs))
    return Step(stage.name, "run", reasons)


def _reasons(
    stage: DvcStage, entry: Mapping[str, Any] | None, state: _State
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Why the stage is certain to be looked at, and which inputs only a run can tell."""
    if entry is None:
        return ("it has never run here",), ()
    reasons: list[str] = []
    if entry.get("cmd") != stage.cmd:
        reasons.append("its command in dvc.yaml changed")
    known = (entry.get("params") or {}).get("params.yaml") or {}
    for key in stage.params:
        now = param(state.params, key)
        if key not in known or known[key] != now:
            reasons += _param_changes(key, known.get(key), now)
    before = locked(entry, "deps")
    waits: list[str] = []
    for dep in stage.deps:
        now = _now(dep, state)
        if dep not in before:
            reasons.append(f"{dep} is a new input")
        elif now is None and _made_by_run(dep, state):
            waits.append(dep)
        elif now != before[dep]:
            reasons += _dep_changes(dep, before[dep], stage, state)
    outs = locked(entry, "outs")
    for out in stage.outs:
        on_disk = state.disk.of(out)
        if on_disk is None:
            kept = out in stage.in_git or out not in outs or state.cache.has(outs[out])
            pull = "" if kept else ", also from the cache: `dvc pull` brings what was pushed"
            reasons.append(f"its output {out} is missing{pull}")
        elif on_disk != outs.get(out):
            reasons.append(f"its output {out} was changed by hand")
        elif out not in stage.in_git and not state.cache.has(on_disk):
            reasons.append(f"its output {out} is not in DVC's cache")
    return tuple(reasons), tuple(waits)


def _now(dep: str, state: _State) -> str | None:
    """Hash of an input as the stage will find it; None where only a run can tell."""
    made = [out for out in state.after if is_in(dep, out)]
    if not made:
        return state.disk.of(dep)
    if dep in state.after:
        return state.after[dep]
    return None if state.after[made[0]] is None else state.disk.of(dep)


def _made_by_run(dep: str, state: _State) -> bool:
    return any(is_in(dep, out) for out in state.after)


def _unsure(stage: DvcStage, state: _State) -> bool:
    return any(out in state.after and state.after[out] is None for out in stage.outs)


def _fingerprint_step(
    stage: DvcStage,
    entry: Mapping[str, Any] | None,
    deps: Mapping[str, str | None],
    reasons: tuple[str, ...],
    state: _State,
) -> Step:
    """The first stage's outputs are computed here, so that what follows is certain."""
    for (name, pipeline), code in state.codes.items():
        path = state.paths.fingerprint(name, pipeline).relative_to(state.paths.root).as_posix()
        content = json_bytes(code)
        state.after[path] = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if reasons:
        earlier = _earlier(stage, entry, deps, state)
        if earlier is None:
            return Step(stage.name, "run", reasons)
        if state.cache.files(earlier) == state.after:
            return Step(stage.name, "restore", reasons)
        # DVC would bring back what the same code meant under other packages.
        return Step(stage.name, "run", (*reasons, INSTALLED))
    if any(state.disk.of(path) != md5 for path, md5 in state.after.items()):
        return Step(stage.name, "run", (INSTALLED,))
    return Step(stage.name, "up to date")


def _dep_changes(dep: str, before: str, stage: DvcStage, state: _State) -> list[str]:
    """Say what changed in an input; for code, which function."""
    if not dep.startswith("fingerprints/"):
        return [f"{dep} changed"]
    name, pipeline = dep.removesuffix(".json").split("/")[1:]
    if name != stage.stage:  # the candidate records the code of the stages before it
        return [f"the code of {name}@{pipeline} changed"]
    old = read(state.cache.object(before))
    said = changes(old, state.codes[name, pipeline]) if old else []
    return said or [f"the code of {stage.name} changed"]


def _param_changes(key: str, old: Any, new: Any) -> list[str]:
    """Name the innermost settings that differ."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        found: list[str] = []
        for name in sorted({*old, *new}):
            if old.get(name) != new.get(name):
                found += _param_changes(f"{key}.{name}", old.get(name), new.get(name))
        return found
    return [f"{key} was {old}, is {new}"]


def _earlier(
    stage: DvcStage, entry: Mapping[str, Any] | None, deps: Mapping[str, str | None], state: _State
) -> dict[str, str] | None:
    """Outputs that DVC restores instead of running the stage, by path."""
    if entry is not None and _fits(entry, stage, deps, state):
        outs = locked(entry, "outs")
        if all(outs.get(out) for out in stage.outs):
            # DVC then looks no further than dvc.lock.
            kept = {out: outs[out] for out in stage.outs}
            return kept if all(state.cache.has(md5) for md5 in kept.values()) else None
    run: dict[str, Any] = {"cmd": stage.cmd}
    run["deps"] = [{"path": path, "hash": "md5", "md5": deps[path]} for path in sorted(deps)]
    if stage.params:
        run["params"] = {"params.yaml": {k: param(state.params, k) for k in sorted(stage.params)}}
    run["outs"] = sorted(stage.outs)
    return state.cache.earlier_run(run)


def _may_restore(
    stage: DvcStage, entry: Mapping[str, Any] | None, deps: Mapping[str, str | None], state: _State
) -> bool:
    """Whether DVC knows the outputs for some content of those inputs that only a run can tell."""
    runs = (*([entry] if entry else ()), *state.cache.runs(stage.cmd))
    for run in runs:
        outs = locked(run, "outs")
        is_kept = all(state.cache.has(md5) for md5 in outs.values())
        if _fits(run, stage, deps, state) and set(outs) == set(stage.outs) and is_kept:
            return True
    return False


def _fits(
    run: Mapping[str, Any], stage: DvcStage, deps: Mapping[str, str | None], state: _State
) -> bool:
    """Whether an earlier run had this command, these params and these inputs; None fits any."""
    known = locked(run, "deps")
    params = (run.get("params") or {}).get("params.yaml") or {}
    return (
        run.get("cmd") == stage.cmd
        and known.keys() == deps.keys()
        and all(md5 in (None, known[dep]) for dep, md5 in deps.items())
        and all(key in params and params[key] == param(state.params, key) for key in stage.params)
    )
