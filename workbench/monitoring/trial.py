"""What champion and challenger did since a rollout began, read on as it is written.

Counts come from the server's windows, answers and outcomes from the prediction log. Life counts;
where there was none yet, a rehearsal does, so that a rollout can be rehearsed too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from workbench.core.paths import Paths
from workbench.core.records import Signature
from workbench.monitoring.evidence import Side, counted
from workbench.monitoring.quality import label_of
from workbench.monitoring.sequential import Array
from workbench.storage.bundle import read_signature
from workbench.storage.predictions.outcomes import outcomes
from workbench.storage.predictions.passport import Passport, date_of
from workbench.storage.predictions.reading import scan
from workbench.storage.windows import ServingWindow

MAX_ANSWERS = 4_000
"""Rows of each side whose answers are compared: the first, so that looking again is no new draw."""

ANSWERS_S, PATIENCE, LATE_S = 5.0, 20, 10.0
"""Between two looks into the prediction log, at least so many times as long as one takes; how late
a record may come into it."""

Which = tuple[str, bool]
"""Digest of the bundle, and whether it was a rehearsal."""


class Tail:
    """The windows of a folder as they are written: each call yields those that are new."""

    def __init__(self, folder: Path, since_s: float) -> None:
        self._folder = folder
        self._since_s = since_s
        self._read: dict[str, int] = {}

    def new(self) -> Iterator[ServingWindow]:
        """Whole lines of all files, those excepted that ended before `since_s`."""
        day = date_of(self._since_s)
        for path in sorted(self._folder.glob("*.jsonl")):
            if path.name[:10] < day:
                continue
            for line in self._lines(path):
                try:
                    window = msgspec.json.decode(line, type=ServingWindow)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    continue  # torn by a crash
                if window.end_s > self._since_s:
                    yield window

    def _lines(self, path: Path) -> Iterator[bytes]:
        at = self._read.get(path.name, 0)
        with path.open("rb") as file:
            file.seek(at)
            for line in file:
                if not line.endswith(b"\n"):
                    return  # the rest of it comes later
                at += len(line)
                self._read[path.name] = at
                yield line


@dataclass
class _Answers:
    """Of one side. scores: one number a row; losses by id, as the newest outcome says."""

    scores: list[float] = field(default_factory=list[float])
    losses: dict[str, list[float]] = field(default_factory=dict[str, list[float]])


class Trial:
    """One challenger beside one champion, since `began_s` (seconds since 1970-01-01 UTC)."""

    def __init__(
        self, paths: Paths, pipeline: str, champion: str, challenger: str, began_s: float
    ) -> None:
        self.paths = paths
        self.pipeline = pipeline
        self.digests = champion, challenger
        self.began_s = began_s
        self._tail = Tail(paths.serving_windows, began_s)
        self._counts: dict[Which, Side] = {}
        self._answers: dict[Which, _Answers] = {}
        self._signatures = [read_signature(paths.bundles / digest) for digest in self.digests]
        self._seen: dict[str, float] = {}
        self._next_s = 0.0

    def sides(self, *, fresh: bool = False) -> tuple[Side, Side, bool]:
        """Champion, challenger, and whether all there is of them is a rehearsal.

        fresh: look into the prediction log now, not only every few seconds.
        """
        for window in self._tail.new():
            alias = 0 if window.alias == "champion" else 1
            which = window.digest, window.rehearsal
            if window.pipeline == self.pipeline and window.digest == self.digests[alias]:
                self._counts[which] = _added(self._counts.get(which, Side()), counted([window]))
        if fresh or time.monotonic() >= self._next_s:
            begun_s = time.monotonic()
            self._read_answers()
            took_s = time.monotonic() - begun_s
            self._next_s = time.monotonic() + max(ANSWERS_S, PATIENCE * took_s)
        live = any(self._counts.get((digest, False), Side()).requests for digest in self.digests)
        champion, challenger = (self._side((digest, not live)) for digest in self.digests)
        return champion, challenger, not live

    def _side(self, which: Which) -> Side:
        answers = self._answers.get(which, _Answers())
        losses = [loss for one in answers.losses.values() for loss in one]
        side = self._counts.get(which, Side())
        return replace(side, scores=np.array(answers.scores), losses=np.array(losses))

    def _read_answers(self) -> None:
        """Take the answers that are new, and the outcomes that are known."""
        for passport in self._new_passports():
            signature = self._signature(passport)
            scores = _scores(signature, passport.outputs) if signature else None
            kept = self._of(passport).scores
            if scores is not None and len(kept) < MAX_ANSWERS:
                kept.extend(scores.tolist())
        for known in outcomes(self.paths, self.pipeline, self.began_s):
            signature = self._signature(known.passport)
            losses = _losses(signature, known.passport, known.outcome) if signature else None
            if losses:
                self._of(known.passport).losses[known.passport.id] = losses

    def _new_passports(self) -> Iterator[Passport]:
        """Those of both sides that were not seen, while either side still lacks some."""
        lacking = [
            which
            for digest in self.digests
            for which in ((digest, False), (digest, True))
            if len(self._answers.get(which, _Answers()).scores) < MAX_ANSWERS
        ]
        if not any(self._counts.get(which, Side()).requests for which in lacking):
            return
        since_s = max(self.began_s, max(self._seen.values(), default=0.0) - LATE_S)
        self._seen = {id: at for id, at in self._seen.items() if at >= since_s}
        for passport in scan(self.paths, self.pipeline, since_s):
            if passport.id not in self._seen:
                self._seen[passport.id] = passport.time_s
                yield passport

    def _signature(self, passport: Passport) -> Signature | None:
        if passport.logged != "full" or passport.digest not in self.digests:
            return None
        return self._signatures[self.digests.index(passport.digest)]

    def _of(self, passport: Passport) -> _Answers:
        return self._answers.setdefault((passport.digest, passport.rehearsal), _Answers())


def _added(side: Side, more: Side) -> Side:
    return Side(
        side.requests + more.requests,
        side.errors + more.errors,
        tuple(a + b for a, b in zip(side.latency, more.latency, strict=True)),
    )


def _scores(signature: Signature, outputs: dict[str, Any]) -> Array | None:
    """One number for each row: score, value, or how sure it is of its class; None for no such."""
    name = {"binary": "score", "regression": "value", "multiclass": "scores"}.get(signature.task)
    values = outputs.get(name) if name else None
    if not values:
        return None
    found = np.array(values, np.float64)
    return found.max(axis=1) if found.ndim == 2 else found


def _losses(signature: Signature, passport: Passport, outcome: Any) -> list[float]:
    """How wrong each row was, within [0, 1]: (score - label)^2, or 1 for another class.

    An outcome speaks of one row, or is a list with one for each. Numbers have no loss with bounds:
    a regression is judged by its answers alone.
    """
    if signature.task not in ("binary", "multiclass"):
        return []
    found = outcome if isinstance(outcome, list) else [outcome]
    answers = passport.outputs.get("score" if signature.task == "binary" else "scores") or []
    losses: list[float] = []
    for answer, truth in zip(answers, found, strict=False):
        label = label_of(signature, truth)
        if label is None:
            continue
        is_score = signature.task == "binary"
        losses.append((answer - label) ** 2 if is_score else float(np.argmax(answer) != int(label)))
    return losses
