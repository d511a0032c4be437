from __future__ import annotations

import time

import pytest

from tests.serving import contenders
from workbench.core.paths import Paths
from workbench.monitoring import trial as module
from workbench.monitoring.trial import Tail, Trial
from workbench.storage.predictions.log import PassportLog
from workbench.storage.predictions.outcomes import record_outcome
from workbench.storage.predictions.passport import Passport, time_of
from workbench.storage.windows import BOUNDS_MS, ServingWindow, append_windows


@pytest.fixture
def paths(tmp_path) -> Paths:
    return Paths(tmp_path, tmp_path / ".workbench")


@pytest.fixture
def digests(paths, tmp_path, monkeypatch) -> list[str]:
    monkeypatch.setattr(module, "ANSWERS_S", 0.0)
    monkeypatch.setattr(module, "PATIENCE", 0)
    return contenders.released(
        paths, contenders.good(tmp_path / "a"), contenders.good(tmp_path / "b", shift=1.0)
    )


def window(digest: str, alias: str, requests: int, end_s: float, **more) -> ServingWindow:
    latency = [0] * (len(BOUNDS_MS) + 1)
    latency[4] = requests
    return ServingWindow(
        start_s=end_s - 1,
        end_s=end_s,
        pid=1,
        pipeline=more.pop("pipeline", "fraud"),
        alias=alias,
        release=1,
        digest=digest,
        requests=requests,
        latency=tuple(latency),
        **more,
    )


def answered(log: PassportLog, digest: str, alias: str, score: float, rehearsal=False) -> str:
    id = log.next_id()
    log.append(
        Passport(
            id=id,
            time_s=time_of(id),
            pipeline="fraud",
            alias=alias,
            digest=digest,
            release=1,
            run_id="run",
            inputs={"amount": [1.0]},
            outputs={"score": [score]},
            latency_ms=1.0,
            rehearsal=rehearsal,
        )
    )
    return id


def test_what_each_side_did_since_the_rollout_began_is_counted_as_it_is_written(paths, digests):
    now = time.time()
    trial = Trial(paths, "fraud", digests[0], digests[1], now)
    append_windows(
        paths.serving_windows,
        [
            window(digests[0], "champion", 100, now - 5),  # before
            window(digests[0], "champion", 90, now + 1, errors=2),
            window(digests[1], "challenger", 10, now + 1),
            window(digests[1], "challenger", 10, now + 1, pipeline="other"),
            window("e" * 64, "challenger", 10, now + 1),  # of an earlier rollout
        ],
    )
    champion, challenger, rehearsal = trial.sides()
    assert (champion.requests, champion.errors, challenger.requests) == (90, 2, 10)
    assert not rehearsal
    append_windows(paths.serving_windows, [window(digests[1], "shadow", 5, now + 2, errors=1)])
    _, challenger, _ = trial.sides()
    assert (challenger.requests, challenger.errors, challenger.latency[4]) == (15, 1, 15)


def test_a_rehearsal_counts_only_where_there_is_no_life(paths, digests):
    now = time.time()
    trial = Trial(paths, "fraud", digests[0], digests[1], now)
    append_windows(
        paths.serving_windows, [window(digests[1], "challenger", 10, now + 1, rehearsal=True)]
    )
    assert [trial.sides()[1].requests, trial.sides()[2]] == [10, True]
    append_windows(paths.serving_windows, [window(digests[0], "champion", 7, now + 1)])
    champion, challenger, rehearsal = trial.sides()
    assert (champion.requests, challenger.requests, rehearsal) == (7, 0, False)


def test_answers_and_outcomes_of_both_sides_are_read_once_each(paths, digests):
    trial = Trial(paths, "fraud", digests[0], digests[1], time.time() - 1)
    now = time.time()
    append_windows(
        paths.serving_windows,
        [window(digests[0], "champion", 3, now + 1), window(digests[1], "challenger", 2, now + 1)],
    )
    log = PassportLog(paths.predictions)
    ids = [answered(log, digests[0], "champion", score) for score in (0.1, 0.2, 0.9)]
    ids += [answered(log, digests[1], "challenger", score) for score in (0.5, 0.25)]
    log.flush()
    for _ in range(2):
        champion, challenger, _ = trial.sides()
        assert sorted(champion.scores) == [0.1, 0.2, 0.9]
        assert sorted(challenger.scores) == [0.25, 0.5]
    answered(log, digests[1], "challenger", 0.75)
    for id, outcome in ((ids[0], 0), (ids[2], 0), (ids[2], 1), (ids[4], True), (ids[1], "what")):
        record_outcome(paths.predictions, id, outcome, time.time())
    log.close()
    champion, challenger, _ = trial.sides()
    assert sorted(challenger.scores) == [0.25, 0.5, 0.75]
    assert sorted(champion.losses) == pytest.approx([0.1**2, 0.1**2])
    assert list(challenger.losses) == pytest.approx([0.75**2])


def test_a_line_that_is_being_written_is_read_when_it_is_whole(paths):
    now = time.time()
    append_windows(paths.serving_windows, [window("d" * 64, "champion", 1, now)])
    (path,) = paths.serving_windows.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    tail = Tail(paths.serving_windows, now - 10)
    assert [found.requests for found in tail.new()] == [1]
    path.write_bytes(whole + whole.replace(b'"requests":1', b'"requests":2') + b"torn}\n" + whole)
    assert [found.requests for found in tail.new()] == [2, 1]
    assert list(tail.new()) == []
