"""A checkout in which stages run on fixed input, so that the effect of one edit can be seen.

Every stage's input comes from one undisturbed run of the whole pipeline. An edit is applied to a
copy of the code; fingerprints say which stages would run again, and executing the others says
whether one of them should have.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Any

import yaml

from tests.differences import bodies, is_python, touched
from tests.edits import Edit, Files, module_of
from tests.zygote import REPOSITORY, outputs
from workbench.core import files
from workbench.core.fingerprint import Fingerprint, fingerprint_all
from workbench.core.paths import STAGES, Paths
from workbench.execution.forkserver import PRELOAD

PIPELINE = "fraud"
SMALL = {
    "collect": {"days": 40, "customers": 60, "terminals": 80},
    "train": {"epochs": 2, "threads": 1},
    "evaluate": {"bootstrap": 10},
}
"""Settings under which all stages together take seconds."""

SELDOM = 0.2
"""How many runs that never entered the changed functions are looked at."""


def write_small_params(target: Path) -> None:
    """Write the project's params.yaml, made small."""
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    for part, settings in SMALL.items():
        params[PIPELINE][part] |= settings
    params["pipelines"] = [PIPELINE]
    kept = {"version", "pipelines", "engine", "site", PIPELINE}
    content = {key: value for key, value in params.items() if key in kept}
    target.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def copy_code(root: Path) -> None:
    """Copy library, notebook and what DVC needs into `root`, the small params with them."""
    unwanted = shutil.ignore_patterns("__pycache__", "__marimo__")
    shutil.copytree(REPOSITORY / "workbench", root / "workbench", ignore=unwanted)
    (root / "pipelines").mkdir()
    for name in (f"pipelines/{PIPELINE}.py", "requirements.txt", "dvc.yaml", ".dvcignore"):
        shutil.copyfile(REPOSITORY / name, root / name)
    write_small_params(root / "params.yaml")


def sources(root: Path) -> Files:
    """Text of every file of code, by path relative to the checkout."""
    return {
        path.relative_to(root).as_posix(): path.read_text(encoding="utf-8")
        for folder in ("pipelines", "workbench")
        for path in sorted((root / folder).rglob("*.py"))
    }


@dataclass(frozen=True)
class Run:
    """What one execution of a stage came to; see `tests.zygote`."""

    outcome: str
    said: str = ""
    importing: bool = False
    executed: frozenset[str] = frozenset()
    loaded: frozenset[str] = frozenset()


@dataclass
class Bench:
    """One copy of the checkout and the warm process that runs its stages."""

    root: Path
    process: subprocess.Popen[str]

    def run(self, stage: str, *, witness: bool = False) -> Run:
        assert self.process.stdin
        assert self.process.stdout
        job = {"root": str(self.root), "stage": stage, "pipeline": PIPELINE, "witness": witness}
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        shutil.rmtree(self.root / ".workbench", ignore_errors=True)
        return Run(
            answer["outcome"],
            answer.get("said", ""),
            answer.get("importing", False),
            frozenset(answer.get("executed", ())),
            frozenset(answer.get("loaded", ())),
        )

    def fingerprints(self) -> dict[str, Fingerprint]:
        made = fingerprint_all(self.root, [PIPELINE])
        return {stage: made[stage, PIPELINE] for stage in STAGES}


@dataclass(frozen=True)
class Trial:
    """One edit and what followed.

    touched: top-level names that it changed. woken: stages whose fingerprint changed. differing:
    executed stages whose output did. missed: those among them that were not woken. broken: stages
    that were not woken and no longer import, which they say loudly.
    """

    kind: str
    file: str
    touched: frozenset[str]
    woken: frozenset[str]
    executed: frozenset[str] = frozenset()
    differing: frozenset[str] = frozenset()
    broken: frozenset[str] = frozenset()

    @property
    def missed(self) -> frozenset[str]:
        return self.differing - self.woken

    def __str__(self) -> str:
        what = ", ".join(sorted(self.touched)) or "layout"
        return f"{self.kind} in {self.file} ({what}): {', '.join(sorted(self.woken)) or 'nothing'}"


@dataclass(frozen=True)
class Planned:
    """An edit drawn: its kind, the file that it changes and the new text; which stages to run.

    checks: chance that a stage is executed that was not woken; and that one is that was.
    """

    kind: str
    file: str
    text: str
    checks: tuple[float, float]
    seed: int


@dataclass
class Laboratory:
    """Copies of the checkout with every stage's input in place, and what stages gave there."""

    benches: Queue[Bench]
    files: Files
    normal: dict[str, Run] = field(default_factory=dict)
    before: dict[str, Fingerprint] = field(default_factory=dict)

    def draw(
        self, rng: random.Random, edit: Edit, among: Iterable[str], checks: tuple[float, float]
    ) -> Planned:
        """Draw one edit of files `among`; one that changed nothing is drawn again."""
        chosen = {name: self.files[name] for name in among}
        for _ in range(100):
            changed = dict(chosen)
            name = edit(rng, changed)
            if changed[name] != chosen[name] and is_python(changed[name]):
                kind = edit.__name__.replace("_", " ")
                return Planned(kind, name, changed[name], checks, rng.randrange(1 << 30))
        raise AssertionError(f"{edit.__name__} finds nothing to change")

    def attempt(self, planned: Planned) -> Trial:
        """Apply an edit, compare fingerprints, execute stages, and take the edit back."""
        bench = self.benches.get()
        path = bench.root / planned.file
        try:
            path.write_text(planned.text, encoding="utf-8")
            return self._attempt(planned, bench)
        finally:
            path.write_text(self.files[planned.file], encoding="utf-8")
            self.benches.put(bench)

    def _attempt(self, planned: Planned, bench: Bench) -> Trial:
        now = bench.fingerprints()
        woken = {s for s in STAGES if now[s].digest != self.before[s].digest}
        rng = random.Random(planned.seed)
        executed, differing, broken = set[str](), set[str](), set[str]()
        changed = bodies(self.files[planned.file], planned.text)
        for stage in STAGES:
            # A run that never imported the file cannot have been changed by it, and one that never
            # entered the functions whose bodies changed hardly: of those, some are looked at.
            can_differ = planned.file in self.normal[stage].loaded
            entered = changed is None or self.ran(stage, planned.file, changed)
            chance = planned.checks[stage in woken] * (1 if entered else SELDOM)
            if rng.random() < chance and can_differ:
                executed.add(stage)
                run = self._execute(bench, stage, now[stage])
                if run.outcome != self.normal[stage].outcome:
                    (broken if run.importing else differing).add(stage)
        return Trial(
            planned.kind,
            planned.file,
            touched(self.files[planned.file], planned.text),
            frozenset(woken),
            frozenset(executed),
            frozenset(differing),
            frozenset(broken),
        )

    def _execute(self, bench: Bench, stage: str, code: Fingerprint) -> Run:
        """Run a stage under its own present fingerprint; put back what it wrote."""
        record = Paths(bench.root, bench.root).fingerprint(stage, PIPELINE)
        files.write_json(record, code)
        try:
            return bench.run(stage)
        finally:
            files.write_json(record, self.before[stage])
            kept = bench.root.with_name("kept")
            for place in outputs(bench.root, stage, PIPELINE):
                _put_back(kept / place.relative_to(bench.root), place)

    def ran(self, stage: str, file: str, names: frozenset[str]) -> bool:
        """Whether a stage ran any of these functions of a file."""
        return any(f"{module_of(file)}:{n}" in self.normal[stage].executed for n in names)

    def unreachable(self, trial: Trial) -> frozenset[str]:
        """Stages that never ran any of the functions that an edit changed, which others ran."""
        one = (frozenset((name,)) for name in trial.touched)
        if not all(any(self.ran(s, trial.file, name) for s in STAGES) for name in one):
            return frozenset()
        idle = (s for s in STAGES if not self.ran(s, trial.file, trial.touched))
        return frozenset(idle) if trial.touched else frozenset()


def _put_back(kept: Path, place: Path) -> None:
    """Make `place` what it was; untouched files are the common case and stay."""
    if kept.is_file():
        shutil.copyfile(kept, place)
        return
    shutil.rmtree(place, ignore_errors=True)
    if kept.is_dir():
        shutil.copytree(kept, place)


@contextlib.contextmanager
def laboratory(folder: Path, benches: int = 2) -> Iterator[Laboratory]:
    """Build the copies below `folder`, run every stage once in each, and end the processes after.

    Raises AssertionError where a stage fails or gives other bytes in another copy.
    """
    first = folder / "copy0"
    first.mkdir(parents=True)
    copy_code(first)
    with contextlib.ExitStack() as stack:
        made = [Bench(folder / f"copy{n}", stack.enter_context(_zygote())) for n in range(benches)]
        lab = Laboratory(Queue(), sources(first))
        lab.before = made[0].fingerprints()
        for stage in STAGES:
            path = Paths(first, first).fingerprint(stage, PIPELINE)
            path.parent.mkdir(parents=True)
            files.write_json(path, lab.before[stage])
        for stage in STAGES:
            lab.normal[stage] = made[0].run(stage, witness=True)
            assert not lab.normal[stage].outcome.startswith("error"), (stage, lab.normal[stage])
        shutil.copytree(first, folder / "kept")
        for bench in made[1:]:
            shutil.copytree(first, bench.root)
            for stage in STAGES:
                again = bench.run(stage).outcome
                assert again == lab.normal[stage].outcome, f"{stage} gave other bytes: {again}"
        for bench in made:
            lab.benches.put(bench)
        yield lab


@contextlib.contextmanager
def _zygote() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(REPOSITORY / "tests" / "zygote.py"), *PRELOAD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Small data: threads would wait for each other longer than they work.
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        yield process
    finally:
        assert process.stdin
        assert process.stdout
        process.stdin.close()
        process.wait()
        process.stdout.close()


def spread(lab: Laboratory, planned: Sequence[Planned], say: Callable[[int, Trial], None]) -> None:
    """Try all edits, as many at once as there are copies; tell each as it is done."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(lab.benches.qsize()) as pool:
        for number, trial in enumerate(pool.map(lab.attempt, planned), 1):
            say(number, trial)
