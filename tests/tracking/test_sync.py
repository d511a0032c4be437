from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from typing import Any

import pytest
import yaml

from tests.servers import free_port
from tests.tracking.checkout import Checkout
from workbench.core.errors import StateError
from workbench.core.files import write_json, write_text
from workbench.core.params import SiteParams
from workbench.metering.ledger import Ledger
from workbench.metering.runs import RECORD, Owner, read_series
from workbench.tracking.evidence import read_evidence
from workbench.tracking.follower import Follower
from workbench.tracking.store import SYNCED, Store
from workbench.tracking.sync import Synced, sync

SITE = SiteParams()
PRICED = SiteParams(
    grid_g_per_kwh=50,
    grid_source="grid operator",
    grid_year=2026,
    electricity_usd_per_kwh=0.2,
    hardware_usd_per_hour=1.2,
    price_source="invoice",
)


def runs(checkout: Checkout) -> list[Any]:
    client = Store(checkout.paths).client
    experiment = client.get_experiment_by_name("fraud")
    return list(client.search_runs([experiment.experiment_id])) if experiment else []


def only_run(checkout: Checkout) -> Any:
    (run,) = runs(checkout)
    return run


def curve(checkout: Checkout, run: Any, name: str) -> list[tuple[int, float]]:
    found = Store(checkout.paths).client.get_metric_history(run.info.run_id, name)
    return [(point.step, point.value) for point in found]


def test_a_finished_training_shows_its_settings_curves_and_judgement(checkout: Checkout) -> None:
    record = checkout.train(1.5)
    digest = checkout.candidate(1.5)

    assert sync(checkout.paths, SITE) == Synced(rows=1, new=1)

    run = only_run(checkout)
    assert run.info.status == "FINISHED"
    assert run.info.end_time - run.info.start_time == 60_000
    assert run.data.params == {
        "learning_rate": "1.5",
        "hidden": "[64, 32]",
        "net.dropout": "0.1",
    }
    assert curve(checkout, run, "train_loss") == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    metrics = run.data.metrics
    assert metrics["final.best_epoch"] == 2
    assert metrics["test.auc.lo"] < metrics["test.auc"] < metrics["test.auc.hi"]
    assert metrics["baseline.linear.auc"] == 0.5
    assert metrics["test.operating_point.recall"] == 0.5
    tags = run.data.tags
    assert tags["workbench.run_id"] == record.id
    assert tags["workbench.bundle"] == digest
    assert tags["workbench.data.split"] == "5" * 64
    assert tags["workbench.output.train"] == record.outputs["train"]
    assert tags["workbench.origin"] == "recorded"
    assert tags["package.torch"] == "2.9.0"
    data = {d.dataset.name: json.loads(d.dataset.source) for d in run.inputs.dataset_inputs}
    assert data["fraud.split"]["sha256"] == "5" * 64
    assert data["fraud.split"]["origin"] == "made here"


def test_the_evidence_of_a_training_is_among_its_artefacts(checkout: Checkout) -> None:
    checkout.trained()
    sync(checkout.paths, SITE)

    client, run = Store(checkout.paths).client, only_run(checkout)

    def files(folder: str | None) -> set[str]:
        return {entry.path for entry in client.list_artifacts(run.info.run_id, folder)}

    assert {"run", "evaluation", "card.md"} <= files(None)
    assert {"run/record.json", "run/packages.json"} <= files("run")
    assert {"evaluation/report.json", "evaluation/candidate.json"} <= files("evaluation")
    assert files("evaluation/plots") == {"evaluation/plots/roc.json"}


def test_usage_is_told_with_its_interval_and_what_is_unknown_is_left_out(
    checkout: Checkout,
) -> None:
    checkout.train(energy_kwh=0.002)
    sync(checkout.paths, SITE)

    metrics = only_run(checkout).data.metrics
    assert metrics["energy.kwh"] == pytest.approx(0.004)
    assert metrics["energy.kwh.lo"] == pytest.approx(0.002)
    assert metrics["energy.gpu.kwh"] == pytest.approx(0.002)
    assert metrics["energy.measured_fraction"] == pytest.approx(0.5)
    assert metrics["peak_memory_bytes"] == 2**30
    assert metrics["cpu_s"] == 90
    assert not {"carbon.operational_g", "cost.effective_usd", "energy.memory.kwh"} & set(metrics)


def test_a_training_whose_energy_nobody_measured_has_no_energy(checkout: Checkout) -> None:
    checkout.train(energy_kwh=None)
    sync(checkout.paths, PRICED)

    metrics = only_run(checkout).data.metrics
    assert not [name for name in metrics if name.startswith(("energy", "carbon", "cost"))]
    assert metrics["duration_s"] == 60


def test_carbon_and_cost_stay_as_they_were_when_the_site_changes_later(checkout: Checkout) -> None:
    checkout.train(energy_kwh=0.002)
    sync(checkout.paths, PRICED)
    checkout.candidate()  # so that the run is written a second time
    dearer = PRICED.model_copy(update={"grid_g_per_kwh": 900.0})

    assert sync(checkout.paths, dearer).updated == 1

    run = only_run(checkout)
    assert run.data.metrics["carbon.operational_g"] == pytest.approx(0.004 * 50)
    assert run.data.metrics["cost.effective_usd"] == pytest.approx(0.004 * 0.2 + 1.2 / 60)
    assert run.data.params["grid.g_per_kwh"] == "50.0"
    assert "test.auc" in run.data.metrics


def test_a_second_sync_does_nothing_and_does_not_even_import_mlflow(checkout: Checkout) -> None:
    checkout.trained()
    sync(checkout.paths, SITE)
    script = (
        "import sys; from pathlib import Path; from workbench.core.paths import Paths;"
        "from workbench.core.params import SiteParams; from workbench.tracking.sync import sync;"
        "root = Path(sys.argv[1]); done = sync(Paths(root, root / '.workbench'), SiteParams());"
        "assert (done.new, done.updated, done.current, done.rows) == (0, 0, 1, 0), done;"
        "assert 'mlflow' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", script, checkout.paths.root], check=True)


def test_a_candidate_that_comes_later_completes_its_run(checkout: Checkout) -> None:
    checkout.train()
    sync(checkout.paths, SITE)
    assert "test.auc" not in only_run(checkout).data.metrics

    checkout.candidate()

    assert sync(checkout.paths, SITE) == Synced(updated=1)
    assert "test.auc" in only_run(checkout).data.metrics


def test_a_run_under_way_shows_its_curve_so_far_and_no_point_twice(checkout: Checkout) -> None:
    run = checkout.begin()
    run.log(0, {"train_loss": 1.0})

    sync(checkout.paths, SITE)
    assert only_run(checkout).info.status == "RUNNING"
    assert curve(checkout, only_run(checkout), "train_loss") == [(0, 1.0)]

    run.log(1, {"train_loss": float("nan")})
    run.log(2, {"train_loss": 0.25})
    run.close("finished", window=None)
    assert sync(checkout.paths, SITE).updated == 1

    assert curve(checkout, only_run(checkout), "train_loss") == [(0, 1.0), (2, 0.25)]
    assert only_run(checkout).info.status == "FINISHED"


def test_a_long_series_goes_over_in_batches(checkout: Checkout) -> None:
    run = checkout.begin()
    for step in range(1100):
        run.log(step, {"train_loss": 1.0, "valid_loss": 2.0})
    run.close("finished", window=None)

    sync(checkout.paths, SITE)

    assert len(curve(checkout, only_run(checkout), "valid_loss")) == 1100


def test_a_crashed_training_is_shown_as_failed_and_has_its_row(checkout: Checkout) -> None:
    run = checkout.begin()
    owner = Owner(host=__import__("platform").node(), pid=2**22 + 1, started="long ago")
    write_json(checkout.paths.runs / run.id / "owner.json", owner)

    done = sync(checkout.paths, SITE)

    assert (done.reaped, done.rows, done.new) == (1, 1, 1)
    assert only_run(checkout).info.status == "FAILED"
    assert "gone" in only_run(checkout).data.tags["workbench.error"]


def test_an_interrupted_sync_is_taken_up_without_doubles(checkout: Checkout) -> None:
    checkout.trained()
    sync(checkout.paths, SITE)
    client, before = Store(checkout.paths).client, only_run(checkout)
    client.delete_tag(before.info.run_id, SYNCED)
    client.delete_tag(before.info.run_id, "workbench.series")

    assert sync(checkout.paths, SITE).updated == 1

    after = only_run(checkout)
    assert after.data.metrics == before.data.metrics
    assert len(curve(checkout, after, "train_loss")) == 3
    assert len(curve(checkout, after, "test.auc")) == 1
    assert len(after.inputs.dataset_inputs) == len(before.inputs.dataset_inputs) == 2


def test_a_model_that_dvc_brought_back_has_a_run_without_usage(checkout: Checkout) -> None:
    checkout.trained(0.7)
    shutil.rmtree(checkout.paths.runs)
    locked = {"params": {"params.yaml": {"fraud.train": {"learning_rate": 0.7}}}}
    write_text(checkout.paths.dvc_lock, yaml.safe_dump({"stages": {"train@fraud": locked}}))

    assert sync(checkout.paths, SITE) == Synced(new=1, restored=1)
    assert sync(checkout.paths, SITE) == Synced(current=1)

    run = only_run(checkout)
    assert run.data.tags["workbench.origin"] == "restored"
    assert run.data.params == {"learning_rate": "0.7"}
    assert "test.auc" in run.data.metrics
    assert "duration_s" not in run.data.metrics


def test_a_model_that_a_colleagues_run_made_gets_no_second_run(checkout: Checkout) -> None:
    checkout.trained(0.7)
    sync(checkout.paths, SITE)
    shutil.rmtree(checkout.paths.runs)  # as in another checkout with the same server

    assert sync(checkout.paths, SITE) == Synced(current=1)
    assert len(runs(checkout)) == 1


def test_a_run_that_someone_deleted_in_mlflow_stays_deleted(checkout: Checkout) -> None:
    checkout.train()
    sync(checkout.paths, SITE)
    Store(checkout.paths).client.delete_run(only_run(checkout).info.run_id)
    checkout.candidate()

    sync(checkout.paths, SITE)

    assert runs(checkout) == []


def test_an_evaluation_that_is_not_the_candidates_is_not_kept_with_it(checkout: Checkout) -> None:
    checkout.trained()
    report = checkout.paths.report("evaluate", "fraud")
    write_json(report, {"metrics": {"auc": {"value": 0.1}}, "rows": 1})

    sync(checkout.paths, SITE)

    (seen,) = read_evidence(checkout.paths).values()
    assert seen.read("report.json") == {}
    assert only_run(checkout).data.metrics["test.auc"] > 0.5


def test_a_server_that_is_down_is_told_in_a_sentence_and_stops_nothing_else(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout.trained()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{free_port()}")

    done = sync(checkout.paths, SITE)

    (problem,) = done.problems
    assert isinstance(problem, StateError)
    assert "out of reach: Connection refused" in problem.problem
    assert "secret" not in str(problem)
    assert done.rows == len(Ledger(checkout.paths.ledger_url).run_ids()) == 1
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert sync(checkout.paths, SITE) == Synced(new=1)


def test_a_damaged_database_is_named_with_the_way_out(checkout: Checkout) -> None:
    checkout.trained()
    file = checkout.paths.home / "mlflow.db"
    file.write_bytes(b"not a database, " * 1000)

    done = sync(checkout.paths, SITE)

    (problem,) = done.problems
    assert f"mv {file}" in str(problem)
    assert done.rows == 1


def test_a_moved_checkout_is_noticed(checkout: Checkout) -> None:
    checkout.train()
    sync(checkout.paths, SITE)
    moved = checkout.paths.root / "elsewhere"
    shutil.move(checkout.paths.home, moved)
    there = type(checkout.paths)(root=checkout.paths.root, home=moved)
    Checkout(there).train()

    (problem,) = sync(there, SITE).problems

    assert "the checkout was moved" in problem.problem


def test_two_syncs_at_once_make_one_run(checkout: Checkout) -> None:
    checkout.trained()
    done: list[Synced] = []
    threads = [
        threading.Thread(target=lambda: done.append(sync(checkout.paths, SITE))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(one.new for one in done) == [0, 1]
    assert len(runs(checkout)) == 1


def test_a_follower_shows_a_training_while_it_runs(checkout: Checkout) -> None:
    follower = Follower(checkout.paths, SITE, every_s=0.05)
    follower.start()
    run = checkout.begin()
    run.log(0, {"train_loss": 1.0})
    deadline = threading.Event()
    while not runs(checkout) or not curve(checkout, only_run(checkout), "train_loss"):
        assert not deadline.wait(0.05)
        assert follower.problem is None
    assert only_run(checkout).info.status == "RUNNING"

    run.close("finished", window=None)
    assert follower.stop().problems == ()

    assert only_run(checkout).info.status == "FINISHED"


def test_a_follower_never_raises_into_the_job(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    follower = Follower(checkout.paths, SITE, every_s=0.01)
    follower.start()
    run = checkout.begin()
    run.log(0, {"train_loss": 1.0})
    while follower.problem is None:
        assert not threading.Event().wait(0.01)
    run.close("finished", window=None)

    done = follower.stop()

    assert done.rows == 1
    assert len(done.problems) == 1
    assert len(read_series(checkout.paths, run.id)) == 1
    assert (checkout.paths.runs / run.id / RECORD).is_file()
