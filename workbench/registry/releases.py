"""Releasing: a candidate becomes champion if its gates hold, and a champion can be taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from workbench.core.errors import ReleaseError, TakenBackError, WorkbenchError
from workbench.core.params import read_params
from workbench.execution.lock import hold
from workbench.metering import facts
from workbench.metering.runs import read_runs
from workbench.registry import contender, history, store
from workbench.registry.gates import NO_CHAMPION, THERE_WAS_NONE, Gate, judge
from workbench.registry.history import CHALLENGER, CHAMPION
from workbench.registry.log import Event, append, read_log
from workbench.registry.mirror import mirror
from workbench.registry.pointer import point
from workbench.registry.signing import sign
from workbench.tracking.evidence import run_of
from workbench.tracking.store import Store

if TYPE_CHECKING:
    from workbench.core.paths import Paths
    from workbench.registry.contender import Contender

LOCK_WAIT_S = 30.0
TAKEN_BACK = "not taken back"
How = Literal["new", "again", "same", "back", "now", "challenger"]


@dataclass(frozen=True)
class Release:
    """A numbered bundle whose gates were judged.

    how: `new`; `again` for one released before that becomes champion once more; `same` when it is
    the champion already; `back` after a rollback; `now` when only asked for; `challenger` when it
    has yet to prove itself on traffic. time: of the event,
    ISO 8601 UTC. problems: what could not be mirrored now; `workbench sync` completes it.
    """

    pipeline: str
    number: int
    digest: str
    run_id: str
    time: str
    gates: tuple[Gate, ...] = ()
    override: str | None = None
    reason: str | None = None
    commit: str | None = None
    how: How = "now"
    problems: tuple[WorkbenchError, ...] = ()

    @property
    def sentence(self) -> str:
        """What happened, for people."""
        how = {
            "new": "is the new champion",
            "again": "is champion again",
            "same": "is still the champion",
            "back": "is champion again after a rollback",
            "now": "is the champion",
            "challenger": "is the challenger",
        }[self.how]
        return f"{self.pipeline} release {self.number} ({self.digest[:12]}) {how}."


@dataclass(frozen=True)
class Mirrored:
    """What `sync_registry` did: model versions made, pointers moved, and what could not be done."""

    versions: int = 0
    pointers: int = 0
    problems: tuple[WorkbenchError, ...] = ()


def release(
    paths: Paths, pipeline: str, *, override: str | None = None, challenger: bool = False
) -> Release:
    """Judge the workspace's candidate and make it champion.

    Idempotent by the bundle's digest. override: the reason for a release against failing gates.
    challenger: let it wait for traffic beside the champion instead; one that does stays it, unless
    there is an override.
    Raises ReleaseError when gates do not hold (recorded once for each pair of candidate and
    champion), TakenBackError when all that speaks against it is an earlier rollback, BundleError
    when the bundle was altered.
    """
    if override is not None and not override.strip():
        raise ReleaseError("An override needs a reason.", fix='`--override "why"`')
    gates = read_params(paths.params).block(pipeline).serve.gates
    with hold(paths.lock(f"{pipeline}.release"), f"release of {pipeline}", wait_s=LOCK_WAIT_S):
        candidate = contender.candidate(paths, pipeline)
        events = read_log(paths, pipeline)
        earlier = history.release_of(events, candidate.digest)
        stand = history.aliases(events)
        now, rival = stand.get(CHAMPION), stand.get(CHALLENGER)
        if challenger and now is None:
            raise ReleaseError(
                f"'{pipeline}' has no champion that could be challenged.",
                fix=f"run `workbench release {pipeline}`",
            )
        run_id = earlier.run_id if earlier else _run_id(paths, pipeline, candidate)
        if now and now.digest == candidate.digest:
            store.keep(paths, candidate, pipeline, run_id)  # a clone may lack it
            return _settle(paths, pipeline, events, "same")
        if rival and rival.digest == candidate.digest and override is None:
            return _settle(paths, pipeline, events, "challenger")
        judged = (
            *judge(candidate, _champion(paths, now), gates),
            *_taken_back(events, candidate.digest),
        )
        failing = [gate for gate in judged if not gate.holds]
        if failing and override is None:
            _refuse(paths, pipeline, candidate, events, judged, run_id)
        store.keep(paths, candidate, pipeline, run_id)
        number = (earlier and earlier.release) or max(history.releases(events), default=0) + 1
        made = Event(
            "release",
            pipeline,
            candidate.digest,
            run_id,
            number,
            gates=judged,
            override=override if failing else None,
            commit=facts.commit(paths.root).sha,
            user=facts.user(),
        )
        name = CHALLENGER if challenger else CHAMPION
        alias = replace(made, event="alias", alias=name, gates=judged if earlier else ())
        append(paths, pipeline, [alias] if earlier else [made, alias])
        how: How = "challenger" if challenger else "again" if earlier else "new"
        return _settle(paths, pipeline, read_log(paths, pipeline), how, judged)


def rollback(
    paths: Paths,
    pipeline: str,
    to: int | None = None,
    *,
    reason: str,
    evidence: Mapping[str, Any] | None = None,
    by: str | None = None,
    mirrored: bool = True,
) -> Release:
    """Make an earlier release champion again: the one before, or number `to`.

    The release that is left will not come back by itself: its gate `not taken back` fails until
    someone overrides it. by: who decides, where it is no person. mirrored: tell MLflow now, which
    takes seconds; `workbench sync` does it otherwise.
    """
    if not reason.strip():
        raise ReleaseError("A rollback needs a reason.", fix='`--reason "why"`')
    with hold(paths.lock(f"{pipeline}.release"), f"release of {pipeline}", wait_s=LOCK_WAIT_S):
        events = read_log(paths, pipeline)
        releases = history.releases(events)
        now = history.aliases(events).get(CHAMPION)
        if now is None:
            raise ReleaseError(f"Pipeline '{pipeline}' has no champion to take back.")
        target = to if to is not None else history.before_champion(events)
        if target is None:
            raise ReleaseError(
                f"Release {now.release} of '{pipeline}' had no champion before it.",
                kept=f"release {now.release} as champion",
            )
        if target not in releases:
            known = ", ".join(str(number) for number in releases)
            raise ReleaseError(f"'{pipeline}' has no release {target}. Choose from: {known}.")
        chosen = releases[target]
        if not store.has(paths, chosen.digest):
            raise ReleaseError(
                f"The bundle {chosen.digest[:12]} of release {target} is not in this checkout, "
                "or was altered.",
                kept=f"release {now.release} as champion",
                fix="check out the commit of that release, `dvc pull`, then `workbench release`",
            )
        sign(paths, chosen.digest)
        if target != now.release:
            moved = Event(
                "alias",
                pipeline,
                chosen.digest,
                chosen.run_id,
                target,
                alias=CHAMPION,
                rollback=True,
                reason=reason,
                evidence=dict(evidence or {}),
                commit=facts.commit(paths.root).sha,
                user=by or facts.user(),
            )
            append(paths, pipeline, [moved])
        return _settle(paths, pipeline, read_log(paths, pipeline), "back", mirrored=mirrored)


def champion(paths: Paths, pipeline: str) -> Release | None:
    """Return the release that is champion by the log, None before the first."""
    return _stand(pipeline, read_log(paths, pipeline))


def sync_registry(paths: Paths) -> Mirrored:
    """Make MLflow's registry and the server's pointer true from all release logs."""
    versions = pointers = 0
    problems: list[WorkbenchError] = []
    tracking = Store(paths)
    for file in sorted(paths.release_log("any").parent.glob("*.jsonl")):
        pipeline = file.stem
        try:
            with hold(
                paths.lock(f"{pipeline}.release"), f"release of {pipeline}", wait_s=LOCK_WAIT_S
            ):
                events = read_log(paths, pipeline)
                try:
                    versions += mirror(paths, pipeline, events, tracking)
                except WorkbenchError as error:
                    problems.append(error)
                pointers += point(paths, pipeline, events)
        except WorkbenchError as error:
            problems.append(error)
    return Mirrored(versions, pointers, tuple(problems))


def _settle(
    paths: Paths,
    pipeline: str,
    events: Sequence[Event],
    how: How,
    judged: tuple[Gate, ...] | None = None,
    mirrored: bool = True,
) -> Release:
    """Mirror the log in MLflow, which may be out of reach, then move the server's pointer."""
    problems: tuple[WorkbenchError, ...] = ()
    try:
        if mirrored:
            mirror(paths, pipeline, events, Store(paths))
    except WorkbenchError as error:
        problems = (error,)
    point(paths, pipeline, events)
    stand = _stand(pipeline, events, CHALLENGER if how == "challenger" else CHAMPION)
    assert stand is not None  # an alias was just written or found
    found = replace(stand, how=how, problems=problems)
    return replace(found, gates=_as_of_then(found.gates) if judged is None else judged)


def _as_of_then(gates: tuple[Gate, ...]) -> tuple[Gate, ...]:
    """Gates that were judged at the release: there is a champion now."""
    return tuple(
        replace(gate, sentence=gate.sentence.replace(NO_CHAMPION, THERE_WAS_NONE)) for gate in gates
    )


def _stand(pipeline: str, events: Sequence[Event], name: str = CHAMPION) -> Release | None:
    alias = history.aliases(events).get(name)
    if alias is None or alias.release is None:
        return None
    made = history.releases(events).get(alias.release, alias)
    return Release(
        pipeline,
        alias.release,
        alias.digest,
        alias.run_id,
        alias.time,
        alias.gates or made.gates,
        alias.override or made.override,
        alias.reason,
        made.commit,
    )


def _run_id(paths: Paths, pipeline: str, candidate: Contender) -> str:
    return run_of(read_runs(paths), pipeline, candidate.candidate["data"]["train"])


def _champion(paths: Paths, now: Event | None) -> Contender | str | None:
    """Today's champion to compare with, or why that cannot be."""
    if now is None:
        return None
    found = contender.released(paths, now.digest)
    return found or f"the bundle of release {now.release} is not in this checkout"


def _taken_back(events: Sequence[Event], digest: str) -> list[Gate]:
    """A bundle that was rolled back does not come back by itself with the next repro."""
    taken = history.rolled_back(events, digest)
    if taken is None:
        return []
    text = f"It was taken back on {taken.time[:10]}: {taken.reason}."
    return [Gate(TAKEN_BACK, None, None, None, None, "fail", text)]


def _refuse(
    paths: Paths,
    pipeline: str,
    candidate: Contender,
    events: Sequence[Event],
    judged: tuple[Gate, ...],
    run_id: str,
) -> None:
    """Record the refusal, once for this candidate against this champion, and raise it."""
    now = history.aliases(events).get(CHAMPION)
    against = now.digest if now else None
    known = any(
        e.event == "refused" and e.digest == candidate.digest and e.champion == against
        for e in events
    )
    if not known:
        refusal = Event(
            "refused",
            pipeline,
            candidate.digest,
            run_id,
            gates=judged,
            champion=against,
            commit=facts.commit(paths.root).sha,
            user=facts.user(),
        )
        append(paths, pipeline, [refusal])
    kept = f"release {now.release} as champion" if now else "the candidate; nothing is released"
    override = f'`workbench release {pipeline} --override "reason"`'
    failing = [gate for gate in judged if not gate.holds]
    taken = history.rolled_back(events, candidate.digest)
    if taken and all(gate.name == TAKEN_BACK for gate in failing):
        raise TakenBackError(
            f"Candidate {candidate.digest[:12]} of '{pipeline}' was taken back on "
            f"{taken.time[:10]} ({taken.reason}), so it is not released again.",
            kept=kept,
            fix=f"change something, or put it back: {override}",
        )
    said = ". ".join(f"{gate.name}: {gate.sentence.rstrip('.')}" for gate in failing)
    raise ReleaseError(
        f"Candidate {candidate.digest[:12]} of '{pipeline}' does not hold its gates. {said}.",
        kept=kept,
        fix=f"make it better, or run {override}",
    )
