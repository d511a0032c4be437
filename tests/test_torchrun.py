"""Training runs unchanged under `torchrun` with two processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import Checkout, ended

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def start(checkout: Checkout) -> subprocess.Popen[str]:
    return checkout.start(*TORCHRUN, "-m", "workbench.stages", "train", "small")


def rank(checkout: Checkout, number: int) -> int:
    """The process of one rank."""

    def look() -> int | None:
        for pid in checkout.processes():
            with contextlib.suppress(OSError):
                if f"RANK={number}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(
                    b"\0"
                ):
                    return pid
        return None

    return checkout.until(look)


def test_two_processes_train_the_model_that_one_trains(small: Checkout) -> None:
    alone = small.report("train")
    ended(start(small)).ok()
    both = small.report("train")
    assert both.keys() == alone.keys()
    assert both["epochs"] == alone["epochs"]
    assert both["rows"] == alone["rows"]
    # Half a batch each, gradients averaged: the same steps but for the last digits of sums.
    assert both["train_loss"] == pytest.approx(alone["train_loss"], rel=1e-3)
    assert both["valid_loss"] == pytest.approx(alone["valid_loss"], rel=1e-3)
    # One run, told by the process that leads.
    assert [run.state for run in small.records("train")] == ["finished", "finished"]
    assert small.records("train")[-1].outputs["train"] == small.data("train")


def test_a_killed_process_ends_the_job_and_the_outputs_of_before_stay(small: Checkout) -> None:
    before = small.outputs()
    small.hold("train")
    job = start(small)
    small.reached("train")
    os.kill(rank(small, 1), signal.SIGKILL)
    assert ended(job).code != 0
    small.until(lambda: not small.processes())
    small.release("train")
    for left in (small.root / "data" / "small").glob(".*.part"):
        left.rename(small.root / "part")
    assert small.outputs() == before
    assert [run.state for run in small.records("train")] == ["finished", "failed"]
    small.stage("train").ok()
    assert small.outputs() == before
