"""A person's file that changed is told of, without reading it each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.checkout import Checkout, new_checkout
from workbench.core.files import read_json, write_json
from workbench.core.params import read_params
from workbench.notebook import sample
from workbench.notebook.look import look
from workbench.stages.freshness import outdated


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """A checkout with a pipeline of its own table, in which nothing ran."""
    monkeypatch.delenv("WORKBENCH_HOME", raising=False)
    made = new_checkout(tmp_path / "checkout")
    monkeypatch.chdir(made.root)
    look(sample.wines(made.root / "wine.csv"), sample.TARGET).write("wine")
    return made


def told(own: Checkout) -> list[str]:
    return outdated(own.paths, read_params(own.paths.params), ["small", "wine"])


def test_a_file_that_changed_is_named_with_what_takes_it_and_back_it_is_silent(
    own: Checkout,
) -> None:
    file = own.root / "wine.csv"
    before = file.read_bytes()
    assert told(own) == []
    file.write_bytes(before + before.splitlines(keepends=True)[-1])
    assert told(own) == ["wine.csv has changed since it was read: workbench refresh wine"]
    assert "workbench refresh wine" in own.workbench("status").ok().text
    file.write_bytes(before)
    assert told(own) == []


def test_a_file_that_looks_as_before_is_not_read_again(own: Checkout) -> None:
    assert told(own) == []
    kept = own.paths.home / "sources.json"
    (entry,) = read_json(kept).items()
    write_json(kept, {entry[0]: [entry[1][0], "0" * 64]})  # what only a reading would set right
    assert len(told(own)) == 1


def test_a_file_that_is_gone_is_no_news(own: Checkout) -> None:
    (own.root / "wine.csv").unlink()
    assert told(own) == []
