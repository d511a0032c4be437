"""params.yaml is changed in place: a person's comments, order and quotes stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from workbench.core.errors import ParamsError
from workbench.core.paramsfile import add_pipeline, set_values

TEXT = """\
# Ours.
version: 1
pipelines: [first]   # all of them

engine: {memory_limit: 2GB, threads: 2}  # enough

first:
  collect:
    as_of: "2026-01-31"   # the day
    note: 'quoted'
  clean: {}
  label: {}
  split: {by: hash}
  train:
    seed: 1   # any
  evaluate: {}
  serve: {}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "params.yaml"
    file.write_text(TEXT)
    return file


def block(**collect: Any) -> dict[str, Any]:
    return {"collect": {"as_of": "2026-02-01", **collect}, "split": {"by": "hash"}}


def test_a_new_block_comes_last_and_every_line_before_stays(path: Path) -> None:
    add_pipeline(path, "second", block())
    text = path.read_text()
    for line in TEXT.splitlines():
        if not line.startswith("pipelines"):
            assert line in text
    assert "pipelines: [first, second] # all of them" in text
    assert text.index("\nsecond:") > text.index("serve: {}")


@pytest.mark.parametrize(
    "value",
    [
        "yes",
        "2026-11-24",
        "a: b",
        "# no",
        "1e3",
        "null",
        "",
        "  blank ",
        "üñ😀",
        "a\nb",
        '"',
        "'",
        "{",
    ],
)
def test_any_text_is_read_back_as_it_was(path: Path, value: str) -> None:
    add_pipeline(path, "second", block(source={"where": value, "list": [value, 1]}))
    found = yaml.safe_load(path.read_text())["second"]["collect"]["source"]
    assert found == {"where": value, "list": [value, 1]}


def test_what_cannot_be_read_is_not_written(path: Path) -> None:
    with pytest.raises(ParamsError, match="epochs"):
        add_pipeline(path, "second", block() | {"train": {"epochs": "many"}})
    assert path.read_text() == TEXT
    with pytest.raises(ParamsError, match="already has a block 'first'"):
        add_pipeline(path, "first", block())
    assert path.read_text() == TEXT
    assert [p.name for p in path.parent.iterdir()] == ["params.yaml"]


def test_a_value_is_set_beside_its_comment_and_taken_out_again(path: Path) -> None:
    set_values(path, "first", {"collect.as_of": "2026-03-01", "split.salt": "7"})
    text = path.read_text()
    assert 'as_of: "2026-03-01"   # the day' in text
    assert yaml.safe_load(text)["first"]["split"] == {"by": "hash", "salt": "7"}
    set_values(path, "first", {"collect.as_of": "2026-01-31", "split.salt": None})
    assert path.read_text() == TEXT


def test_the_first_pipeline_of_a_checkout_can_be_added(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("version: 1\npipelines: []\n")
    assert add_pipeline(path, "only", block()).pipelines == ("only",)
