"""What another setting would cost, told without paying it."""

from __future__ import annotations

import pytest

from tests.checkout import Checkout
from workbench.core.errors import ParamsError
from workbench.notebook.pipeline import Pipeline


def test_what_if_says_what_status_says_once_the_setting_stands_in_params(small: Checkout) -> None:
    pipeline = Pipeline("small", small.paths)
    settings = small.paths.params.read_text()
    said = pipeline.what_if({"train.epochs": 5})
    assert small.paths.params.read_text() == settings
    assert {step.action for step in pipeline.plan()} == {"up to date"}
    small.set("small.train.epochs", 5)
    assert said == pipeline.plan()
    assert {step.action for step in said} == {"up to date", "run", "may run"}


def test_what_if_refuses_what_a_run_would_refuse(small: Checkout) -> None:
    with pytest.raises(ParamsError, match="epochs"):
        Pipeline("small", small.paths).what_if({"train.epochs": -1})


def test_what_if_blames_no_file_for_a_setting_that_stands_in_none(small: Checkout) -> None:
    with pytest.raises(ParamsError) as error:
        Pipeline("small", small.paths).what_if({"train.epochs": -1})
    assert "in params.yaml" not in error.value.problem
    assert "nothing was written" in str(error.value.kept)
