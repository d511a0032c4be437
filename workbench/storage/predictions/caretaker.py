"""Closed segments become Parquet in a process of its own: the server knows no columns."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.storage.predictions.places import partitions

if TYPE_CHECKING:
    from workbench.core.deploy import Log

FIRST_S, PAUSE_S, ROUTINE_S = 30.0, 30.0, 3600.0
"""From the start to a first run, between two at least, and between two without need."""
_logger = logging.getLogger(__name__)


class Caretaker:
    """Starts `workbench.storage.predictions.compaction`, one at a time, when there is need.

    trouble: what it said when it failed; "" after it went well. All calls from one thread.
    """

    def __init__(self, folder: Path, settings: Callable[[str], Log] | None) -> None:
        self._folder = folder
        self._settings = settings
        self._process: subprocess.Popen[str] | None = None
        self._next_s = time.monotonic() + FIRST_S
        self._wanted = False
        self._pause_over_s = self._next_s
        self.trouble = ""

    def want(self) -> None:
        """A segment was closed."""
        self._wanted = True

    def turn(self) -> None:
        """Look after the one that runs, or start one if it is time to."""
        now_s = time.monotonic()
        if self._process is not None:
            if self._process.poll() is None:
                return
            self._ended(self._process)
        if now_s >= self._next_s or (self._wanted and now_s >= self._pause_over_s):
            self._wanted = False
            self._next_s, self._pause_over_s = now_s + ROUTINE_S, now_s + PAUSE_S
            self._process = self._start()

    def close(self) -> None:
        """End the one that runs: whatever it has not done yet is there for the next."""
        if self._process is not None:
            self._process.terminate()
            self._process.communicate()
            self._process = None

    def _start(self) -> subprocess.Popen[str] | None:
        module = "workbench.storage.predictions.compaction"
        days = [f"{name}={days}" for name, days in self._keep_days().items()]
        try:
            return subprocess.Popen(
                [sys.executable, "-m", module, str(self._folder), *days],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,  # Ctrl-C is meant for the server
            )
        except OSError as error:
            self._fails(f"cannot be started: {error.strerror}")
            return None

    def _keep_days(self) -> dict[str, int]:
        if self._settings is None:
            return {}
        names = {partition.pipeline for partition in partitions(self._folder)}
        return {name: self._settings(name).keep_days for name in sorted(names)}

    def _ended(self, process: subprocess.Popen[str]) -> None:
        self._process = None
        said = process.communicate()[1]
        if process.returncode:
            self._fails(said.strip().rpartition("\n")[2] or f"ended with {process.returncode}")
        else:
            self.trouble = ""

    def _fails(self, reason: str) -> None:
        trouble = f"closed passports stay lines of JSON: {reason}"
        if trouble != self.trouble:
            _logger.warning("%s", trouble)
        self.trouble = trouble
