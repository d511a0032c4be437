"""Traps of DVC, Git and Python that were met by trying, each on real parts."""

from __future__ import annotations

import json
import subprocess

from tests.checkout import STAGE, Checkout, ended
from tests.servers import free_port
from workbench.core.files import read_json
from workbench.core.paths import STAGES
from workbench.metering.ledger import Ledger
from workbench.registry.log import read_log
from workbench.tracking.store import Store

SAME_TEXT = 'rows.mutate(ordered_at=rows["time"])'


def planned(checkout: Checkout, **environ: str) -> dict[str, str]:
    """What `workbench status` says that the next run does, by stage."""
    said = checkout.workbench("status", "--json", **environ).ok()
    return {step["name"].split("@")[0]: step["action"] for step in json.loads(said.text)}


def ran(text: str) -> list[str]:
    """What `dvc repro` ran, by stage."""
    lines = [line.split("'")[1] for line in text.splitlines() if line.startswith("Running stage")]
    return [name.split("@")[0] for name in lines]


def test_status_says_what_dvc_will_run_after_an_edit_of_prose(small: Checkout) -> None:
    small.edit("pipelines/small.py", "As small as it gets", "Tiny")
    small.edit("pipelines/small.py", "import marimo\n", "import marimo  # a word\n")
    plan = planned(small)
    assert plan == {"fingerprint": "run", **{stage: "up to date" for stage in STAGES}}
    assert ran(small.repro().ok().text) == ["fingerprint"]


def test_status_says_what_dvc_will_run_after_an_edit_of_code(
    whole: Checkout, small: Checkout
) -> None:
    small.edit("pipelines/small.py", "rows.mutate(ordered_at=rows.time)", SAME_TEXT)
    plan = planned(small)
    assert [s for s in plan if plan[s] == "run"] == ["fingerprint", "label", "candidate"]
    assert plan["split"] == plan["evaluate"] == "may run"
    # Another code with the same data: what follows has nothing new, but for the code's record.
    assert ran(small.repro().ok().text) == ["fingerprint", "label", "candidate"]
    for stage in STAGES[:-1]:
        assert small.data(stage) == whole.data(stage)
    candidate = read_json(small.paths.stage("candidate", "small") / "candidate.json")
    for stage in STAGES:
        code = read_json(small.paths.fingerprint(stage, "small"))
        assert candidate["fingerprints"][stage] == code["digest"]


def test_code_that_is_edited_while_its_stage_runs_is_not_remembered(
    whole: Checkout, small: Checkout
) -> None:
    lock = (small.root / "dvc.lock").read_text()
    notebook = (small.root / "pipelines" / "small.py").read_text()
    small.hold("label")
    dvc = small.start(*STAGE[:1], "-m", "dvc", "repro", "-f", "-s", "label@small")
    small.reached("label")
    small.edit("pipelines/small.py", "rows.mutate(ordered_at=rows.time)", SAME_TEXT)
    small.release("label")
    words = (
        "The code of label@small changed while it ran",
        "small:label changed",
        "run `workbench repro`",
    )
    ended(dvc).failed(*words, code=255)
    assert (small.root / "dvc.lock").read_text() == lock
    assert not small.paths.stage("label", "small").exists()
    (small.root / "pipelines" / "small.py").write_text(notebook)
    small.repro().ok()
    assert small.outputs() == whole.outputs()


def test_the_library_that_is_edited_while_a_stage_runs_is_seen_too(small: Checkout) -> None:
    before = small.outputs()
    small.hold("clean")
    stage = small.start(*STAGE, "clean", "small")
    small.reached("clean")
    small.edit("workbench/data/engine.py", "ROW_GROUP_ROWS = 122_880", "ROW_GROUP_ROWS = 61_440")
    small.release("clean")
    ended(stage).failed("The code of clean@small changed while it ran", "ROW_GROUP_ROWS")
    assert small.outputs() == before


def test_an_upgraded_package_stops_a_stage_and_is_taken_in_by_workbench_repro(
    whole: Checkout, small: Checkout
) -> None:
    fake = small.root / ".workbench" / "site" / "pandera-9.9.dist-info"
    fake.mkdir(parents=True)
    (fake / "METADATA").write_text("Metadata-Version: 2.1\nName: pandera\nVersion: 9.9\n")
    upgraded = {"PYTHONPATH": str(fake.parent)}
    small.stage("clean", **upgraded).failed("became 9.9", "run `workbench repro`")
    # DVC sees no changed file, so by itself it would say that all is well.
    assert ran(small.repro(**upgraded).ok().text) == []
    plan = planned(small, **upgraded)
    assert [s for s in plan if plan[s] == "run"] == ["fingerprint", "clean", "candidate"]
    small.workbench("repro", "--no-release", **upgraded).ok()
    assert set(planned(small, **upgraded).values()) == {"up to date"}
    assert small.records("clean")[-1].packages["pandera"] == "9.9"
    assert small.data("clean") == whole.data("clean")


def test_a_model_that_the_cache_brings_back_is_champion_again_and_all_is_told(
    whole: Checkout, small: Checkout
) -> None:
    first = small.records("train")[0]
    small.set("small.train.learning_rate", 0.2)
    away = f"http://127.0.0.1:{free_port()}"
    other = small.workbench("repro", MLFLOW_TRACKING_URI=away).ok()
    # Tracking that is out of reach holds up nothing, and says so.
    assert f"MLflow at {away} is damaged or out of reach" in other.sentence
    assert "small release 2" in other.text
    assert "is the new champion" in other.text
    second = small.records("train")[-1]
    assert small.data("train") == second.outputs["train"] != first.outputs["train"]

    small.set("small.train.learning_rate", 0.1)
    back = small.workbench("repro").ok()
    assert "train@small restored from the cache" in back.sentence
    assert "small release 1" in back.text
    assert "is champion again" in back.text
    assert small.outputs() == whole.outputs()
    assert [run.id for run in small.records("train")] == [first.id, second.id]
    # The sync at its end completed the run of before, and nothing stands there twice.
    known = Store(small.paths).known("small")
    assert set(known) == {first.id, second.id}
    assert all(run.synced for run in known.values())
    ledger = Ledger(small.paths.ledger_url).run_ids()
    assert {first.id, second.id} <= ledger
    assert ledger == {run.id for stage in STAGES for run in small.records(stage)}
    champions = [e.release for e in read_log(small.paths, "small") if e.event == "alias"]
    assert champions == [1, 2, 1]


def test_a_clone_with_the_data_has_nothing_to_do_though_usage_was_measured(
    small: Checkout,
) -> None:
    assert small.paths.usage("small").is_file()
    git = ("git", "-c", "user.name=Tester", "-c", "user.email=tester@localhost")
    for arguments in (("add", "."), ("commit", "-qm", "Run"), ("clone", "-q", ".", "clone")):
        subprocess.run([*git, *arguments], cwd=small.root, check=True, capture_output=True)
    clone = Checkout(small.root / "clone")
    cache = str(small.root / ".dvc" / "cache")
    clone.run(*STAGE[:1], "-m", "dvc", "config", "--local", "cache.dir", cache).ok()
    clone.run(*STAGE[:1], "-m", "dvc", "checkout").ok()
    assert set(planned(clone).values()) == {"up to date"}
    assert ran(clone.repro().ok().text) == []
    assert clone.outputs() == small.outputs()


def test_compiled_files_wake_nothing(small: Checkout) -> None:
    for folder in ("workbench/core", "pipelines"):
        (small.root / folder / "__pycache__").mkdir(exist_ok=True)
        (small.root / folder / "__pycache__" / "new.cpython-311.pyc").write_bytes(b"?")
    assert set(planned(small).values()) == {"up to date"}
    assert ran(small.repro().ok().text) == []


def test_a_pipeline_that_left_the_list_is_forgotten_and_a_broken_one_stops_only_itself(
    whole: Checkout, small: Checkout
) -> None:
    notebook = (small.root / "pipelines" / "small.py").read_text()
    broken = notebook.replace('    pause("collect")', '    raise OSError("the source is away")')
    (small.root / "pipelines" / "apart.py").write_text(broken)
    params = small.root / "params.yaml"
    listed = params.read_text()
    block = listed[listed.index("small:\n") :].replace("small:", "apart:", 1)
    params.write_text(listed.replace("[small]", "[apart, small]") + "\n" + block)
    small.edit("pipelines/small.py", "rows.mutate(ordered_at=rows.time)", SAME_TEXT)
    said = small.workbench("repro", "--keep-going", "--no-release")
    assert said.code == 1
    assert "the source is away" in said.text
    assert len(small.records("label")) == 2
    params.write_text(listed)
    assert planned(small) == {"fingerprint": "run", **{s: "up to date" for s in STAGES}}
    assert "@apart" not in small.workbench("status").ok().text
    assert small.data("evaluate") == whole.data("evaluate")
