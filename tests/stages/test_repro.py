"""`workbench repro` as a person sees it, on a terminal and through a pipe."""

from __future__ import annotations

from tests.checkout import CLI, Checkout
from tests.terminal import in_terminal, plain
from workbench.stages.repro import _tell

LINES = """Stage 'fingerprint' didn't change, skipping
Stage 'collect@small' is cached - skipping run, checking out outputs

Running stage 'train@small':
> python -m workbench.stages train small
something that the stage printed
Updating lock file 'dvc.lock'

Running stage 'export@small':
> python -m workbench.stages export small
"""


def test_a_stage_is_told_when_it_starts_and_again_when_it_has_ended() -> None:
    told: list[tuple[str, bool]] = []

    def say(text: str, _: str = "", *, passing: bool = False) -> None:
        told.append((text.rpartition("  ")[0] if text.endswith(" s") else text, passing))

    _tell(iter(LINES.splitlines()), say)
    assert told == [
        ("  collect@small  restored from the cache", False),
        ("  train@small runs", True),
        ("something that the stage printed", False),
        ("  train@small", False),
        ("  export@small runs", True),
        ("  export@small", False),
    ]


def test_on_a_terminal_dvcs_bars_stay_away_and_the_bar_of_a_training_comes(
    small: Checkout,
) -> None:
    small.set("small.train.epochs", 12)
    (small.root / "slow").touch()  # long enough for a bar
    shown = in_terminal(*CLI, "repro", cwd=small.root)
    lines = plain(shown)
    assert "looking for what changed" in shown
    assert "train@small runs" in shown
    assert any(line.startswith("train small") and "12" in line for line in lines), shown
    assert "is the new champion" in shown
    for bar in ("Collecting", "file/s", "files/s", "Checking cache", "hashes"):
        assert bar not in shown


def test_through_a_pipe_there_is_one_line_a_stage_and_nothing_passing(small: Checkout) -> None:
    small.set("small.evaluate.bootstrap", 21)
    told = small.workbench("repro").ok().text
    assert "\r" not in told
    assert "\x1b" not in told
    assert [line.split()[0] for line in told.splitlines()[:2]] == [
        "evaluate@small",
        "candidate@small",
    ]


def test_an_error_of_a_stage_comes_through(small: Checkout) -> None:
    small.set("small.train.epochs", 4)
    (small.root / "poison").touch()
    shown = "\n".join(plain(in_terminal(*CLI, "repro", cwd=small.root)))
    assert "train small:" in shown
    assert "ERROR: failed to reproduce 'train@small'" in shown


def test_what_a_release_warns_of_is_told_and_a_stage_that_begins_where_asked(
    small: Checkout,
) -> None:
    small.edit("pipelines/small.py", 'licence="free to use"', 'licence="not stated"')
    small.set("small.train.epochs", 4)
    told = small.workbench("repro", "--starts").ok().text
    assert "warning: No licence is stated for" in told
    lines = [line.strip() for line in told.splitlines()]
    assert "train@small runs" in lines
    assert any(line.startswith("train@small  ") for line in lines)
