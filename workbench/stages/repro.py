"""`workbench repro`: run what is stale under DVC, then make everything outside of it true."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path

from workbench.core.check import check
from workbench.core.errors import PipelineError, TakenBackError, WorkbenchError, did_you_mean
from workbench.core.params import Params, read_params
from workbench.core.paths import Paths
from workbench.execution.forkserver import ForkServer
from workbench.execution.lock import hold
from workbench.execution.plan import INSTALLED, plan
from workbench.metering.report import write_usage
from workbench.stages.freshness import outdated

Say = Callable[..., None]
"""Called as `say(text, style)`; with `passing=True` for what the next line may replace."""

_RUNNING = re.compile(r"^Running stage '(.+)':")
_SKIPPED = re.compile(r"^Stage '(.+)' didn't change, skipping")
_RESTORED = re.compile(r"^Stage '(.+)' is cached - skipping run, checking out outputs")
_QUIET = re.compile(
    r"^(> |Updating lock file|Generating lock file|Use `dvc push`|To (?:track|enable auto)"
    r"|\s+(?:dvc config core|git add)|\s*$)"
)


def repro(
    paths: Paths,
    pipelines: list[str],
    *,
    cold: bool,
    release: bool,
    keep_going: bool,
    say: Say,
    until: str = "candidate",
) -> int:
    """Run `pipelines` (all when empty) to their releases; returns the exit code.

    cold: without the fork server. until: the last stage that is run.
    Raises BusyError when another repro runs in this checkout.
    """
    say("looking for what changed", "dim", passing=True)
    params = read_params(paths.params)
    chosen = pipelines or list(params.pipelines)
    for name in chosen:
        if name not in params.pipelines:
            raise PipelineError(f"No pipeline '{name}'.{did_you_mean(name, params.pipelines)}")
    _keep_contract(paths, params)
    for sentence in outdated(paths, params, chosen):
        say(sentence, "yellow")
    with hold(paths.lock("repro"), "`workbench repro` of this checkout"):
        from workbench.tracking.follower import Follower

        follower = Follower(paths, params.site)
        follower.start()
        try:
            # A server that nobody asks would import for nothing.
            steps = plan(paths)
            waits = any(s.action in ("run", "may run") for s in steps)
            with _environment(), ForkServer().start() if waits and not cold else nullcontext():
                code = 0
                if any(INSTALLED in s.reasons for s in steps):
                    code = _dvc(paths, ["--force", "--single-item", "fingerprint"], say)
                targets = [f"{until}@{name}" for name in chosen]
                code = code or _dvc(paths, [*targets, *["--keep-going"] * keep_going], say)
        finally:
            # What failed is tracked too: it cost something.
            for problem in follower.stop().problems:
                say(f"tracking: {problem}", "yellow")
        try:
            write_usage(paths, chosen)
        except WorkbenchError as error:
            say(f"usage: {error}", "yellow")
        return _release(paths, params, chosen, code, say) if release else code


def _keep_contract(paths: Paths, params: Params) -> None:
    """A broken notebook stops here, before anything runs."""
    problems = check(paths.root, params)
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise PipelineError(f"{problems[0]}{more}", fix="workbench check")


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """`python` in dvc.yaml is this one, and lines come as they are written.

    Set before the fork server starts: it serves only stages whose environment is its own.
    """
    before = os.environ.copy()
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{before.get('PATH', '')}"
    os.environ["PYTHONUNBUFFERED"] = "1"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _dvc(paths: Paths, arguments: list[str], say: Say) -> int:
    """Run `dvc repro`, telling each stage in a line; returns 1 if it failed.

    Standard error is left to DVC and the stages: a training shows its own bar.
    """
    command = [sys.executable, "-m", "workbench.execution.quietdvc", "repro", *arguments]
    with subprocess.Popen(command, cwd=paths.root, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # asked for above
            _tell(process.stdout, say)
        except KeyboardInterrupt:
            # The terminal sent it to DVC and the stage as well: let them end in order.
            process.communicate()
            raise
        return 1 if process.wait() else 0


def _tell(lines: Iterable[str], say: Say) -> None:
    """Turn DVC's lines into one line for each stage: that it runs, then how long it took."""
    running, began = "", time.monotonic()
    for line in lines:
        text = line.rstrip()
        started, skipped, restored = (p.match(text) for p in (_RUNNING, _SKIPPED, _RESTORED))
        if (started or skipped or restored) and running:
            say(f"  {running}  {time.monotonic() - began:.1f} s", "green")
            running = ""
        if started:
            running, began = started[1], time.monotonic()
            say(f"  {running} runs", "dim", passing=True)
        elif restored:
            say(f"  {restored[1]}  restored from the cache", "blue")
        elif not skipped and not _QUIET.match(text):
            say(text)
    if running:
        say(f"  {running}  {time.monotonic() - began:.1f} s", "green")


def _release(paths: Paths, params: Params, pipelines: list[str], code: int, say: Say) -> int:
    """Judge and release each pipeline's candidate; returns the exit code."""
    from workbench.registry.releases import release

    for pipeline in pipelines:
        say(f"  judging {pipeline}", "dim", passing=True)
        if not (paths.stage("candidate", pipeline) / "candidate.json").is_file():
            continue
        try:
            made = release(paths, pipeline)
            say(made.sentence, "bold green")
            for gate in made.gates:
                if gate.verdict == "warn":
                    say(f"warning: {gate.sentence}", "yellow")
            for problem in made.problems:
                say(str(problem), "yellow")
        except TakenBackError as error:  # as a person decided: nothing here has failed
            say(f"{pipeline} was not released: {error}", "yellow")
        except WorkbenchError as error:
            say(f"{pipeline} was not released: {error}", "bold red")
            code = code or 1
    return code
