"""Making ledger and MLflow true from what stages left behind; safe to repeat, at any time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from workbench.core.errors import BusyError, WorkbenchError
from workbench.execution.lock import hold
from workbench.metering.ledger import Ledger
from workbench.metering.runs import RECORD, read_run, read_runs, read_series, reap
from workbench.metering.site import Site
from workbench.tracking import evidence, truth, writing
from workbench.tracking.served import serving_records
from workbench.tracking.store import Known, Store

if TYPE_CHECKING:
    from workbench.core.params import SiteParams
    from workbench.core.paths import Paths
    from workbench.core.records import RunRecord
    from workbench.tracking.evidence import Evidence
    from workbench.tracking.truth import Truth

LOCK_WAIT_S = 120.0

T = TypeVar("T")


@dataclass(frozen=True)
class Synced:
    """What a sync did.

    reaped: runs whose process was gone. rows: new rows in the ledger. new, updated, current: runs
    made in MLflow, brought up to date, and found complete; restored: how many of the new ones came
    from DVC's cache. problems: what could not be done now; the next sync completes it.
    """

    reaped: int = 0
    rows: int = 0
    new: int = 0
    updated: int = 0
    current: int = 0
    restored: int = 0
    problems: tuple[WorkbenchError, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """A run that MLflow should have, without the work of spelling it out yet."""

    run_id: str
    digest: str
    record: RunRecord | None
    evidence: Evidence | None


def sync(paths: Paths, site_params: SiteParams) -> Synced:
    """Make the ledger and MLflow true from run records and candidates.

    A store that is out of reach is told in `problems` and stops nothing else: training never
    waits for tracking. BusyError if another sync does not end within two minutes.
    """
    site = Site(**site_params.model_dump())
    with hold(paths.lock("sync"), "sync of this checkout", wait_s=LOCK_WAIT_S):
        reaped = len(reap(paths))
        records = read_runs(paths)
        problems: list[WorkbenchError] = []
        served = serving_records(paths.serving_windows, paths.bundles, time.time())
        rows = _told(problems, lambda: _append(paths, records + served, site)) or 0
        for folder in sorted(paths.root.glob("data/*/candidate")):
            _told(problems, lambda name=folder.parent.name: evidence.collect(paths, name))
        done = _told(problems, lambda: track(paths, site, Store(paths), records)) or Synced()
        return replace(done, reaped=reaped, rows=rows, problems=tuple(problems))


def track(paths: Paths, site: Site, store: Store, records: list[RunRecord]) -> Synced:
    """Make MLflow's runs true for these records and all kept candidates."""
    done = Synced()
    for pipeline, wanted in _wanted(paths, records).items():
        known = store.known(pipeline)
        open_ = [w for w in wanted if not _complete(w, known)]
        done = replace(done, current=done.current + len(wanted) - len(open_))
        experiment = store.experiment(pipeline) if open_ else ""
        for one in open_:
            before = known.get(one.run_id)
            series = read_series(paths, one.run_id) if one.record else []
            writing.write(store, experiment, _spelled(paths, one, site), series, before)
            done = replace(
                done,
                new=done.new + (before is None),
                updated=done.updated + (before is not None),
                restored=done.restored + (before is None and one.record is None),
            )
    return done


def track_one(paths: Paths, site: Site, store: Store, run_id: str) -> None:
    """Bring a run that is under way up to date in MLflow: live curves.

    One that has ended is left to `sync`, which knows its candidate; so is one while a sync works.
    """
    record = read_run(paths, run_id)
    if record is None or record.state != "running":
        return
    with contextlib.suppress(BusyError), hold(paths.lock("sync"), "sync of this checkout"):
        before = store.known(record.pipeline).get(run_id)
        one = Wanted(run_id, _digest(paths, record, None), record, None)
        experiment = store.experiment(record.pipeline)
        series = read_series(paths, run_id)
        writing.write(store, experiment, _spelled(paths, one, site), series, before)


def _append(paths: Paths, records: list[RunRecord], site: Site) -> int:
    ledger = Ledger(paths.ledger_url)
    ledger.ensure()
    have = ledger.run_ids()
    return ledger.append_all([r for r in records if r.id not in have], site)


def _wanted(paths: Paths, records: list[RunRecord]) -> dict[str, list[Wanted]]:
    """Every run that MLflow should have, by pipeline: trainings, and models without one."""
    kept = evidence.read_evidence(paths)
    found: dict[str, list[Wanted]] = {}
    trained = set()
    for record in records:
        if record.stage == "train":
            made = record.outputs.get("train", "")
            trained.add(made)
            one = Wanted(record.id, _digest(paths, record, kept.get(made)), record, kept.get(made))
            found.setdefault(record.pipeline, []).append(one)
    for train, seen in kept.items():
        if train not in trained:
            run_id = evidence.restored_id(train)
            one = Wanted(run_id, truth.digest_of(b"", seen), None, seen)
            found.setdefault(seen.candidate["pipeline"], []).append(one)
    return found


def _complete(one: Wanted, known: dict[str, Known]) -> bool:
    """Whether MLflow has it whole; a model of a colleague's run needs none of ours."""
    if one.record and one.record.state == "running":
        return False
    if one.run_id in known:
        return known[one.run_id].synced == one.digest
    return one.record is None and any(
        k.trained == one.evidence.train for k in known.values() if one.evidence
    )


def _digest(paths: Paths, record: RunRecord, seen: Evidence | None) -> str:
    return truth.digest_of((paths.runs / record.id / RECORD).read_bytes(), seen)


def _spelled(paths: Paths, one: Wanted, site: Site) -> Truth:
    if one.record:
        return truth.recorded(paths, one.record, one.evidence, site, one.digest)
    assert one.evidence is not None  # a run without a record comes from a candidate
    return truth.restored(one.evidence, one.digest)


def _told(problems: list[WorkbenchError], work: Callable[[], T]) -> T | None:
    """Do one part of a sync; what goes wrong is told and does not stop the others."""
    try:
        return work()
    except WorkbenchError as error:
        problems.append(error)
        return None
