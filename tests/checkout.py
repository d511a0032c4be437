"""A whole checkout in a temporary folder: Git, DVC, the library and one small pipeline.

What runs in it is what runs at a person's: `python -m workbench.cli.main`, `dvc`, stages and
fork servers as processes of their own. The library is a copy, so that an edit in the repository
while the tests run is not taken for an edit under a running stage.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from workbench.core.files import digest_folder, read_json
from workbench.core.paths import Paths
from workbench.core.records import RunRecord
from workbench.execution.lock import hold
from workbench.metering.runs import read_runs, reap

REPOSITORY = Path(__file__).resolve().parents[1]
HERE = Path(__file__).parent / "pipelines"
CLI = (sys.executable, "-m", "workbench.cli.main")
DVC = (sys.executable, "-m", "dvc")
STAGE = (sys.executable, "-m", "workbench.stages")
PATIENCE_S = 480.0


@dataclass(frozen=True)
class Ended:
    """How a command ended; text: standard output and error together, lines unwrapped."""

    code: int
    text: str

    @property
    def sentence(self) -> str:
        """The text on one line, as a person reads it whatever the width of the terminal."""
        return " ".join(self.text.split())

    def ok(self) -> Ended:
        """Itself, after checking that it ended well."""
        assert self.code == 0, self.text
        return self

    def failed(self, *words: str, code: int = 1) -> Ended:
        """Itself, after checking that it failed with a sentence that holds `words`."""
        assert self.code == code, self.text
        assert "Traceback" not in self.text, self.text
        for word in words:
            assert word in self.sentence, self.text
        return self


@dataclass
class Checkout:
    """One checkout and the processes that a test began in it."""

    root: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def paths(self) -> Paths:
        return Paths(root=self.root, home=self.root / ".workbench")

    # ---- running

    def start(self, *command: str, **environ: str) -> subprocess.Popen[str]:
        """Start a program here, in a session of its own, its output in one pipe."""
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            # Where the tests run in the background, Ctrl-C is ignored, and children inherit that.
            signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(
            command,
            cwd=self.root,
            env=environment() | environ,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def run(self, *command: str, **environ: str) -> Ended:
        """Run a program here to its end."""
        return ended(self.start(*command, **environ))

    def workbench(self, *arguments: str, **environ: str) -> Ended:
        return self.run(*CLI, *arguments, **environ)

    def repro(self, *arguments: str, **environ: str) -> Ended:
        """`dvc repro`, without what the workbench adds."""
        return self.run(*DVC, "repro", *arguments, **environ)

    def stage(self, name: str, **environ: str) -> Ended:
        """One stage as DVC starts it, but without DVC removing its outputs before."""
        return self.run(*STAGE, name, "small", **environ)

    def until(self, condition: Callable[[], Any]) -> Any:
        """Wait for what must come; how soon is not judged."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := condition()):
            assert time.monotonic() < deadline, "what was waited for did not come"
            time.sleep(0.005)
        return found

    # ---- holding a stage where it is

    def hold(self, where: str) -> None:
        """Let the pipeline wait when it comes to `where` (see `pause` in `small.py`)."""
        (self.root / f"at-{where}").unlink(missing_ok=True)
        (self.root / f"hold-{where}").touch()

    def reached(self, where: str) -> None:
        """Wait until a process is held there."""
        self.until((self.root / f"at-{where}").exists)

    def release(self, where: str) -> None:
        """Let it go on."""
        (self.root / f"hold-{where}").unlink()

    def under_way(self, stage: str) -> int:
        """Wait until `stage` writes beside its outputs; the number of its process."""
        part = self.paths.stage("x", "small").with_name(f".{stage}.part")
        lock = self.paths.lock(f"small.{stage}")
        self.until(part.exists)
        return int(lock.read_text())

    # ---- changing

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace text that is there once."""
        file = self.root / path
        text = file.read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
        file.write_text(text.replace(old, new))

    def set(self, dotted: str, value: Any) -> None:
        """Set one setting of `params.yaml`; comments are lost."""
        params = yaml.safe_load((self.root / "params.yaml").read_text())
        *steps, last = dotted.split(".")
        inner = params
        for step in steps:
            inner = inner.setdefault(step, {})
        inner[last] = value
        (self.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    # ---- looking

    def outputs(self) -> dict[str, str]:
        """Digest of every output, report, plot and metric that a run leaves, by folder."""
        folders = [*(self.root / "data" / "small").iterdir()]
        folders += [*self.paths.plots("small").iterdir(), *(self.root / "reports").iterdir()]
        folders += [self.paths.quality("small")]
        return {
            p.relative_to(self.root).as_posix(): digest_folder(p) if p.is_dir() else p.read_text()
            for p in sorted(folders)
        }

    def data(self, stage: str) -> str:
        return digest_folder(self.paths.stage(stage, "small"))

    def report(self, stage: str) -> Any:
        return read_json(self.paths.report(stage, "small"))

    def records(self, stage: str) -> list[RunRecord]:
        """Run records of one stage, oldest first."""
        reap(self.paths)
        return [r for r in read_runs(self.paths) if r.stage == stage]

    def processes(self) -> list[int]:
        """Processes that still work in this checkout."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and (entry / "cwd").readlink() == self.root:
                    state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                    found += [int(entry.name)] if state not in "ZX" else []
        return found

    def close(self) -> None:
        """End what a failed test left running."""
        for process in self.started:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            if process.stdout and not process.stdout.closed:
                process.communicate()


def ended(process: subprocess.Popen[str]) -> Ended:
    """Wait for a process that was started."""
    text, _ = process.communicate(timeout=PATIENCE_S)
    return Ended(process.returncode, text)


def environment() -> dict[str, str]:
    """This environment without what would lead out of the checkout, with our `python` first."""
    ours = ("WORKBENCH_", "MLFLOW_", "PYTHONPATH", "COLUMNS", "PYTEST_", "RANK", "WORLD_SIZE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    folder = Path(sys.executable).parent
    return kept | {"PATH": f"{folder}{os.pathsep}{kept['PATH']}", "COLUMNS": "200"}


def new_checkout(root: Path, source: Path = REPOSITORY) -> Checkout:
    """Make a checkout in which nothing has run, with the library and settings of `source`."""
    root.mkdir(parents=True, exist_ok=True)
    root = root.resolve()
    ignore = shutil.ignore_patterns("__pycache__", ".*")
    shutil.copytree(source / "workbench", root / "workbench", ignore=ignore)
    (root / "pipelines").mkdir()
    shutil.copy(HERE / "small.py", root / "pipelines")
    shutil.copy(HERE / "params.yaml", root)
    for name in ("dvc.yaml", "requirements.txt", ".dvcignore", ".gitignore"):
        shutil.copy(source / name, root)
    (root / ".dvc").mkdir()
    shutil.copy(REPOSITORY / ".dvc" / "config", root / ".dvc")
    (root / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    with (root / ".gitignore").open("a") as file:
        file.write("/hold-*\n/at-*\n/slow\n/poison\n")
    git = ("git", "-c", "user.name=Tester", "-c", "user.email=tester@localhost")
    for arguments in (("init", "-q"), ("add", "."), ("commit", "-qm", "Begin")):
        subprocess.run([*git, *arguments], cwd=root, check=True, capture_output=True)
    return Checkout(root)


def once(root: Path, work: Callable[[Checkout], Any], source: Path = REPOSITORY) -> Checkout:
    """Make a checkout and do `work` in it, unless another worker did; the checkout."""
    done = root.with_name(f"{root.name}.done")
    with hold(root.with_name(f"{root.name}.lock"), "a checkout of the tests", wait_s=600):
        if not done.exists():
            made = new_checkout(root, source)
            try:
                work(made)
            finally:
                made.close()
            done.touch()
    return Checkout(root.resolve())


@contextlib.contextmanager
def copied(whole: Checkout, root: Path) -> Iterator[Checkout]:
    """A copy of a checkout with all that ran in it; what a test starts in it ends with it."""
    # `cp` keeps times, so that neither DVC nor Python looks at unchanged files again.
    subprocess.run(["cp", "-a", f"{whole.root}/.", root], check=True)
    copy = Checkout(root.resolve())
    try:
        yield copy
    finally:
        copy.close()
