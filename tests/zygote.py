"""A warm process that runs one stage after the other, each in a fork of its own.

Run as a script with the third-party modules to import first; it holds no code of the project, so
a fork runs what stands in the checkout that it is sent to. One JSON line in, one JSON line out:

    {"root", "stage", "pipeline", "witness"}
    -> {"outcome", "said", "importing", "executed", "loaded"}

outcome: digest of all that the stage wrote, or "error: <type>", with what was said. importing:
whether a module failed while it was imported. executed, loaded: with `witness`, which bindings ran
(`tests.oracle`) and which files were imported.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
PATIENCE_S = 120
_WRITING = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "shutil.move", "shutil.rmtree")


def digest(root: Path, stage: str, pipeline: str) -> str:
    """SHA-256 over names and bytes of everything that a stage leaves behind."""
    total = hashlib.sha256()
    for place in outputs(root, stage, pipeline):
        files = sorted(p for p in place.rglob("*") if p.is_file()) if place.is_dir() else [place]
        for file in files:
            content = file.read_bytes() if file.is_file() else b"missing"
            total.update(f"{file.relative_to(root)}\0{len(content)}\n".encode() + content)
    return total.hexdigest()


def outputs(root: Path, stage: str, pipeline: str) -> list[Path]:
    """Where a stage writes: its data, report and plots, and the numbers that `evaluate` gives."""
    places = [
        root / "data" / pipeline / stage,
        root / "reports" / pipeline / f"{stage}.json",
        root / "plots" / pipeline / stage,
    ]
    return [*places, root / "metrics" / pipeline / "quality.json"][: 3 + (stage == "evaluate")]


def main(preload: list[str]) -> None:
    for name in preload:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for line in sys.stdin:
        answer = _run(json.loads(line))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _run(job: dict[str, Any]) -> dict[str, Any]:
    """Run one stage in a fork; what ends it is part of the answer."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        with os.fdopen(writing, "w") as answer:
            json.dump(_in_fork(job), answer)
            answer.flush()
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        content = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    answer = json.loads(content) if content else {"outcome": f"error: ended by {status}"}
    if not answer.get("outcome"):
        answer["outcome"] = digest(Path(job["root"]), job["stage"], job["pipeline"])
    return answer


def _in_fork(job: dict[str, Any]) -> dict[str, Any]:
    root = Path(job["root"])
    signal.alarm(PATIENCE_S)  # an edit may have made a loop without end
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.chdir(root)
    sys.path[:0] = [str(root), str(REPOSITORY)]  # the second for `tests` alone
    sys.dont_write_bytecode = True
    answer: dict[str, Any] = {"outcome": "", "importing": False}
    _fence(root)
    try:
        _stage(job, root, answer)
    except BaseException as error:  # an error is an answer too
        answer["outcome"] = f"error: {type(error).__name__}"
        answer["said"] = str(error)
        answer["importing"] = _while_importing(error, root)
    if job.get("witness"):
        answer["loaded"] = _loaded(root)
    return answer


def _stage(job: dict[str, Any], root: Path, answer: dict[str, Any]) -> None:
    def call() -> None:
        module = importlib.import_module(f"workbench.stages.{job['stage']}")
        module.run(job["pipeline"])

    if not job.get("witness"):
        call()
        return
    from tests.oracle import executed_bindings

    answer["executed"] = sorted(executed_bindings(call, root))


def _loaded(root: Path) -> list[str]:
    """Files of the checkout that were imported, relative to it."""
    files = (getattr(module, "__file__", None) for module in sys.modules.values())
    paths = (Path(file) for file in files if file)
    return sorted(p.relative_to(root).as_posix() for p in paths if p.is_relative_to(root))


def _while_importing(error: BaseException, root: Path) -> bool:
    """Whether a module of the checkout failed while it was imported."""
    cause = error.__cause__ or error
    frames = traceback.extract_tb(cause.__traceback__)
    inside = [f for f in frames if Path(f.filename).is_relative_to(root)]
    return isinstance(cause, ImportError) or any(f.name == "<module>" for f in inside)


def _fence(root: Path) -> None:
    """Keep mutated code from writing outside of its checkout and the temporary folder."""
    allowed = (root, Path(tempfile.gettempdir()).resolve(), Path("/dev"))

    def check(path: object) -> None:
        if isinstance(path, str | bytes | os.PathLike):
            place = Path(os.path.abspath(os.fsdecode(path)))
            if not any(place.is_relative_to(folder) for folder in allowed):
                raise PermissionError(f"an edit made a stage write to {place}")

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _WRITING or (
            event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        ):
            check(arguments[0])

    sys.addaudithook(audit)


if __name__ == "__main__":
    del sys.path[0]  # the folder of this file
    main(sys.argv[1:])
