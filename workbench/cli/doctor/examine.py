"""Everything that is looked at, in the order in which it is shown; one failure stops no other."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from workbench.cli.doctor import checkout, energy, gpu, history, machine, ports, software
from workbench.cli.doctor import stores as store
from workbench.cli.doctor.finding import Finding, Look
from workbench.cli.doctor.software import here
from workbench.core.errors import MissingError, WorkbenchError
from workbench.core.paths import Paths, find_paths
from workbench.core.secrets import masked

PATIENCE_S = 2.2
"""How long is waited for what is out of this machine's hands: servers, mounted disks, drivers."""


@dataclass(frozen=True)
class Part:
    """One look. what: its name where it fails. is_needed: the main job stops where it refuses.

    after: what must not be bad, else the same would be said twice. waits_s: it may have to wait
    for others and is begun first, aside; given up after so long.
    """

    group: str
    what: str
    look: Look
    is_needed: bool = False
    after: tuple[str, ...] = ()
    waits_s: float = 0.0


def examine(tell: Callable[[str], None] = lambda _: None, *, full: bool = False) -> list[Finding]:
    """Look at machine, environment and checkout; nothing is changed.

    tell: is given what is looked at now. full: all of DVC's cache is read, however long it takes.
    """
    try:
        paths, lost = find_paths(), None
    except MissingError as error:
        paths, lost = None, checkout.lost(error.problem)
    listed = list(parts(paths, full=full))
    begun = {part.what: _Aside(part, paths) for part in listed if part.waits_s}
    found: list[Finding] = []
    for part in listed:
        tell(part.group)
        if any(one.state == "bad" and one.what in part.after for one in found):
            continue
        now = begun[part.what].findings() if part.what in begun else looked(part, paths)
        known = {(one.found, one.state) for one in found if one.state != "good"}
        found += [one for one in now if not {(one.found, one.state), (one.found, "bad")} & known]
    return [*found, *([replace(lost, group="this checkout")] if lost else [])]


def parts(paths: Paths | None, *, full: bool = False) -> Iterator[Part]:
    """Every look there is; without a checkout those at the machine."""
    mine = "machine"
    yield Part(mine, "processor", machine.processor)
    yield Part(mine, "memory", machine.memory)
    yield Part(mine, "disk", partial(machine.disk, paths), waits_s=PATIENCE_S)
    yield Part(mine, "GPU", gpu.gpu, waits_s=gpu.TORCH_S + 1)
    yield Part(mine, "clock", partial(machine.clock, paths))
    yield Part("energy", "processor counter", energy.processor_counter)
    yield Part("energy", "GPU counter", energy.gpu_counter, waits_s=PATIENCE_S)
    if paths:
        yield Part("energy", "grid and prices", partial(energy.site, paths))
    yield Part("software", "Python", software.python)
    if paths:
        yield Part("software", "packages", partial(software.packages, paths))
    yield Part("software", "notebooks and dashboards", software.extras)
    yield Part("software", "your shell", software.shell)
    if paths:
        yield from _of_checkout(paths, full=full)
    yield Part("ports", "ports", ports.ports)


def _of_checkout(paths: Paths, *, full: bool) -> Iterator[Part]:
    mine, team = "this checkout", "state and team"
    yield Part(mine, "params.yaml", partial(checkout.settings, paths), is_needed=True)
    read, kept = ("params.yaml",), ("params.yaml", "pipelines")
    notebooks = partial(checkout.pipelines, paths)
    yield Part(mine, "pipelines", notebooks, is_needed=True, after=read)
    yield Part(mine, "data", partial(checkout.sources, paths), after=read, waits_s=PATIENCE_S)
    yield Part(mine, checkout.NEXT, partial(checkout.next_run, paths), is_needed=True, after=kept)
    yield Part(mine, "Git", partial(history.git, paths))
    yield Part(mine, ".workbench", partial(checkout.rights, paths))
    yield Part(team, "DVC", partial(_dvc, paths))
    yield Part(team, "DVC remote", partial(_remote, paths), after=read, waits_s=PATIENCE_S)
    yield Part(team, "DVC cache", partial(_cache, paths, whole=full), is_needed=True)
    yield Part(team, "tracking (MLflow)", partial(store.tracking, paths), waits_s=PATIENCE_S)
    yield Part(team, "ledger", partial(store.ledger, paths), waits_s=PATIENCE_S)


# Imported by who looks, so that a missing YAML reader is a finding of theirs and stops no other.


def _dvc(paths: Paths) -> Iterable[Finding]:
    from workbench.cli.doctor import data

    return data.project(paths)


def _remote(paths: Paths) -> Iterable[Finding]:
    from workbench.cli.doctor import data

    return data.remote(paths)


def _cache(paths: Paths, *, whole: bool) -> Iterable[Finding]:
    from workbench.cli.doctor import data

    return data.cache(paths, whole=whole)


def advice(findings: list[Finding]) -> str:
    """What to do first, in one line."""
    bad = [one for one in findings if one.state == "bad"]
    if bad:
        count = f"{len(bad)} thing{'s stop' if len(bad) > 1 else ' stops'} you"
        return f"{count}. First, {bad[0].what}: {bad[0].fix or bad[0].found}"
    notes = sum(one.state == "note" for one in findings)
    rest = f" ({notes} note{'s' if notes > 1 else ''} above can wait)" if notes else ""
    waiting = any(one.what == checkout.NEXT and one.fix for one in findings)
    if not waiting:
        return f"All is up to date: workbench up shows it{rest}"
    make = shutil.which("make") and os.path.exists("Makefile")
    there = shutil.which("workbench")
    return f"You can start: {'make repro' if make else _repro(there)}{rest}"


def _repro(there: str | None) -> str:
    return "workbench repro" if there else f"{here('python')} -m workbench.cli.main repro"


def looked(part: Part, paths: Paths | None) -> list[Finding]:
    """What one look finds; what it refuses, or did not foresee, becomes a finding too."""
    found: list[Finding] = []
    try:
        for one in part.look():
            found.append(replace(one, group=part.group))
    except WorkbenchError as error:
        state = "bad" if part.is_needed else "note"
        said = Finding(part.what, state, error.problem, error.fix or "", error.kept or "")
        found.append(replace(said, group=part.group))
    except Exception as error:
        if os.environ.get("WORKBENCH_DEBUG"):
            raise
        found.append(_unforeseen(part, error, paths))
    return found


def _unforeseen(part: Part, error: Exception, paths: Paths | None) -> Finding:
    if isinstance(error, ModuleNotFoundError) and error.name:
        said = f"needs {error.name}, which is not installed"
        fix = software.mending(paths) if paths else "make repro"
    else:
        reason = masked(" ".join(str(error).split()))[:200]
        said = f"could not be looked at: {type(error).__name__}: {reason}"
        fix = "workbench --debug doctor"
    return Finding(part.what, "bad" if part.is_needed else "note", said, fix, "", part.group)


class _Aside:
    """A look in a thread of its own, which the end of the program does not wait for."""

    def __init__(self, part: Part, paths: Paths | None) -> None:
        self._part, self._paths = part, paths
        self._began = time.monotonic()
        self._found: list[Finding] = []
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        self._found = looked(self._part, self._paths)

    def findings(self) -> list[Finding]:
        part = self._part
        self._thread.join(max(0.0, self._began + part.waits_s - time.monotonic()))
        if self._thread.is_alive():
            said = f"no answer within {part.waits_s:.0f} s"
            return [
                Finding(part.what, "note", said, "look again: workbench doctor", "", part.group)
            ]
        return self._found
