"""A sample of `benchmarks/staleness.py`: the real library, the fraud pipeline, random edits."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.laboratory import Laboratory, Planned, laboratory
from tests.oracle import missed
from tests.reruns import CHANGES, reruns
from tests.staleness import FAMILIES, families, try_all

EDITS = 40
SHARE = 0.25
"""Of the stages that the benchmark executes after an edit; an export takes seconds."""

SEED = 7


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    # The other processor is another test's.
    with laboratory(tmp_path_factory.mktemp("staleness") / "laboratory", benches=1) as made:
        yield made


def test_every_function_that_a_stage_ran_is_in_its_fingerprint(lab: Laboratory) -> None:
    for stage, run in lab.normal.items():
        assert len(run.executed) > 10, f"{stage} was hardly seen at work"
        assert missed(lab.before[stage].parts, run.executed) == [], stage


def test_an_edit_that_changes_an_output_is_seen_to_and_wakes_that_stage_alone(
    lab: Laboratory,
) -> None:
    file = "pipelines/fraud.py"
    assert "invalid amount" in lab.files[file]
    text = lab.files[file].replace("invalid amount", "wrong amount")
    trial = lab.attempt(Planned("another rule", file, text, checks=(0, 1), seed=SEED))
    assert trial.woken == trial.executed == trial.differing == {"clean"}
    assert trial.touched == {"clean"}


def test_no_random_edit_changes_an_output_unnoticed_and_prose_wakes_nothing(
    lab: Laboratory,
) -> None:
    rng = random.Random(SEED)
    drawn = [*FAMILIES, *families(rng, EDITS - len(FAMILIES))]
    tallies = try_all(lab, rng, drawn, SHARE).values()
    assert [line for tally in tallies for line in tally.said] == []
    assert sum(tally.woken for tally in tallies) >= 8, "the edits mean too little"
    assert sum(tally.executed for tally in tallies) >= 8, "too few outputs were looked at"


def test_status_says_what_the_next_dvc_repro_does(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("reruns") / "checkout"
    with reruns(folder, SEED) as runs:
        compared = [runs.compare(change) for change in CHANGES[:8]]
    assert [str(comparison) for comparison in compared if comparison.wrong] == []
    seen = {what for comparison in compared for what in comparison.did.values()}
    assert seen == {"ran", "restored", "skipped"}
