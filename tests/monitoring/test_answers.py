from __future__ import annotations

import time

import numpy as np

from tests.monitoring.deployed import amounts
from workbench.core.deploy import Deploy, Drift
from workbench.monitoring import answers
from workbench.monitoring.answers import watched_answers
from workbench.monitoring.health import Deployed as Release
from workbench.storage.predictions.compaction import compact
from workbench.storage.predictions.log import PassportLog
from workbench.storage.reference import reference_path

SETTINGS = Deploy(drift=Drift(rows=1000))


def looked(deployed, *, digest=None, settings=SETTINGS):
    one = Release("champion", 4, digest or deployed.target.digest)
    return watched_answers(deployed.paths, "fraud", (one,), settings, time.time())


def verdicts(watched):
    return {(drift.kind, drift.column): drift.verdict for drift in watched.drift}


def test_answers_like_training_are_steady(deployed):
    deployed.answer(amounts(1200))
    (watched,) = looked(deployed)
    assert verdicts(watched) == {
        ("input", "amount"): "steady",
        ("input", "country"): "steady",
        ("answer", "score"): "steady",
    }
    assert {drift.rows for drift in watched.drift} == {1000}
    assert (watched.release, watched.rehearsal, watched.notes) == (4, False, ())


def test_only_the_newest_rows_count(deployed):
    deployed.answer(amounts(1000, times=5))
    assert verdicts(looked(deployed)[0])["input", "amount"] == "drifted"
    deployed.answer(amounts(1000))
    assert verdicts(looked(deployed)[0])["input", "amount"] == "steady"


def test_answers_that_moved_are_prediction_drift(deployed):
    scores = np.random.default_rng(3).beta(5, 2, size=1000).tolist()
    deployed.answer(amounts(1000), scores=scores)
    assert verdicts(looked(deployed)[0])["answer", "score"] == "drifted"


def test_a_column_that_nobody_gives_any_more_is_drift(deployed):
    deployed.answer(amounts(1000), inputs={"country": ["de"]})
    found = {drift.column: drift for drift in looked(deployed)[0].drift}
    assert (found["amount"].verdict, found["amount"].missing_fraction) == ("drifted", 1.0)


def test_rehearsals_are_looked_at_apart(deployed):
    deployed.answer(amounts(1000))
    deployed.answer(amounts(1000, times=5), rehearsal=True)
    life, rehearsal = looked(deployed)
    assert (life.rehearsal, verdicts(life)["input", "amount"]) == (False, "steady")
    assert (rehearsal.rehearsal, verdicts(rehearsal)["input", "amount"]) == (True, "drifted")


def test_another_releases_answers_are_not_taken_for_its_own(deployed):
    deployed.answer(amounts(1000, times=5), digest="0" * 64)
    assert looked(deployed) == ()


def test_what_was_sampled_out_says_nothing(deployed):
    deployed.answer(amounts(500), logged="sampled out", inputs={}, outputs={})
    assert looked(deployed) == ()


def test_private_columns_are_not_compared_and_that_is_said(deployed):
    deployed.answer(["hash"] * 1000, private=("amount",))
    (watched,) = looked(deployed)
    assert ("input", "amount") not in verdicts(watched)
    assert watched.notes == ("Not compared, because they are private: amount.",)


def test_without_a_reference_the_way_to_one_is_said(deployed):
    reference_path(deployed.paths.bundles, deployed.target.digest).unlink()
    deployed.answer(amounts(10))
    (watched,) = looked(deployed)
    assert watched.drift == ()
    assert "has no reference" in watched.notes[0]


def test_a_damaged_reference_or_a_missing_bundle_is_said(deployed):
    deployed.answer(amounts(10))
    reference_path(deployed.paths.bundles, deployed.target.digest).write_text("{")
    assert "cannot be read" in looked(deployed)[0].notes[0]
    deployed.answer(amounts(10), digest="0" * 64)
    assert "holds no bundle" in looked(deployed, digest="0" * 64)[0].notes[0]


def test_rows_of_one_request_are_rows(deployed):
    inputs = {"amount": amounts(1000), "country": ["de", "fr"] * 500}
    outputs = {"score": np.random.default_rng(2).random(1000).tolist()}
    deployed.answer([0], inputs=inputs, outputs=outputs)
    (watched,) = looked(deployed)
    assert {drift.rows for drift in watched.drift} == {1000}
    assert set(verdicts(watched).values()) == {"steady"}


def test_closed_segments_are_read_as_well_as_open_ones(deployed):
    deployed.answer(amounts(600, times=5))
    tomorrow = time.time() + 86_400
    assert compact(deployed.paths.predictions, now_s=tomorrow)
    deployed.answer(amounts(400, times=5))
    (watched,) = looked(deployed)
    assert {drift.rows for drift in watched.drift} == {1000}
    assert verdicts(watched)["input", "amount"] == "drifted"


def test_a_line_torn_by_a_crash_is_passed_over(deployed):
    deployed.answer(amounts(20))
    (hot,) = deployed.paths.predictions.glob("day=*/pipeline=fraud/_*.jsonl")
    hot.write_bytes(b'{"id":"torn' + b"\n" + hot.read_bytes() + b'{"id":"')
    (watched,) = looked(deployed)
    assert watched.drift[0].rows == 20


def test_a_canary_is_found_among_many_others_within_a_bound(deployed, monkeypatch):
    log = PassportLog(deployed.paths.predictions)
    deployed.answer(amounts(30), log=log, digest="0" * 64)
    deployed.answer(amounts(300), log=log)
    log.close()
    monkeypatch.setattr(answers, "MAX_READ", 320)
    canary = Release("challenger", 5, "0" * 64)
    champion = Release("champion", 4, deployed.target.digest)
    settings = Deploy(drift=Drift(rows=100))
    found = watched_answers(deployed.paths, "fraud", (champion, canary), settings, time.time())
    assert [watched.release for watched in found] == [4, 5]


def test_true_outcomes_give_quality_by_release(deployed):
    rng = np.random.default_rng(4)
    truth = rng.random(400) < 0.4
    log = PassportLog(deployed.paths.predictions)
    deployed.answer(amounts(400), log=log, scores=((truth + rng.random(400)) / 2).tolist())
    for id, outcome in zip(deployed.ids, truth.tolist(), strict=True):
        log.feedback(id, {"fraud": outcome}, time.time())
    log.close()
    (watched,) = looked(deployed)
    auc = next(one for one in watched.quality if one.metric == "auc")
    assert (auc.rows, auc.released, auc.verdict) == (400, 0.95, "as good")


def test_outcomes_that_do_not_fit_their_answer_are_left_out(deployed):
    log = PassportLog(deployed.paths.predictions)
    deployed.answer(amounts(3), log=log)
    for id, outcome in zip(deployed.ids, ([True, False], "?", {"other": 1}), strict=True):
        log.feedback(id, outcome, time.time())
    log.close()
    (watched,) = looked(deployed)
    assert [(one.value, one.rows) for one in watched.quality] == [(None, 0)]
