"""What watches over deployments, beside the server: health, and whether challengers prove good.

The server never waits for it and it never asks the server: they meet in files.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from workbench.core.deploy import Deploy
from workbench.core.errors import WorkbenchError
from workbench.core.files import write_json
from workbench.core.params import Params, read_params
from workbench.core.secrets import private_folder
from workbench.execution.lock import hold
from workbench.monitoring.breach import breach
from workbench.monitoring.evidence import Side, counted, judge
from workbench.monitoring.trial import Tail, Trial
from workbench.monitoring.verdicts import Standing, standing_path
from workbench.monitoring.watch import Watch
from workbench.registry import rollout
from workbench.registry.rollout import WATCHER, Rollout
from workbench.storage.pointer import read_pointer
from workbench.storage.windows import ServingWindow

if TYPE_CHECKING:
    from workbench.core.paths import Paths
    from workbench.registry.log import Event

STEP_S = 1.0
RECENT_S = 3600.0
"""A champion that was promoted longer ago is not taken back by itself."""

STRETCH_S, BEFORE_S = 60.0, 600.0
"""Of a champion's windows that are judged at once, and of the release before it."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decided:
    """What was done with a release, and why. seconds: since it came on traffic."""

    pipeline: str
    release: int
    what: Literal["promoted", "withdrawn", "rolled back"]
    reason: str
    requests: int
    seconds: float

    @property
    def sentence(self) -> str:
        """What happened, for people."""
        return (
            f"{self.pipeline} release {self.release} was {self.what} after {self.seconds:.0f} s "
            f"and {self.requests:,} requests. {self.reason}"
        )


class Judge:
    """Judges the rollouts of one checkout, and champions that are new; one process should do it."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self._trials: dict[str, Trial] = {}
        self._recent: dict[str, _Recent] = {}
        self._problems: dict[str, str] = {}
        self._params: tuple[int, Params] | None = None

    def step(self, now: float) -> list[Decided]:
        """Look at every deployed pipeline; promote, withdraw, roll back; return what was done."""
        decided: list[Decided] = []
        try:
            pipelines = sorted(read_pointer(self.paths.pointer).pipelines)
            self._problems.pop("", None)
        except (WorkbenchError, OSError) as error:
            self._cannot("", error)
            return []
        for pipeline in pipelines:
            try:
                found = self._step(pipeline, now)
                self._problems.pop(pipeline, None)
            except (WorkbenchError, OSError) as error:
                self._cannot(pipeline, error)
                continue
            if found is not None:
                _logger.warning("%s", found.sentence)
                decided.append(found)
        return decided

    def _cannot(self, pipeline: str, error: Exception) -> None:
        """Say once why a pipeline (or "" for all) cannot be judged; it is tried again."""
        if self._problems.get(pipeline) != str(error):
            _logger.warning("%s cannot be judged: %s", pipeline or "rollouts", error)
        self._problems[pipeline] = str(error)

    def _step(self, pipeline: str, now: float) -> Decided | None:
        stand = rollout.standing(self.paths, pipeline)
        if stand.champion is None:
            return None
        settings = self._settings(pipeline)
        return self._watch_champion(stand, settings, now) or self._judge(stand, settings, now)

    def _judge(self, stand: Rollout, settings: Deploy, now: float) -> Decided | None:
        """The challenger, by what it did beside today's champion."""
        champion, challenger = stand.champion, stand.challenger
        if champion is None or challenger is None or challenger.traffic is None:
            self._trials.pop(stand.pipeline, None)
            return None
        began_s = max(_seconds(champion), _seconds(challenger))
        trial = self._trials.get(stand.pipeline)
        digests = champion.digest, challenger.digest
        if trial is None or (trial.digests, trial.began_s) != (digests, began_s):
            trial = self._trials[stand.pipeline] = Trial(
                self.paths, stand.pipeline, *digests, began_s
            )
        ours, theirs, rehearsal = trial.sides()
        verdict = judge(ours, theirs, settings.rollout, settings.levels)
        if verdict.decision == "promote":  # not before its answers were looked at
            ours, theirs, rehearsal = trial.sides(fresh=True)
            verdict = judge(ours, theirs, settings.rollout, settings.levels)
        traffic = challenger.traffic
        private_folder(self.paths.monitoring)
        write_json(
            standing_path(self.paths, stand.pipeline),
            Standing(
                stand.pipeline,
                champion.release or 0,
                challenger.release or 0,
                traffic.mode,
                traffic.weight,
                began_s,
                now,
                rehearsal,
                verdict,
            ),
        )
        reason = " ".join([*["In a rehearsal:"] * rehearsal, *verdict.reasons])
        evidence = verdict.numbers | {"rehearsal": rehearsal}
        if verdict.decision == "withdraw":
            rollout.withdraw(self.paths, stand.pipeline, reason, evidence, WATCHER)
            return _decided(challenger, "withdrawn", reason, verdict.requests, now - began_s)
        # Nobody has used a shadow's answers yet: it becomes a canary, or champion by a person.
        if verdict.decision == "promote" and traffic.mode == "canary":
            rollout.promote(self.paths, stand.pipeline, reason, evidence, WATCHER)
            return _decided(challenger, "promoted", reason, verdict.requests, now - began_s)
        return None

    def _watch_champion(self, stand: Rollout, settings: Deploy, now: float) -> Decided | None:
        """Take a new champion back that breaks the levels which the one before kept.

        Once: what it is rolled back to was no promotion, and is not judged here.
        """
        champion = stand.champion
        assert champion is not None  # seen by who calls
        since_s = _seconds(champion)
        is_new = now - since_s < RECENT_S and not champion.rollback and stand.before is not None
        if not is_new:
            self._recent.pop(stand.pipeline, None)
            return None
        recent = self._recent.get(stand.pipeline)
        if recent is None or recent.event != champion:
            recent = self._recent[stand.pipeline] = _Recent(self.paths, champion)
        found = breach(*recent.sides(now), settings.levels)
        if found is None:
            return None
        requests = int(found.numbers["requests"])
        rollout.roll_back_champion(
            self.paths, stand.pipeline, found.sentence, found.numbers, WATCHER
        )
        return _decided(champion, "rolled back", found.sentence, requests, now - since_s)

    def _settings(self, pipeline: str) -> Deploy:
        """As `params.yaml` has them now; the defaults where the pipeline has no block any more."""
        stamp = self.paths.params.stat().st_mtime_ns
        if self._params is None or self._params[0] != stamp:
            self._params = stamp, read_params(self.paths.params)
        block = self._params[1].blocks.get(pipeline)
        return block.deploy if block else Deploy()


class _Recent:
    """The last windows of a champion that is new, and of whoever was it before."""

    def __init__(self, paths: Paths, event: Event) -> None:
        self.event = event
        self._since_s = _seconds(event)
        self._tail = Tail(paths.serving_windows, self._since_s - BEFORE_S)
        self._own: list[ServingWindow] = []
        self._before: list[ServingWindow] = []

    def sides(self, now: float) -> tuple[Side, Side]:
        """Now and before; of life, or where the champion saw none, of a rehearsal."""
        for window in self._tail.new():
            if window.pipeline != self.event.pipeline or window.alias != "champion":
                continue
            if window.digest == self.event.digest and window.end_s > self._since_s:
                self._own.append(window)
            elif window.start_s <= self._since_s:
                self._before.append(window)
        self._own = [window for window in self._own if window.end_s > now - STRETCH_S]
        live = any(not w.rehearsal and w.requests for w in self._own)
        return _counted(self._own, not live), _counted(self._before, not live)


def _counted(windows: Sequence[ServingWindow], rehearsal: bool) -> Side:
    return counted(window for window in windows if window.rehearsal == rehearsal)


def monitor(
    paths: Paths, stop: threading.Event, say: Callable[[str], None] = _logger.warning
) -> None:
    """Watch over the deployments of this checkout until `stop` is set.

    say: is told each decision; alerts go where `deploy.alerts` sends them, and to the log. Raises
    BusyError where another process does it.
    """
    with hold(paths.lock("monitor"), "`workbench monitor` of this checkout"):
        watch, judges = Watch(paths), Judge(paths)
        try:
            while not stop.is_set():
                begun_s = time.monotonic()
                for decided in judges.step(time.time()):
                    say(decided.sentence)
                watch.step(time.time())  # tells its alerts itself
                stop.wait(max(0.0, STEP_S - (time.monotonic() - begun_s)))
        finally:
            watch.close()


def _decided(
    event: Event,
    what: Literal["promoted", "withdrawn", "rolled back"],
    reason: str,
    requests: int,
    seconds: float,
) -> Decided:
    return Decided(event.pipeline, event.release or 0, what, reason, requests, seconds)


def _seconds(event: Event) -> float:
    return dt.datetime.fromisoformat(event.time).timestamp()
