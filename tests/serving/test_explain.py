from __future__ import annotations

import shutil

import pytest

from tests.serving import bundles
from workbench.core.errors import BundleError, DataError, ReleaseError, StateError
from workbench.core.files import read_json, write_json
from workbench.core.records import VERSION, Commit, Usage, Window
from workbench.serving.explain import explain, replay
from workbench.serving.passport import PassportLog
from workbench.serving.predict import predict
from workbench.storage.bundle import seal
from workbench.storage.origin import Origin, write_origin

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


def test_a_replay_measures_how_far_an_answer_is_from_the_one_on_file(paths, answered):
    log = PassportLog(paths.predictions)
    true = explain(paths, answered[1].id).passport
    false = {"score": [value + 0.25 for value in true.outputs["score"]]}
    import msgspec

    forged = msgspec.structs.replace(true, id=log.next_id(), outputs=false)
    log.append(forged)
    log.close()
    found = replay(paths, forged.id)
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
