from __future__ import annotations

import shutil

import msgspec
import numpy as np
import pytest

from tests.serving import bundles
from workbench.core.deploy import Log
from workbench.core.errors import BundleError, DataError, ReleaseError, StateError
from workbench.core.files import read_json, write_json
from workbench.core.records import VERSION, Commit, Usage, Window
from workbench.serving.explain import _is_close, explain, replay
from workbench.serving.predict import predict
from workbench.storage.bundle import seal
from workbench.storage.origin import Origin, write_origin
from workbench.storage.predictions.log import PassportLog
from workbench.storage.predictions.passport import time_of
from workbench.storage.predictions.reading import find_passport
from workbench.storage.windows import ServingWindow, append_windows

ROWS = [{"amount": 100.0, "country": "fr", "paid_at": "2026-05-09"}, {"amount": None}]


@pytest.fixture
def answered(paths, tmp_path):
    """The champion's target and an answer of it, with its passport on file."""
    target = bundles.release(paths, "fraud", bundles.fraud(tmp_path / "bundle"), number=3)
    return target, predict(paths, "fraud", ROWS)


def origin(digest: str) -> Origin:
    return Origin(
        version=VERSION,
        digest=digest,
        pipeline="fraud",
        run_id="run-3",
        commit=Commit(sha="abc123", branch="main", dirty=True),
        notebook="pipelines/fraud.py",
        function="model",
        fingerprint="f00d",
        data={"clean": "d1"},
        as_of="2026-06-30",
        window=Window("train", 0, 8, 8, 7, 1, (Usage("cpu", 0.002, 0.001, 0.003, "modelled"),)),
    )


def test_a_prediction_without_a_server_answers_as_the_server_does(answered):
    target, answer = answered
    assert (answer.release, answer.digest) == (3, target.digest)
    assert answer.outputs["decision"] == [True, False]
    assert answer.notice.startswith("A machine")


def test_a_prediction_is_explained_back_to_code_and_data(paths, answered):
    target, answer = answered
    write_origin(paths.bundles, origin(target.digest))
    found = explain(paths, answer.id)
    assert found.verified
    assert found.origin == origin(target.digest)
    assert found.passport.rows[0] == ROWS[0]
    steps = dict(found.steps())
    assert steps["notice"].startswith("A machine decided")
    assert steps["release"] == "fraud 3, champion at the time"
    assert steps["bundle"] == f"{target.digest} (verified)"
    assert steps["signature"].startswith("signed by this checkout (key ")
    assert steps["commit"] == "abc123 with uncommitted changes"
    assert steps["data"] == "clean=d1, as of 2026-06-30"
    assert steps["training"] == "8.0 s, cpu 2,000 mWh (modelled)"


def test_what_is_not_known_is_said_and_not_invented(paths, answered):
    steps = dict(explain(paths, answered[1].id).steps())
    assert steps["origin"] == "not known: no record beside the bundle"
    assert "commit" not in steps


def test_an_explanation_says_that_the_bundle_was_altered_since(paths, answered):
    target, answer = answered
    (paths.bundles / target.digest / "model.onnx").write_bytes(b"other")
    found = explain(paths, answer.id)
    assert not found.verified
    assert "model.onnx" in found.problem
    assert replay(paths, answer.id).verdict == "bundle altered"


def test_a_replay_is_equal_to_the_bit(paths, answered):
    found = replay(paths, answered[1].id)
    assert (found.verdict, found.max_difference) == ("equal", 0.0)


def test_an_answer_of_two_releases_ago_is_explained_and_replayed(paths, answered, tmp_path):
    target, answer = answered
    for number, weight in ((4, 0.02), (5, 0.03)):
        folder = bundles.fraud(tmp_path / str(number), weight=weight)
        bundles.release(paths, "fraud", folder, number=number)
    later = predict(paths, "fraud", ROWS)
    assert later.release == 5
    assert later.outputs["score"][0] != answer.outputs["score"][0]
    found = explain(paths, answer.id)
    assert (found.passport.release, found.passport.digest) == (3, target.digest)
    assert found.verified
    assert replay(paths, answer.id).verdict == "equal"
    assert replay(paths, later.id).verdict == "equal"


def altered(paths, id: str, **fields) -> str:
    """Log the passport of `id` again under another id, with other fields; return that id."""
    log = PassportLog(paths.predictions)
    again = log.next_id()
    passport = find_passport(paths, id)
    log.append(msgspec.structs.replace(passport, id=again, time_s=time_of(again), **fields))
    log.close()
    return again


def moved(paths, id: str, by: float) -> str:
    """The same answer with scores that are off by so much."""
    score = find_passport(paths, id).outputs["score"]
    return altered(paths, id, outputs={"score": [value + by for value in score]})


def test_a_replay_is_equal_in_all_but_the_last_bits_of_a_batch(paths, answered):
    found = replay(paths, moved(paths, answered[1].id, 5e-7))
    assert found.verdict == "equal"
    assert found.max_difference == pytest.approx(5e-7, rel=0.1)
    assert "same again, to 5e-07" in found.sentence
    assert replay(paths, moved(paths, answered[1].id, 5e-6)).verdict == "differs"


def test_a_replay_with_another_decision_differs_however_near_it_is(paths, tmp_path):
    score = 0.7310585975646973  # of sigmoid(100 * 0.01 + code 1 - 1), 32 bits
    folder = bundles.fraud(tmp_path / "edge", threshold=score)
    bundles.release(paths, "fraud", folder)
    answer = predict(paths, "fraud", [{"amount": 100.0, "country": "de"}])
    assert answer.outputs["decision"] == [True]
    found = replay(paths, moved(paths, answer.id, -2e-7))
    assert found.max_difference < 1e-6
    assert found.verdict == "differs"


def test_a_replay_takes_no_row_number_for_its_neighbour():
    one, next_one = np.array([2_000_000]), np.array([2_000_001])
    assert _is_close(one.astype(np.float32), next_one.astype(np.float32))
    assert not _is_close(one, next_one)


@pytest.mark.parametrize(
    "outputs", [{}, {"other": [1.0]}, {"score": [0.5]}, {"score": ["x", "y"]}, {"score": None}]
)
def test_a_replay_of_outputs_that_are_of_another_kind_differs(paths, answered, outputs):
    found = replay(paths, altered(paths, answered[1].id, outputs=outputs))
    assert (found.verdict, found.max_difference) == ("differs", None)
    assert found.sentence == "The answer is another one than the one on file."


def test_an_answer_outside_the_sample_is_explained_without_values(paths, answered):
    answer = predict(paths, "fraud", ROWS, lambda _: Log(fraction=0.0))
    steps = dict(explain(paths, answer.id).steps())
    assert steps["inputs"] == "2 rows, not logged: only a sample of the answers is"
    assert steps["bundle"] == f"{answered[0].digest} (verified)"
    found = replay(paths, answer.id)
    assert found.verdict == "not logged in full"
    assert "not logged in full" in found.sentence


def test_private_inputs_are_named_but_not_shown_and_not_replayed(paths, answered):
    answer = predict(paths, "fraud", ROWS, lambda _: Log(private=("country",)))
    steps = dict(explain(paths, answer.id).steps())
    assert "'fr'" not in steps["inputs"]
    assert "amount=100.0" in steps["inputs"]
    assert steps["private"] == "country: stored as hashes only"
    found = replay(paths, answer.id)
    assert found.verdict == "private inputs"
    assert "country" in found.sentence


def window(passport, **fields) -> ServingWindow:
    """What a server measured in the second of an answer."""
    second = passport.time_s - 0.5
    given = {
        "start_s": second,
        "end_s": second + 1.0,
        "pid": 1,
        "pipeline": passport.pipeline,
        "alias": passport.alias,
        "release": passport.release,
        "digest": passport.digest,
        "requests": 40,
        "cpu_s": 0.1,
        "energy_j": 0.4,
        "energy_lo_j": 0.2,
        "energy_hi_j": 0.8,
    }
    return ServingWindow(**(given | fields))


def test_an_answer_costs_its_share_of_its_second(paths, answered):
    passport = find_passport(paths, answered[1].id)
    others = [
        window(passport, start_s=passport.time_s - 1.5, end_s=passport.time_s - 0.5, cpu_s=9.0),
        window(passport, digest="0" * 64, cpu_s=9.0),
        window(passport, alias="shadow", cpu_s=9.0),
        window(passport, rehearsal=True, cpu_s=9.0),
        window(passport, pipeline="shop", cpu_s=9.0),
    ]
    append_windows(paths.serving_windows, [*others, window(passport)])
    share = explain(paths, passport.id).share
    assert share is not None
    assert (share.requests, share.cpu_s) == (40, 0.1 / 40)
    assert (share.energy_j, share.energy_lo_j, share.energy_hi_j) == (0.01, 0.005, 0.02)
    assert dict(explain(paths, passport.id).steps())["cost"] == (
        "2.5 ms of processor time and 10 mJ (modelled, 5 to 20): an equal share of 40 requests "
        "to its release within 1.0 s"
    )


def test_of_several_processes_in_one_second_the_cost_is_the_mean(paths, answered):
    passport = find_passport(paths, answered[1].id)
    windows = [window(passport), window(passport, pid=2, requests=60, cpu_s=0.4, energy_j=None)]
    append_windows(paths.serving_windows, windows)
    share = explain(paths, passport.id).share
    assert share is not None
    assert (share.requests, share.cpu_s, share.energy_j) == (100, 0.5 / 100, None)
    assert "energy not measured" in share.sentence


def test_what_no_server_measured_has_no_cost(paths, answered):
    found = explain(paths, answered[1].id)
    assert found.share is None
    assert dict(found.steps())["cost"] == "not known: no server measured it"


def test_a_replay_measures_how_far_an_answer_is_from_the_one_on_file(paths, answered):
    true = find_passport(paths, answered[1].id)
    found = replay(paths, moved(paths, true.id, 0.25))
    assert found.verdict == "differs"
    assert found.max_difference == pytest.approx(0.25)
    assert found.outputs == true.outputs


def test_a_replay_without_its_bundle_says_so(paths, answered):
    target, answer = answered
    shutil.rmtree(paths.bundles / target.digest)
    assert replay(paths, answer.id).verdict == "bundle missing"
    assert not explain(paths, answer.id).verified


def test_a_bundle_sealed_again_under_an_old_name_is_not_loaded(paths, answered):
    folder = paths.bundles / answered[0].digest
    write_json(folder / "signature.json", read_json(folder / "signature.json") | {"notice": "x"})
    seal(folder)
    with pytest.raises(BundleError, match="was altered"):
        predict(paths, "fraud", ROWS)


def test_predict_names_what_is_wrong(paths, answered):
    with pytest.raises(DataError, match="'amount' must be a number or null"):
        predict(paths, "fraud", [{"amount": "much"}])
    with pytest.raises(ReleaseError, match="Did you mean 'fraud'"):
        predict(paths, "froud", ROWS)


@pytest.mark.parametrize("id", ["", "../../etc", "0" * 28, "f" * 12 + "-000000-00000000"])
def test_an_id_that_names_no_prediction_is_an_error_in_a_sentence(paths, answered, id):
    with pytest.raises(StateError, match="prediction id"):
        explain(paths, id)


def test_an_id_that_is_not_on_file_is_said_with_its_day(paths, answered):
    with pytest.raises(StateError, match="on file for 1970-01-01"):
        explain(paths, "000000000001-000000-00000000")
