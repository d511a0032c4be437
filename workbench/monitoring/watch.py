"""One look after the other at every deployment: levels, drift, quality; alerts; files for pages.

What is cheap is done at each look; what reads the prediction log, at most once a minute for each
pipeline. After a restart it goes on where it last saved how far it had read.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from pathlib import Path

import msgspec

from workbench.core.deploy import Deploy
from workbench.core.errors import WorkbenchError
from workbench.core.files import read_json, write_bytes, write_json
from workbench.core.params import Params, read_params
from workbench.core.paths import Paths
from workbench.core.secrets import private_folder
from workbench.monitoring.alerts import Alert, Desk
from workbench.monitoring.answers import watched_answers
from workbench.monitoring.findings import findings
from workbench.monitoring.health import (
    Deployed,
    Health,
    Watched,
    health_path,
    history_of,
    history_path,
    traffic_of,
)
from workbench.monitoring.levels import levels_of
from workbench.monitoring.rollups import DAYS, Rollups, Tally, together
from workbench.storage.pointer import Pointer, read_pointer

ANSWERS_S, HISTORY_S = 60.0, 15.0
"""Seconds between two looks into the prediction log, and between two files of points."""

PATIENCE = 20
"""How many times as long as a look into the log took, the next one waits at least."""

SHADOW = "shadow"
_logger = logging.getLogger(__name__)


class Watch:
    """Looks at all deployments of one checkout. `step` writes: one process at a time should do it.

    problem: why something could not be looked at; "" while all can.
    """

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.problem = ""
        self._state = paths.monitoring / "rollups.json"
        self.rollups = _restored(self._state)
        self.desk = Desk(paths.monitoring, lambda pipeline: self.settings(pipeline).alerts)
        self._params: Params | None = None
        self._pointer = Pointer()
        self._stamps: dict[Path, int] = {}
        self._answers: dict[str, tuple[float, tuple[Watched, ...]]] = {}
        self._problems: dict[str, str] = {}
        self._saved_s = float("-inf")

    def step(self, now: float) -> list[Alert]:
        """Look, say what is to be said, and write what pages read; what was said is returned."""
        found = self.look(now)
        alerts = [alert for health in found for alert in findings(health)]
        said = self.desk.settle(alerts, now, unknown=self._problems)
        private_folder(self.paths.monitoring)
        is_time = now - self._saved_s >= HISTORY_S
        for health in found:
            name = health.pipeline
            opened = tuple(self.desk.open(name))
            write_json(health_path(self.paths, name), dataclasses.replace(health, alerts=opened))
            if is_time:
                points = history_of(name, self.rollups.of(name), now)
                write_bytes(history_path(self.paths, name), msgspec.json.encode(points))
        if is_time:
            self._saved_s = now
            write_bytes(self._state, msgspec.json.encode(self.rollups.saved()))
        return said

    def look(self, now: float) -> list[Health]:
        """Look at every deployed pipeline; `now` in seconds since 1970-01-01 UTC."""
        self._problems = {}
        self._reread()
        names = sorted(self._pointer.pipelines)
        days = max([DAYS, *(self.settings(name).levels.window_days for name in names)])
        self.rollups.update(self.paths.serving_windows, now, days)
        found: list[Health] = []
        for name in names:
            try:
                found.append(self._look_at(name, now))
            except (WorkbenchError, OSError) as error:
                self._problems[name] = f"{name} cannot be looked at: {error}"
        said = " ".join(self._problems.values())
        if said and said != self.problem:
            _logger.warning("%s", said)
        self.problem = said
        return found

    def close(self) -> None:
        """Let alerts that are under way be delivered, for some seconds."""
        self.desk.close()

    def settings(self, pipeline: str) -> Deploy:
        """How a pipeline is to be watched; as nothing was set where it has no block any more."""
        block = self._params.blocks.get(pipeline) if self._params else None
        return block.deploy if block else Deploy()

    def _look_at(self, pipeline: str, now: float) -> Health:
        settings = self.settings(pipeline)
        every = self.rollups.of(pipeline)
        asked = [series for key, series in every.items() if not key.rehearsal]
        answered = [s for key, s in every.items() if not key.rehearsal and key.alias != SHADOW]

        def last(seconds: float) -> Tally:
            return together(series.last(seconds, now) for series in answered)

        deployed = tuple(
            Deployed(alias, target.release, target.digest)
            for alias, target in self._pointer.pipelines[pipeline].items()
        )
        return Health(
            pipeline=pipeline,
            at_s=now,
            deployed=deployed,
            levels=levels_of(settings.levels, last) if asked else (),
            traffic=tuple(t for key, series in every.items() for t in traffic_of(key, series, now)),
            answers=self._watched(pipeline, deployed, now),
            alerts=tuple(self.desk.open(pipeline)),
        )

    def _watched(
        self, pipeline: str, deployed: tuple[Deployed, ...], now: float
    ) -> tuple[Watched, ...]:
        """Drift and quality, from the last minute's look if there was one."""
        next_s, found = self._answers.get(pipeline, (float("-inf"), ()))
        if now >= next_s:
            begun_s = time.perf_counter()
            found = watched_answers(self.paths, pipeline, deployed, self.settings(pipeline), now)
            took_s = time.perf_counter() - begun_s
            self._answers[pipeline] = now + max(ANSWERS_S, PATIENCE * took_s), found
        return found

    def _reread(self) -> None:
        """Read settings and pointer again where they changed; what is damaged stays as it was."""
        if self._is_changed(self.paths.params):
            try:
                self._params = read_params(self.paths.params)
            except (WorkbenchError, OSError) as error:
                _logger.warning("the settings stay as they were: %s", error)
        if self._is_changed(self.paths.pointer):
            try:
                self._pointer = read_pointer(self.paths.pointer)
            except (WorkbenchError, OSError) as error:
                _logger.warning("the deployments stay as they were: %s", error)

    def _is_changed(self, path: Path) -> bool:
        try:
            stamp = path.stat().st_mtime_ns
        except OSError:
            stamp = -1
        before, self._stamps[path] = self._stamps.get(path), stamp
        return before != stamp


def _restored(state: Path) -> Rollups:
    """What was saved; without it, or where it is damaged, all windows are read again."""
    try:
        return Rollups.restored(read_json(state))
    except FileNotFoundError:
        return Rollups()
    except (OSError, msgspec.DecodeError, ValueError, TypeError, KeyError, AttributeError) as error:
        _logger.warning("%s is read no more: %s", state.name, error)
        return Rollups()
