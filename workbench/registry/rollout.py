"""A new release on real traffic: it begins as a challenger, and is promoted or withdrawn.

Each step is an event of the release log with its reason and evidence, then the server's pointer
moves. MLflow follows with the next `workbench sync`: whoever watches a server imports it never.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.core.errors import ReleaseError
from workbench.execution.lock import hold
from workbench.metering import facts
from workbench.registry import history, releases, store
from workbench.registry.history import CHALLENGER, CHAMPION
from workbench.registry.log import Event, append, read_log
from workbench.registry.pointer import point
from workbench.registry.releases import LOCK_WAIT_S
from workbench.storage.bundle import read_signature
from workbench.storage.likeness import unlike
from workbench.storage.pointer import Mode, Traffic

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from workbench.core.paths import Paths

WATCHER = "workbench"
"""Who decides, where it is no person."""


@dataclass(frozen=True)
class Rollout:
    """Where a pipeline's releases stand: events of the aliases, None for those that are free.

    before: number of the release that a rollback goes back to.
    """

    pipeline: str
    champion: Event | None
    challenger: Event | None
    before: int | None
    events: Sequence[Event] = field(default=(), repr=False)


def standing(paths: Paths, pipeline: str) -> Rollout:
    """Read it from the log."""
    events = read_log(paths, pipeline)
    stand = history.aliases(events)
    before = history.before_champion(events)
    return Rollout(pipeline, stand.get(CHAMPION), stand.get(CHALLENGER), before, events)


def begin(
    paths: Paths,
    pipeline: str,
    release: int | None,
    mode: Mode,
    weight: float = 1.0,
    sticky: str | None = None,
) -> Rollout:
    """Let a release challenge the champion: today's challenger, or the newest that is not champion.

    weight: share of the requests, above 0 and at most 1. sticky: see `Traffic`. ReleaseError where
    there is nobody to challenge, the release is not here, or could not answer in his place.
    """
    if not 0 < weight <= 1:
        raise ReleaseError(
            f"A share of {weight:g} of the requests cannot be.", fix="`--canary 0.1` is a tenth"
        )
    traffic = Traffic(mode, weight, sticky)
    with _held(paths, pipeline):
        now = standing(paths, pipeline)
        chosen = _chosen(now, release)
        _check(paths, now, chosen)
        rival = now.challenger
        if rival and rival.digest == chosen.digest and rival.traffic == traffic:
            return now
        _move(paths, _event(paths, chosen, CHALLENGER, None, traffic=traffic))
        return standing(paths, pipeline)


def promote(
    paths: Paths,
    pipeline: str,
    reason: str,
    evidence: Mapping[str, Any] | None = None,
    by: str | None = None,
) -> Rollout:
    """Make the challenger champion; ReleaseError without one."""
    with _held(paths, pipeline):
        rival = _challenger(paths, pipeline)
        if not store.has(paths, rival.digest):
            raise _not_here(rival)
        _move(paths, _event(paths, rival, CHAMPION, reason, evidence, by))
        return standing(paths, pipeline)


def withdraw(
    paths: Paths,
    pipeline: str,
    reason: str,
    evidence: Mapping[str, Any] | None = None,
    by: str | None = None,
) -> Rollout:
    """Take the challenger from the traffic; it does not come back by itself."""
    if not reason.strip():
        raise ReleaseError("To withdraw needs a reason.", fix='`--reason "why"`')
    with _held(paths, pipeline):
        rival = _challenger(paths, pipeline)
        gone = _event(paths, rival, CHALLENGER, reason, evidence, by, kind="withdrawn")
        _move(paths, gone)
        return standing(paths, pipeline)


def roll_back_champion(
    paths: Paths,
    pipeline: str,
    reason: str,
    evidence: Mapping[str, Any] | None = None,
    by: str | None = None,
) -> Rollout:
    """Make the release before the champion again."""
    releases.rollback(paths, pipeline, reason=reason, evidence=evidence, by=by, mirrored=False)
    return standing(paths, pipeline)


def _held(paths: Paths, pipeline: str) -> AbstractContextManager[None]:
    return hold(paths.lock(f"{pipeline}.release"), f"release of {pipeline}", wait_s=LOCK_WAIT_S)


def _challenger(paths: Paths, pipeline: str) -> Event:
    rival = standing(paths, pipeline).challenger
    if rival is None:
        raise ReleaseError(
            f"Pipeline '{pipeline}' has no challenger.",
            fix=f"`workbench deploy {pipeline} --canary 0.1`",
        )
    return rival


def _chosen(now: Rollout, number: int | None) -> Event:
    """The release event that is to challenge."""
    made = history.releases(now.events)
    if now.champion is None:
        raise ReleaseError(
            f"'{now.pipeline}' has no champion that could be challenged.",
            fix=f"run `workbench release {now.pipeline}`",
        )
    if number is None and now.challenger is not None:
        return made.get(now.challenger.release or 0, now.challenger)
    others = [n for n, event in made.items() if event.digest != now.champion.digest]
    if number is None and others:
        number = max(others)
    if number is None or (number in made and number not in others):
        raise ReleaseError(
            f"Release {now.champion.release} of '{now.pipeline}' is the champion; "
            "there is no other to challenge it with."
            if number is None
            else f"Release {number} of '{now.pipeline}' is the champion: it cannot challenge "
            "itself.",
            kept="the champion",
            fix=f"change something, `workbench repro {now.pipeline} --no-release`, then "
            f"`workbench release {now.pipeline} --challenger`",
        )
    if number not in made:
        known = ", ".join(str(n) for n in made)
        raise ReleaseError(f"'{now.pipeline}' has no release {number}. Choose from: {known}.")
    return made[number]


def _check(paths: Paths, now: Rollout, chosen: Event) -> None:
    """It is here, and answers what the champion is asked."""
    champion = now.champion
    assert champion is not None  # _chosen refuses without one
    for event in (champion, chosen):
        if not store.has(paths, event.digest):
            raise _not_here(event)
    signatures = [read_signature(paths.bundles / e.digest) for e in (champion, chosen)]
    if reason := unlike(*signatures):
        raise ReleaseError(
            f"Release {chosen.release} of '{now.pipeline}' cannot answer in the champion's place: "
            f"{reason}.",
            kept="the champion",
            fix=f"serve it under a pipeline of its own, or run `workbench release {now.pipeline}`",
        )


def _not_here(event: Event) -> ReleaseError:
    return ReleaseError(
        f"The bundle {event.digest[:12]} of release {event.release} is not in this checkout, "
        "or was altered.",
        kept="what is served now",
        fix="check out the commit of that release, `dvc pull`, then `workbench release`",
    )


def _event(
    paths: Paths,
    of: Event,
    alias: str,
    reason: str | None,
    evidence: Mapping[str, Any] | None = None,
    by: str | None = None,
    *,
    kind: Any = "alias",
    traffic: Traffic | None = None,
) -> Event:
    return Event(
        kind,
        of.pipeline,
        of.digest,
        of.run_id,
        of.release,
        alias=alias,
        reason=reason,
        traffic=traffic,
        evidence=dict(evidence or {}),
        commit=facts.commit(paths.root).sha,
        user=by or facts.user(),
    )


def _move(paths: Paths, event: Event) -> None:
    append(paths, event.pipeline, [event])
    point(paths, event.pipeline, read_log(paths, event.pipeline))
