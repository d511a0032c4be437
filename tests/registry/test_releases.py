from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.servers import free_port
from tests.tracking.checkout import Checkout, empty_mlflow, make_checkout
from workbench.core.errors import BundleError, ReleaseError, StateError, TakenBackError
from workbench.core.files import read_json
from workbench.core.params import SiteParams
from workbench.metering.ledger import Ledger
from workbench.registry.log import append, read_log
from workbench.registry.releases import champion, release, rollback, sync_registry
from workbench.storage.origin import read_origin
from workbench.storage.pointer import read_pointer
from workbench.tracking.store import Store
from workbench.tracking.sync import sync

SITE = SiteParams()
GOOD, BETTER, ALSO, BAD = 1.2, 1.5, 1.6, -1.0


def ready(checkout: Checkout, weight: float, **how: Any) -> str:
    digest = checkout.trained(weight, **how)
    assert not sync(checkout.paths, SITE).problems
    return digest


def served(checkout: Checkout) -> str:
    return read_pointer(checkout.paths.pointer).pipelines["fraud"]["champion"].digest


def kinds(checkout: Checkout) -> list[tuple[str, int | None]]:
    return [(event.event, event.release) for event in read_log(checkout.paths, "fraud")]


def registered(checkout: Checkout) -> dict[str, Any]:
    """Versions and aliases as MLflow shows them, without MLflow's own ids."""
    client = Store(checkout.paths).client
    versions = client.search_model_versions("name = 'fraud'")
    (model,) = client.search_registered_models("name = 'fraud'")
    return {
        "versions": {
            int(v.version): {k: t for k, t in v.tags.items() if k.startswith(("workbench", "gate"))}
            for v in versions
        },
        "aliases": {alias: int(version) for alias, version in model.aliases.items()},
    }


def test_the_first_release_is_served_logged_registered_and_traced(checkout: Checkout) -> None:
    digest = ready(checkout, GOOD)

    made = release(checkout.paths, "fraud")

    assert (made.number, made.digest, made.how, made.problems) == (1, digest, "new", ())
    assert served(checkout) == digest
    assert kinds(checkout) == [("release", 1), ("alias", 1)]
    assert champion(checkout.paths, "fraud") is not None
    shown = registered(checkout)
    assert shown["aliases"] == {"champion": 1, "release-1": 1}
    assert shown["versions"][1]["workbench.digest"] == digest
    assert shown["versions"][1]["gate.quality"].startswith("first: auc")
    origin = read_origin(checkout.paths.bundles, digest)
    assert origin is not None
    assert (origin.run_id, origin.fingerprint) == (made.run_id, "f" * 64)
    assert origin.window is not None
    assert origin.window.cpu_s == 90


def test_releasing_the_champion_again_does_nothing(checkout: Checkout) -> None:
    ready(checkout, GOOD)
    release(checkout.paths, "fraud")
    before = checkout.paths.release_log("fraud").read_bytes()

    assert release(checkout.paths, "fraud").how == "same"

    assert checkout.paths.release_log("fraud").read_bytes() == before


def test_the_gates_of_the_first_release_say_later_that_there_was_no_champion_then(
    checkout: Checkout,
) -> None:
    ready(checkout, GOOD)
    first = release(checkout.paths, "fraud").gates[0]
    assert first.sentence.endswith("there is no champion to compare with.")
    again = release(checkout.paths, "fraud").gates[0]
    assert again.sentence.endswith("there was no champion to compare with when it was released.")
    assert (again.verdict, again.measured) == (first.verdict, first.measured)


def test_a_model_that_comes_back_becomes_champion_again_under_its_old_number(
    checkout: Checkout,
) -> None:
    first = ready(checkout, GOOD)
    release(checkout.paths, "fraud")
    ready(checkout, BETTER)
    release(checkout.paths, "fraud")
    assert ready(checkout, GOOD) == first  # as DVC's run cache brings it back

    made = release(checkout.paths, "fraud")

    assert (made.how, made.number, served(checkout)) == ("again", 1, first)
    assert kinds(checkout) == [("release", 1), ("alias", 1), ("release", 2), ("alias", 2),
                               ("alias", 1)]  # fmt: skip
    assert registered(checkout)["aliases"] == {"champion": 1, "release-1": 1, "release-2": 2}


def test_a_worse_model_is_refused_with_measured_value_and_bound_and_recorded_once(
    checkout: Checkout,
) -> None:
    good = ready(checkout, GOOD)
    release(checkout.paths, "fraud")
    ready(checkout, BAD)

    for _ in range(2):
        with pytest.raises(ReleaseError) as raised:
            release(checkout.paths, "fraud")

    text = str(raised.value)
    assert "quality: auc" in text
    assert "wholly below -0.02" in text
    assert "Kept: release 1 as champion" in text
    assert '--override "reason"' in text
    assert served(checkout) == good
    assert kinds(checkout) == [("release", 1), ("alias", 1), ("refused", None)]


def test_an_override_releases_and_its_reason_is_kept(checkout: Checkout) -> None:
    ready(checkout, GOOD)
    release(checkout.paths, "fraud")
    bad = ready(checkout, BAD)

    with pytest.raises(ReleaseError, match="needs a reason"):
        release(checkout.paths, "fraud", override=" ")
    made = release(checkout.paths, "fraud", override="for the demonstration")

    assert (made.number, made.override, served(checkout)) == (2, "for the demonstration", bad)
    assert registered(checkout)["versions"][2]["workbench.override"] == "for the demonstration"


def test_a_rollback_holds_against_the_next_repro(checkout: Checkout) -> None:
    first = ready(checkout, GOOD)
    release(checkout.paths, "fraud")
    second = ready(checkout, BETTER)
    release(checkout.paths, "fraud")

    back = rollback(checkout.paths, "fraud", reason="complaints from the shop")

    assert (back.number, back.reason, served(checkout)) == (1, "complaints from the shop", first)
    assert registered(checkout)["aliases"]["champion"] == 1
    said = (
        rf"Candidate {second[:12]} of 'fraud' was taken back on \d{{4}}-\d\d-\d\d "
        r"\(complaints from the shop\), so it is not released again\."
    )
    with pytest.raises(TakenBackError, match=said):
        release(checkout.paths, "fraud")
    assert served(checkout) == first
    release(checkout.paths, "fraud", override="the shop was wrong")
    assert served(checkout) == second


def test_a_rollback_to_what_is_not_there_names_what_is(checkout: Checkout) -> None:
    with pytest.raises(ReleaseError, match="no champion to take back"):
        rollback(checkout.paths, "fraud", reason="why not")
    digest = ready(checkout, GOOD)
    release(checkout.paths, "fraud")
    with pytest.raises(ReleaseError, match="no champion before it"):
        rollback(checkout.paths, "fraud", reason="why not")
    with pytest.raises(ReleaseError, match=r"no release 7\. Choose from: 1"):
        rollback(checkout.paths, "fraud", 7, reason="why not")
    shutil.rmtree(checkout.paths.bundles / digest)
    with pytest.raises(ReleaseError, match="not in this checkout"):
        rollback(checkout.paths, "fraud", 1, reason="why not")


def test_an_altered_bundle_is_not_released(checkout: Checkout) -> None:
    ready(checkout, GOOD)
    card = checkout.paths.stage("export", "fraud") / "card.md"
    card.write_text("better than it is")

    with pytest.raises(BundleError, match=r"card\.md .* was altered"):
        release(checkout.paths, "fraud")
    assert not checkout.paths.release_log("fraud").exists()


def test_predictions_of_another_candidate_are_not_judged(checkout: Checkout) -> None:
    ready(checkout, GOOD)
    (checkout.paths.stage("evaluate", "fraud") / "predictions.parquet").write_bytes(b"others")
    with pytest.raises(ReleaseError, match="not those its candidate was judged by"):
        release(checkout.paths, "fraud")


def test_without_a_candidate_a_release_says_what_to_run(checkout: Checkout) -> None:
    with pytest.raises(ReleaseError, match="no candidate to release") as raised:
        release(checkout.paths, "fraud")
    assert "workbench repro fraud" in str(raised.value)


def test_the_store_does_not_change_when_the_workspace_does(checkout: Checkout) -> None:
    first = ready(checkout, GOOD)
    for file in checkout.paths.stage("export", "fraud").iterdir():
        file.chmod(0o444)  # as DVC leaves what it links
    release(checkout.paths, "fraud")
    ready(checkout, BETTER)
    release(checkout.paths, "fraud")

    rollback(checkout.paths, "fraud", reason="to see that it is whole")

    assert served(checkout) == first


def test_mlflow_being_down_holds_no_release_back(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = ready(checkout, GOOD)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")

    made = release(checkout.paths, "fraud")

    (problem,) = made.problems
    assert isinstance(problem, StateError)
    assert served(checkout) == digest
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert sync_registry(checkout.paths).versions == 1
    assert registered(checkout)["aliases"]["champion"] == 1


def test_a_crash_after_the_log_was_written_is_repaired_by_the_next_sync(
    checkout: Checkout,
) -> None:
    ready(checkout, GOOD)
    release(checkout.paths, "fraud")
    second = ready(checkout, BETTER)
    release(checkout.paths, "fraud")
    events = read_log(checkout.paths, "fraud")
    checkout.paths.release_log("fraud").unlink()
    append(checkout.paths, "fraud", events)
    checkout.paths.pointer.write_text("{torn")

    done = sync_registry(checkout.paths)

    assert (done.pointers, done.problems, served(checkout)) == (1, (), second)
    assert sync_registry(checkout.paths).pointers == 0


def test_a_clone_without_the_bundle_says_so_and_leaves_the_pointer(checkout: Checkout) -> None:
    digest = ready(checkout, GOOD)
    release(checkout.paths, "fraud")
    root = checkout.paths.root / "clone"  # has the log and, after `dvc pull`, the outputs
    for part in ("releases", "data", "reports"):
        shutil.copytree(checkout.paths.root / part, root / part)
    clone = make_checkout(root)

    (problem,) = sync_registry(clone.paths).problems
    assert "is not in this checkout" in str(problem)
    assert not clone.paths.pointer.exists()

    sync(clone.paths, SITE)
    made = release(clone.paths, "fraud")
    assert (made.how, made.problems, served(clone)) == ("same", (), digest)
    assert registered(clone)["aliases"] == {"champion": 1, "release-1": 1}


def test_lost_databases_come_back_with_the_same_runs_metrics_versions_and_aliases(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(checkout, GOOD)
    release(checkout.paths, "fraud")
    ready(checkout, BETTER)
    release(checkout.paths, "fraud")
    ready(checkout, BAD)
    release(checkout.paths, "fraud", override="to have three")
    rollback(checkout.paths, "fraud", reason="of course")
    before = everything(checkout)
    assert len(before["runs"]) == len(before["registry"]["versions"]) == 3
    assert before["registry"]["aliases"]["champion"] == 2

    for file in ("mlflow.db", "ledger.db", "serving.json"):
        (checkout.paths.home / file).unlink()
    shutil.rmtree(checkout.paths.artifacts)
    # another name, for in this process MLflow keeps the lost file open
    shutil.copyfile(empty_mlflow(), checkout.paths.home / "again.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{checkout.paths.home / 'again.db'}")
    sync(checkout.paths, SITE)
    assert sync_registry(checkout.paths).problems == ()

    assert everything(checkout) == before


def everything(checkout: Checkout) -> dict[str, Any]:
    client = Store(checkout.paths).client
    experiment = client.get_experiment_by_name("fraud")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    own = {run.data.tags["workbench.run_id"]: run for run in runs}
    return {
        "runs": {
            run_id: (run.data.params, run.data.metrics, run.info.status, run.info.start_time)
            for run_id, run in own.items()
        },
        "ledger": sorted(Ledger(checkout.paths.ledger_url).run_ids()),
        "registry": registered(checkout),
        "pointer": read_json(checkout.paths.pointer),
    }


def raw_rows() -> pd.DataFrame:
    return pd.DataFrame(
        {"amount": [1.0, None, 2.0], "channel": ["online", None, "never seen"], "paid_at": 1}
    )


def expected() -> list[float]:
    return [float(1 / (1 + pow(2.718281828, -x))) for x in (GOOD + 1, 0, 2 * GOOD)]


def test_the_registered_champion_answers_raw_rows_with_words_and_gaps(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    ready(checkout, GOOD)
    release(checkout.paths, "fraud")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", checkout.paths.tracking_url)

    model = mlflow.pyfunc.load_model("models:/fraud@champion")

    assert model.predict(raw_rows())["score"].tolist() == pytest.approx(expected(), abs=1e-5)
    whole = raw_rows().assign(amount=[1, 2, 3], paid_at=pd.Timestamp("2026-05-09"))
    assert len(model.predict(whole)) == 3  # whole numbers and timestamps, as tables hold them
    with pytest.raises(mlflow.exceptions.MlflowException, match="channel"):
        model.predict(raw_rows().assign(channel=1.5))
    schema = model.metadata.signature.inputs
    assert schema.input_names() == ["amount", "channel", "paid_at"]
    assert model.metadata.metadata["roles"]["paid_at"] == "time"
    example = model.input_example
    assert example["channel"].tolist() == ["chip"]
    assert example["paid_at"].tolist() == [1778315437]
    assert model.predict(example)["score"].tolist() == pytest.approx(
        [1 / (1 + pow(2.718281828, -2.5 * GOOD))], abs=1e-3
    )
    folder = Path(mlflow.artifacts.download_artifacts("models:/fraud@champion"))
    assert not list(folder.rglob("*.pkl"))
    assert mlflow.onnx.load_model("models:/fraud@champion").graph.name == "fraud"


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """A real `mlflow server` on loopback with a database of its own; ended by its pid."""
    folder.mkdir()
    shutil.copyfile(empty_mlflow(), folder / "server.db")
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port"]
    command += [str(port), "--workers", "1", "--backend-store-uri", "sqlite:///server.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    env = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    env["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
    try:
        for _ in range(600):
            assert server.poll() is None, (folder / "log").read_text()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
                    break
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def test_a_teams_server_gets_runs_versions_and_artefacts_over_http(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    checkout = make_checkout(tmp_path)
    with mlflow_server(tmp_path / "server") as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        ready(checkout, GOOD)
        assert sync(checkout.paths, SITE).current == 1
        assert release(checkout.paths, "fraud").problems == ()
        assert sync_registry(checkout.paths).versions == 0
        assert registered(checkout)["aliases"] == {"champion": 1, "release-1": 1}
        model = mlflow.pyfunc.load_model("models:/fraud@champion")
        assert model.predict(raw_rows())["score"].tolist() == pytest.approx(expected(), abs=1e-5)
    assert list((tmp_path / "server" / "artifacts").rglob("record.json"))
