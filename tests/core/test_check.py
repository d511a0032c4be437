"""`workbench check` sees what marimo only says when the notebook is opened."""

from __future__ import annotations

from pathlib import Path

from workbench.core.check import check_notebook

NOTEBOOK = Path(__file__).parents[1] / "pipelines" / "small.py"


def test_a_cell_variable_named_like_a_stage_is_found(tmp_path: Path) -> None:
    cell = "@app.cell\ndef _():\n    label = 1\n    return (label,)\n\n\nif __name__"
    broken = tmp_path / "small.py"
    broken.write_text(NOTEBOOK.read_text().replace("if __name__", cell, 1))
    found = [(p.code, p.message) for p in check_notebook(broken)]
    assert found == [
        ("shadowed", "a cell assigns `label`, the name of a stage: the notebook will not start")
    ]


def test_the_notebook_as_it_stands_has_no_problem() -> None:
    assert check_notebook(NOTEBOOK) == []
