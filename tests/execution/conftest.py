"""Real processes in a folder of their own, watched through /proc."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# A client as `workbench.stages` is one, except that it says when it would have started cold.
CLIENT = """
import sys
from workbench.execution.client import end_like, run_stage
code = run_stage(sys.argv[1:], module="job")
if code is None:
    sys.exit("cold")
end_like(code)
"""


class Checkout:
    """A folder in which `python -m job` is the stage."""

    client = (sys.executable, "-c", CLIENT)

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[str]] = []
        (folder / "job").mkdir()
        (folder / "job" / "__init__.py").touch()

    def job(self, source: str) -> None:
        """Write the stage's code."""
        (self.folder / "job" / "__main__.py").write_text(textwrap.dedent(source))

    def start(self, *command: str, **environ: str) -> subprocess.Popen[str]:
        """Start a program here, in a process group of its own as a shell would."""
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env={**os.environ, **environ},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
        )
        self.started.append(process)
        return process

    def forked(self, *argv: str, **environ: str) -> subprocess.Popen[str]:
        """Run the job as the fork server does it."""
        return self.start(*self.client, *argv, **environ)

    def cold(self, *argv: str) -> subprocess.Popen[str]:
        """Run the job as Python does it."""
        return self.start(sys.executable, "-m", "job", *argv)

    def number(self, name: str) -> int:
        """Wait for the file in which a process leaves a number, such as its pid."""
        file = self.folder / name
        self.until(lambda: file.exists() and file.read_text().endswith("\n"))
        return int(file.read_text())

    def state(self, pid: int) -> str:
        """The process's state as in `ps`; empty when there is no such process."""
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return ""

    def gone(self, pid: int) -> bool:
        """Whether `pid` ended, be it reaped or not."""
        return self.state(pid) in ("", "Z", "X")

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for what must come; how soon is not judged."""
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "what was waited for did not come"
            time.sleep(0.02)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Checkout]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("WORKBENCH_FORKSERVER", raising=False)
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    checkout = Checkout(tmp_path)
    yield checkout
    for process in checkout.started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()
