"""`workbench status` against what the next `dvc repro` does, over random changes to a checkout.

Everything is what a person has: Git, DVC, the real library and the fraud pipeline on small data.
Stages are forked from a warm process, as `workbench repro` does it.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests import edits
from tests.checkout import Checkout, environment
from tests.edits import Files
from tests.laboratory import PIPELINE, REPOSITORY, copy_code, sources
from workbench.execution.dvcfiles import Cache, Hashes, locked, read_lock
from workbench.execution.forkserver import ForkServer
from workbench.execution.warm import VARIABLE

_DID = {
    "ran": re.compile(r"^Running stage '(.+)':", re.M),
    "restored": re.compile(r"^Stage '(.+)' is cached - skipping run, checking out outputs", re.M),
    "skipped": re.compile(r"^Stage '(.+)' didn't change, skipping", re.M),
}
_ALLOWED = {
    "run": {"ran"},
    "restore": {"restored"},
    "up to date": {"skipped"},
    "may run": {"ran", "restored", "skipped"},
}
_LAYERS = ("core", "data", "serving", "stages", "storage", "training")
_LAUNCHING = (
    "workbench/stages/run.py",
    "workbench/stages/__main__.py",
    "workbench/stages/repro.py",
)
_SETTINGS: dict[str, list[Any]] = {
    "collect.dirt_fraction": [0.01, 0.02],
    "clean.max_amount_eur": [5000, 4000],
    "label.maturity_days": [21, 20],
    "split.valid_fraction": [0.15, 0.2],
    "train.learning_rate": [0.003, 0.01],
    "train.hidden": [[64, 32], [16]],
    "evaluate.bootstrap": [10, 11],
    "serve.gates.worse_by": [0.01, 0.02],
}


@dataclass(frozen=True)
class Comparison:
    """What was changed, what status said of each stage, what DVC did, and where they differ."""

    after: str
    said: dict[str, str]
    did: dict[str, str]
    wrong: tuple[str, ...]

    def __str__(self) -> str:
        return "; ".join((f"after {self.after}", *self.wrong))


@dataclass
class Reruns:
    """A checkout, how to run it, and the states of code and settings that it went through."""

    checkout: Checkout
    environ: dict[str, str]
    rng: random.Random
    past: list[Files] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.checkout.root

    def compare(self, change: Change) -> Comparison:
        """Make a change, ask for the status, run DVC, and set one beside the other.

        A change after which a stage fails is compared as far as DVC came, and taken back.
        """
        before = self.state()
        after = f"{change.__name__.replace('_', ' ')} ({change(self)})"
        status = self.checkout.workbench("status", "--json", **self.environ)
        if status.code:
            # Code that cannot even say its status: DVC must not get further than the first stage.
            did = self._repro()
            self.put(before)
            late = [f"{s} {what}, yet status failed: {status.sentence}" for s, what in did.items()]
            return Comparison(after, {}, did, tuple(late[1:]))
        said = {step["name"]: step["action"] for step in json.loads(status.text)}
        did = self._repro()
        if len(did) < len(said):
            self.put(before)
        else:
            self.past.append(self.state())
        wrong = [
            f"{stage}: status said {said.get(stage)}, DVC {what}"
            for stage, what in did.items()
            if what not in _ALLOWED[said[stage]]
        ]
        wrong += [f"{s} was skipped with other inputs" for s in did if not self._fits(s, did[s])]
        return Comparison(after, said, did, tuple(wrong))

    def _repro(self) -> dict[str, str]:
        """Run DVC; what it did to each stage that it came to."""
        text = self.checkout.repro(**self.environ).text
        assert "started cold" not in text, text
        return {stage: what for what, found in _DID.items() for stage in found.findall(text)}

    def _fits(self, stage: str, what: str) -> bool:
        """Whether a stage that was skipped last ran on the inputs that are there now."""
        disk = Hashes(self.root, self.root / ".workbench" / "hashes-of-tests.json")
        deps = locked(read_lock(self.checkout.paths.dvc_lock)[stage], "deps")
        return what != "skipped" or all(disk.of(dep) == md5 for dep, md5 in deps.items())

    def state(self) -> Files:
        """Code and settings, as they can be put back."""
        names = ("params.yaml", "dvc.yaml", "requirements.txt")
        return sources(self.root) | {n: (self.root / n).read_text() for n in names}

    def put(self, state: Files) -> None:
        """Write those files of a state that differ."""
        now = self.state()
        for name, text in state.items():
            if now.get(name) != text:
                (self.root / name).write_text(text)

    def edit(self, grammar: tuple[edits.Edit, ...], among: Callable[[str], bool]) -> str:
        """Draw one edit of the files whose name fits."""
        files = {n: t for n, t in edits.inside(sources(self.root)).items() if among(n)}
        edit = self.rng.choice(grammar)
        name = edit(self.rng, files)
        (self.root / name).write_text(files[name])
        return f"{edit.__name__} in {name}"

    def any_of(self, pattern: str) -> Path:
        """A file or folder of the checkout."""
        found = [p for p in sorted(self.root.glob(pattern)) if not p.name.startswith(".")]
        return self.rng.choice(found)


Change = Callable[[Reruns], str]


def _reached(name: str) -> bool:
    """Files of the notebook and of the layers that stages run."""
    parts = name.split("/")
    return parts[0] == "pipelines" or (parts[1] in _LAYERS and name not in _LAUNCHING)


def nothing(_: Reruns) -> str:
    return "a second run"


def setting(runs: Reruns) -> str:
    key = runs.rng.choice(list(_SETTINGS))
    now = yaml.safe_load((runs.root / "params.yaml").read_text())[PIPELINE]
    for step in key.split("."):
        now = now.get(step, {})
    value = next(v for v in _SETTINGS[key] if v != now)
    runs.checkout.set(f"{PIPELINE}.{key}", value)
    return f"{key}: {value}"


def unread_setting(runs: Reruns) -> str:
    runs.checkout.set("engine.memory_limit", runs.rng.choice(["1GB", "1500MB", "2GB"]))
    return "engine.memory_limit"


def meaning_in_notebook(runs: Reruns) -> str:
    return runs.edit(edits.MEANING[:-1], lambda name: name.startswith("pipelines/"))


def meaning_in_library(runs: Reruns) -> str:
    return runs.edit(edits.MEANING, _reached)


def idle_statement(runs: Reruns) -> str:
    """A stage's code means something else and gives the same: what follows it may stay."""
    return runs.edit((edits.add_idle_statement,), _reached)


def neutral(runs: Reruns) -> str:
    return runs.edit((*edits.NEUTRAL, edits.add_log_line), _reached)


def deleted_output(runs: Reruns) -> str:
    path = runs.any_of(
        runs.rng.choice(
            [f"data/{PIPELINE}/*", f"reports/{PIPELINE}/*.json", "plots/*/*", "metrics"]
        )
    )
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return path.relative_to(runs.root).as_posix()


def altered_output(runs: Reruns) -> str:
    path = runs.any_of(runs.rng.choice([f"data/{PIPELINE}/*/*", f"reports/{PIPELINE}/*.json"]))
    if path.is_dir():
        (path / "extra").write_text("here")
    else:
        path.write_bytes(path.read_bytes() + b"\n")
    return path.relative_to(runs.root).as_posix()


def added_file(runs: Reruns) -> str:
    """A file that is not code, in folders that DVC hashes."""
    path = runs.root / runs.rng.choice(["workbench", "pipelines", f"data/{PIPELINE}/label"])
    (path / "notes.txt").write_text(f"{runs.rng.random()}")
    return path.relative_to(runs.root).as_posix()


def lost_cache_object(runs: Reruns) -> str:
    """What DVC keeps of an output, or of one file in it, is gone."""
    cache, lock = Cache(runs.root), read_lock(runs.checkout.paths.dvc_lock)
    stage = runs.rng.choice(sorted(lock))
    outs = locked(lock[stage], "outs")
    path, md5 = runs.rng.choice(sorted({*outs.items(), *cache.files(outs).items()}))
    cache.object(md5).unlink()
    return path


def lost_run_cache(runs: Reruns) -> str:
    shutil.rmtree(runs.root / ".dvc/cache/runs", ignore_errors=True)
    return "all of it"


def lost_fingerprints(runs: Reruns) -> str:
    path = runs.any_of(runs.rng.choice(["fingerprints", "fingerprints/*/*.json"]))
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return path.relative_to(runs.root).as_posix()


def lost_lock_entry(runs: Reruns) -> str:
    path = runs.root / "dvc.lock"
    lock = yaml.safe_load(path.read_text())
    stage = runs.rng.choice(sorted(lock["stages"]))
    del lock["stages"][stage]
    path.write_text(yaml.safe_dump(lock, sort_keys=False))
    return stage


def other_pins(runs: Reruns) -> str:
    with (runs.root / "requirements.txt").open("a") as file:
        file.write(f"# {runs.rng.random()}\n")
    return "a remark"


def other_command(runs: Reruns) -> str:
    path = runs.root / "dvc.yaml"
    text = path.read_text()
    stage = runs.rng.choice(["collect", "split", "train", "evaluate"])
    path.write_text(re.sub(rf"workbench\.stages +{stage} ", _more_space, text))
    return stage


def _more_space(found: re.Match[str]) -> str:
    """The same command in other letters."""
    return found[0].replace(" ", "  ", 1)


def revert(runs: Reruns) -> str:
    """Code and settings as they were some time ago: the run cache may know the answer."""
    place = runs.rng.randrange(len(runs.past))
    runs.put(runs.past[place])
    return f"state {place}"


CHANGES: tuple[Change, ...] = (
    *(setting, idle_statement, meaning_in_notebook, revert, deleted_output, altered_output),
    *(lost_cache_object, revert, meaning_in_library, neutral, added_file),
    *(lost_fingerprints, lost_lock_entry, nothing, unread_setting, other_pins, other_command),
    *(setting, idle_statement, lost_run_cache, revert, deleted_output),
)
"""In the order in which they are made; the first eight are the test's."""


@contextlib.contextmanager
def reruns(folder: Path, seed: int) -> Iterator[Reruns]:
    """A checkout in which everything ran once, and a warm process for its stages."""
    copy_code(folder)
    (folder / ".dvc").mkdir()
    for name in (".gitignore", ".dvc/config"):
        shutil.copy(REPOSITORY / name, folder / name)
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    # Two edits of one size within a second would be one edit to Python's bytecode.
    environ = {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    checkout = Checkout(folder.resolve())
    with _as_environment(environment() | environ), ForkServer().start():
        environ |= {name: os.environ[name] for name in (VARIABLE, "PATH")}
        made = Reruns(checkout, environ, random.Random(seed))
        first = made.compare(nothing)
        assert set(first.did.values()) == {"ran"}, first
        yield made
    checkout.close()


@contextlib.contextmanager
def _as_environment(environ: dict[str, str]) -> Iterator[None]:
    """The fork server serves only stages whose environment is its own."""
    before = os.environ.copy()
    os.environ.clear()
    os.environ.update(environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
