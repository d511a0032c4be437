"""`kill -9` and Ctrl-C, at every place: nothing is half done, and the next run ends the same."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.checkout import CLI, DVC, STAGE, Checkout, copied, ended, once
from workbench.core.files import read_json
from workbench.core.paths import STAGES
from workbench.metering.runs import read_series

# As many rows leave as before, so what follows from `clean` stays as it is.
SAME_ROWS = ("small.clean.max_amount", 150.0001)


@pytest.fixture(scope="session")
def killed(shared: Path, whole: Checkout) -> Checkout:
    """Nothing had run here before; every stage was started cold and killed once in the middle."""
    return once(shared / "another folder" / "of another length", kill_each, whole.root)


def kill_each(checkout: Checkout) -> None:
    for stage in STAGES:
        dvc = checkout.start(*DVC, "repro")
        os.kill(checkout.under_way(stage), signal.SIGKILL)
        ended(dvc).failed("failed to reproduce", stage, code=255)
        out = checkout.paths.stage(stage, "small")
        assert out.with_name(f".{stage}.part").is_dir()
        assert not out.exists()
    checkout.repro().ok()
    # DVC takes back what it wrote to a `.gitignore` in a run that failed.
    checkout.run("git", "check-ignore", "plots/small/train", "data/small/train").ok()


def test_stages_killed_cold_in_another_folder_end_in_the_bytes_of_undisturbed_forked_ones(
    whole: Checkout, killed: Checkout
) -> None:
    assert killed.outputs() == whole.outputs()
    assert not list((killed.root / "data" / "small").glob(".*"))


def test_every_killed_stage_is_told_as_failed_before_the_one_that_finished(
    killed: Checkout,
) -> None:
    told = {stage: [run.state for run in killed.records(stage)] for stage in STAGES}
    assert told == {stage: ["failed", "finished"] for stage in STAGES}
    assert "stopped without closing" in killed.records("train")[0].error


def test_no_output_names_the_folder_in_which_it_was_made(killed: Checkout) -> None:
    graph = (killed.paths.stage("export", "small") / "model.onnx").read_bytes()
    assert b"of another length" not in graph
    assert b"small.py" not in graph


@pytest.mark.parametrize("stage", ["label", "candidate"])
def test_a_stage_killed_by_hand_leaves_the_outputs_of_the_run_before(
    small: Checkout, stage: str
) -> None:
    before = small.outputs()
    process = small.start(*STAGE, stage, "small")
    os.kill(small.under_way(stage), signal.SIGKILL)
    assert ended(process).code == -signal.SIGKILL
    part = small.paths.stage(stage, "small").with_name(f".{stage}.part")
    assert part.exists()
    part.rename(small.root / "part")
    assert small.outputs() == before


def test_training_that_was_killed_goes_on_where_it_was_and_ends_in_the_same_weights(
    small: Checkout,
) -> None:
    before = small.outputs()
    (small.root / "slow").touch()
    process = small.start(*STAGE, "train", "small")
    pid = small.under_way("train")
    small.until(lambda: list(small.paths.home.glob("checkpoints/small/*/last/progress.json")))
    os.kill(pid, signal.SIGKILL)
    ended(process)
    (saved,) = small.paths.home.glob("checkpoints/small/*/last/progress.json")
    past = read_json(saved)["history"]
    assert 1 <= len(past) < 3
    (small.root / "slow").unlink()
    small.stage("train").ok()
    run = small.records("train")[-1]
    series = [line["values"]["seconds_per_epoch"] for line in read_series(small.paths, run.id)]
    # Epochs of before are not trained again: they took as long as they took then, to the digit.
    assert series[: len(past)] == [epoch["seconds"] for epoch in past]
    assert max(series[len(past) :]) < min(series[: len(past)])
    assert len(series) == 3
    assert small.outputs() == before
    assert not saved.exists()


def test_a_stage_dies_with_dvc_and_the_next_run_ends_the_same(
    whole: Checkout, small: Checkout
) -> None:
    small.set(*SAME_ROWS)
    small.hold("clean")
    dvc = small.start(*DVC, "repro")
    small.reached("clean")
    os.kill(dvc.pid, signal.SIGKILL)
    dvc.wait()  # a zombie would count as running for DVC's own locks
    small.until(lambda: not small.processes())
    small.release("clean")
    small.repro().ok()
    assert small.outputs() == whole.outputs()


def test_dvc_and_its_stage_die_with_workbench_repro_and_nothing_is_harmed(
    whole: Checkout, small: Checkout
) -> None:
    small.set(*SAME_ROWS)
    small.hold("clean")
    repro = small.start(*CLI, "repro")
    small.reached("clean")
    os.kill(repro.pid, signal.SIGKILL)
    small.until(lambda: not small.processes())
    small.release("clean")
    small.repro().ok()
    assert small.outputs() == whole.outputs()


def test_ctrl_c_ends_all_with_a_sentence_and_the_next_run_is_fine(
    whole: Checkout, small: Checkout
) -> None:
    small.set(*SAME_ROWS)
    small.hold("clean")
    repro = small.start(*CLI, "repro")
    small.reached("clean")
    os.killpg(repro.pid, signal.SIGINT)  # as a terminal does it
    said = ended(repro).failed("clean small: stopped", "Stopped;", code=130)
    assert "new champion" not in said.text
    assert not small.processes()
    assert [run.state for run in small.records("clean")] == ["finished", "failed"]
    small.release("clean")
    small.repro().ok()
    assert small.outputs() == whole.outputs()


def test_of_two_repros_at_once_the_second_says_who_is_busy_and_the_first_ends_well(
    whole: Checkout, small: Checkout
) -> None:
    small.set(*SAME_ROWS)
    small.hold("clean")
    first = small.start(*CLI, "repro")
    small.reached("clean")
    small.workbench("repro").failed("is busy", f"process {first.pid} holds it", "wait until")
    small.release("clean")
    assert "is still the champion" in ended(first).ok().text
    assert small.outputs() == whole.outputs()


def test_a_stage_that_another_process_runs_is_not_run_beside_it(small: Checkout) -> None:
    before = small.outputs()
    small.hold("clean")
    first = small.start(*STAGE, "clean", "small")
    small.reached("clean")
    small.stage("clean").failed("The stage clean of small is busy", f"process {first.pid}")
    small.release("clean")
    ended(first).ok()
    assert small.outputs() == before


def test_a_copy_is_a_checkout_of_its_own(whole: Checkout, tmp_path: Path) -> None:
    with copied(whole, tmp_path) as copy:
        said = copy.workbench("status", "--json").ok()
        assert {"up to date"} == {step["action"] for step in json.loads(said.text)}
