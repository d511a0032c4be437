"""The verdict of a comparison claims no more than its interval."""

from __future__ import annotations

from typing import Any

import pytest

from workbench.notebook.verdict import verdict


def report(
    ours: float, theirs: float, lo: float | None, hi: float | None, higher: bool = True
) -> dict[str, Any]:
    """A report with one plain model; lo, hi: of theirs less ours, on the same rows."""
    ends = {} if lo is None else {"minus_model_lo": lo, "minus_model_hi": hi}
    return {
        "main": "m",
        "higher_is_better": higher,
        "metrics": {"m": {"value": ours}},
        "baselines": {"linear": {"m": {"value": theirs} | ends}},
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (report(0.853, 0.849, -0.05, 0.04), "The model is ahead, within the noise"),
        (report(0.849, 0.853, -0.04, 0.05), "The plain linear model is ahead, within the noise"),
        (report(0.9, 0.7, -0.3, -0.1), "The model is ahead, by more than chance"),
        (report(0.7, 0.9, 0.1, 0.3), "The plain linear model is ahead, by more than chance"),
        (report(50, 40, -15, -5, higher=False), "The plain linear model is ahead, by more than"),
        (report(40, 50, 5, 15, higher=False), "The model is ahead, by more than chance"),
        (report(0.5, 0.5, 0, 0), "equal"),
        (report(0.9, 0.7, None, None), "was not measured"),
    ],
)
def test_who_is_ahead_is_said_with_its_doubt(given: dict[str, Any], words: str) -> None:
    assert words in verdict(given)


def test_the_best_of_the_plain_models_is_the_one_that_counts() -> None:
    given = report(0.7, 0.6, -0.2, -0.01)
    given["baselines"]["boosting"] = {
        "m": {"value": 0.9, "minus_model_lo": 0.1, "minus_model_hi": 0.3}
    }
    assert verdict(given).startswith("The plain boosting model is ahead, by more than chance")


def test_without_a_plain_model_nothing_is_claimed() -> None:
    assert "no plain model" in verdict(report(1, 1, 0, 0) | {"baselines": {}})
