"""Mistakes of people (and of marimo) are named in one sentence, before anything runs."""

from __future__ import annotations

import re

import pytest

from tests.checkout import Checkout
from workbench.core.errors import WorkbenchError
from workbench.execution.plan import plan

LABEL = """@app.function
def label(data, params):
"""
CELL = """@app.cell
def _():
    def label(data, params):
        return data
    return


@app.function
def once(data, params):
"""


@pytest.mark.parametrize(
    ("was", "becomes", "words"),
    [
        ("engine: {", "engin: {", ("Unknown key 'engin'", "Did you mean 'engine'?")),
        (
            "  split:\n",
            "  splt: {}\n  split:\n",
            ("Unknown key 'small.splt'", "Did you mean 'split'?"),
        ),
        (
            "by: time",
            "by: time\n    test_fracton: 0.3",
            ("Unknown key 'small.split.test_fracton'", "Did you mean 'test_fraction'?"),
        ),
        (
            "orders: 2000",
            "ordres: 2000",
            (
                "small.py:37 params: reads `orders`, params.yaml sets `ordres`",
                "Next: make them the same",
            ),
        ),
        (
            "epochs: 3",
            "epoch: 3",
            ("Nothing reads 'small.train.epoch'", "Did you mean 'epochs'?"),
        ),
        ("epochs: 3", "epochs: three", ("'small.train.epochs: three'", "valid integer")),
        ("by: time", "by: tme", ("'small.split.by: tme'", "'time', 'group' or 'hash'")),
        (
            "by: time",
            "by: time\n    gap_days: 3 weeks",
            ("'small.split.gap_days: 3 weeks'", "give a plain number, in days"),
        ),
        (
            "memory_limit: 500MB",
            "memory_limit: 500mega",
            ("'engine.memory_limit: 500mega'", "a size with its unit, such as 2GB"),
        ),
        ("  label: {}\n", "", ("lacks 'small.label'", "write `label: {}`")),
        ("[small]", "[small, other]", ("'other' is listed in params.yaml but has no block",)),
        ("[small]", "[]", ("Unknown key 'small'", "listed under `pipelines:`")),
        (
            '"2026-06-30"',
            "2026-06-30",
            ("'small.collect.as_of: 2026-06-30'", "put the date in quotes", 'as_of: "2026-06-30"'),
        ),
        ("width: 8", "width: [8", ("params.yaml line", "is not YAML")),
        ("width: 8", "{}", ("params.yaml line", "is not YAML")),
    ],
)
def test_a_mistake_in_params_is_one_sentence_and_nothing_runs(
    small: Checkout, was: str, becomes: str, words: tuple[str, ...]
) -> None:
    before = small.outputs()
    small.edit("params.yaml", was, becomes)
    with pytest.raises(WorkbenchError) as status:
        plan(small.paths)  # what `workbench status` shows
    said = small.workbench("repro").failed(*words)
    # Where a line of the notebook is wrong, a problem of it begins with its place.
    assert re.sub(r"^small\.py:\d+ ", "", status.value.problem) in said.sentence
    assert small.outputs() == before
    assert len(small.records("collect")) == 1


@pytest.mark.parametrize(
    ("stage", "was", "becomes", "words"),
    [
        ("train", "epochs: 3", "epoch: 3", ("train small: Nothing reads 'small.train.epoch'",)),
        ("split", "by: time", "by: tme", ("split small: 'small.split.by: tme'",)),
        # DVC is before us here, and names the key as well.
        ("collect", '"2026-06-30"', "2026-06-30", ("type 'date'", "small.collect.as_of")),
    ],
)
def test_dvc_repro_tells_the_same_sentence_about_params(
    small: Checkout, stage: str, was: str, becomes: str, words: tuple[str, ...]
) -> None:
    small.edit("params.yaml", was, becomes)
    small.repro(f"{stage}@small").failed(*words, code=255)


@pytest.mark.parametrize(
    ("was", "becomes", "words"),
    [
        (LABEL, CELL, ("demoted", "`label`", "marimo may have made it a cell again")),
        ('"label", "model"', '"model"', ("undeclared", "`label` is not listed in STAGES")),
        (
            LABEL,
            LABEL.replace("label", "lable"),
            ("demoted", "Did you mean 'lable'? If not, marimo may have made it a cell again"),
        ),
        (
            "params.max_amount",
            "params.max_amonut",
            ("small.py:66 params: reads `max_amonut`", "params.yaml sets `max_amount`"),
        ),
        (
            "t.amount > params.max_amount",
            "t.amount > limit",
            ("small.py:66 undefined: `limit` in `clean` is defined nowhere", "Next: correct it"),
        ),
        (
            "params.width",
            "params.wide_as_a_house",
            (
                "small.py:94 params: reads 'wide_as_a_house' but params.yaml sets no",
                "params.yaml:24 params: Nothing reads 'small.train.width' of params.yaml",
                "2 problems",
            ),
        ),
        ("COLOURS[c]", "COLORS[c]", ("undefined", "`COLORS`", "Did you mean 'COLOURS'?")),
        (
            "import workbench as wb",
            "import workbench as wb\n    from pipelines import other",
            ("pipelines/small.py", "other", "pipeline"),
        ),
        (
            "def clean(data, params)",
            "def clean(params, data)",
            ("`clean(params, data)` should be `clean(data, params)`",),
        ),
        ('if __name__ == "__main__":\n', "label = (\n", ("not valid Python", "never closed")),
    ],
)
def test_check_names_what_is_broken(
    small: Checkout, was: str, becomes: str, words: tuple[str, ...]
) -> None:
    small.edit("pipelines/small.py", was, becomes)
    (small.root / "pipelines" / "other.py").write_text("")
    small.workbench("check").failed("pipelines/small.py", *words)


def test_a_pipeline_that_does_not_keep_the_contract_is_not_begun(small: Checkout) -> None:
    small.edit("pipelines/small.py", LABEL, CELL)
    small.workbench("repro").failed("pipelines/small.py", "`label`", "workbench check")
    assert len(small.records("collect")) == 1


def test_status_tells_a_mistake_as_repro_does(small: Checkout) -> None:
    small.edit("params.yaml", "orders: 2000", "ordres: 2000")
    small.workbench("status").failed("params.yaml sets `ordres`", "Next: make them the same")


def test_refresh_says_what_it_cannot_do(small: Checkout) -> None:
    before = (small.root / "params.yaml").read_text()
    small.workbench("refresh", "smal").failed("No pipeline 'smal'", "Did you mean 'small'?")
    small.workbench("refresh", "small", "--as-of", "July").failed("'July' is not a day")
    assert (small.root / "params.yaml").read_text() == before


def test_a_name_that_nothing_has_is_answered_with_the_nearest(small: Checkout) -> None:
    small.workbench("repro", "smal").failed("No pipeline 'smal'", "Did you mean 'small'?")
    small.stage("trian").failed("No stage 'trian'", "Did you mean 'train'?")
    small.run("python", "-m", "workbench.stages", "train", "smal").failed("'smal'", "'small'")
