"""Commands about work: check, status, refresh. What `repro` does is tried wherever stages are."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.checkout import Checkout
from workbench.core.paths import STAGES


@pytest.fixture
def params(desk: Checkout) -> Iterator[str]:
    """The text of params.yaml, which is put back."""
    text = (desk.root / "params.yaml").read_text()
    yield text
    (desk.root / "params.yaml").write_text(text)


def test_check_finds_nothing_and_then_names_what_a_person_broke(desk: Checkout) -> None:
    assert "keeps the contract" in desk.workbench("check").ok().text
    notebook = desk.root / "pipelines" / "small.py"
    text = notebook.read_text()
    try:
        desk.edit("pipelines/small.py", "def clean(data, params)", "def clear(data, params)")
        told = desk.workbench("check", "--json")
        assert told.code == 1
        assert any("clean" in problem["message"] for problem in json.loads(told.text))
        desk.workbench("check").failed("clean", "1 problem")
    finally:
        notebook.write_text(text)


def test_status_says_what_runs_next_and_why(desk: Checkout, params: str) -> None:
    steps = json.loads(desk.workbench("status", "small", "--json").ok().text)
    assert {s["name"]: s["action"] for s in steps} == {f"{s}@small": "up to date" for s in STAGES}
    idle = desk.workbench("status", "--why").ok().text
    assert idle.splitlines()[-1] == "nothing to do"
    desk.set("small.train.epochs", 4)
    desk.set("small.serve.gates.worse_by", 0.5)
    told = desk.workbench("status").ok().text
    assert "epochs" in told
    why = desk.workbench("status", "--why").ok().text
    assert "worse_by" in why or "gates" in why
    assert len(why.splitlines()) > len(told.splitlines())


def test_status_of_all_has_one_line_for_what_is_up_to_date_in_a_pipeline(
    desk: Checkout, params: str
) -> None:
    told = desk.workbench("status").ok().text
    assert "small: all 8 stages" in told
    assert "@small" not in told
    desk.set("small.evaluate.bootstrap", 21)
    told = desk.workbench("status", "--why").ok().text
    assert "small: 6 other stages" in told
    assert all(f"{stage}@small" in told for stage in ("evaluate", "candidate"))
    assert not any(line.endswith(" ") for line in told.splitlines())


def test_status_of_an_unknown_pipeline_suggests_the_known_one(desk: Checkout) -> None:
    desk.workbench("status", "smal").failed("No pipeline 'smal'", "Did you mean 'small'?")


def test_broken_params_are_a_sentence_in_every_command(desk: Checkout, params: str) -> None:
    (desk.root / "params.yaml").write_text(params.replace("  clean:", "  claen:"))
    for command in (["status"], ["check"], ["repro"], ["refresh", "small"], ["sync"]):
        desk.workbench(*command).failed("claen")
    (desk.root / "params.yaml").write_text(params + "\n: [")
    desk.workbench("status").failed("params.yaml")


def test_refresh_changes_the_day_pins_the_borders_and_keeps_comments(
    desk: Checkout, params: str
) -> None:
    commented = params.replace("small:\n", "small:   # orders\n# a day\n\n", 1)
    (desk.root / "params.yaml").write_text(commented)
    told = desk.workbench("refresh", "small", "--as-of", "2026-07-31").ok()
    assert "as_of was 2026-06-30, is 2026-07-31" in told.text
    after = (desk.root / "params.yaml").read_text()
    pinned = [line for line in after.splitlines() if "valid_from" in line or "test_from" in line]
    assert len(pinned) == 2
    rest = "".join(f"{line}\n" for line in after.splitlines() if line not in pinned)
    assert rest == commented.replace("2026-06-30", "2026-07-31")


def test_refresh_says_what_is_no_day_and_no_pipeline(desk: Checkout, params: str) -> None:
    desk.workbench("refresh", "small", "--as-of", "June").failed("'June' is not a day")
    desk.workbench("refresh", "smal").failed("Did you mean 'small'?")
    assert (desk.root / "params.yaml").read_text() == params
