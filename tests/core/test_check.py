"""`workbench check` sees what marimo only says when the notebook is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.core.check import check, check_notebook
from workbench.core.params import read_params

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


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with the small pipeline and nothing of the library."""
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "small.py").write_text(NOTEBOOK.read_text())
    (tmp_path / "params.yaml").write_text(NOTEBOOK.with_name("params.yaml").read_text())
    return tmp_path


def replaced(file: Path, was: str, becomes: str) -> int:
    """Replace text that is there once; returns its line, counted from 1."""
    text = file.read_text()
    assert text.count(was) == 1
    file.write_text(text.replace(was, becomes))
    return text[: text.index(was)].count("\n") + 1


def found(root: Path) -> list[tuple[str, int, str]]:
    problems = check(root, read_params(root / "params.yaml"))
    return [(p.path.as_posix(), p.line, p.message) for p in problems]


def test_a_misspelt_reading_is_told_with_both_sides_and_its_line(root: Path) -> None:
    line = replaced(root / "pipelines" / "small.py", "params.max_amount", "params.max_amonut")
    ((path, at, message),) = found(root)
    assert (path, at) == ("pipelines/small.py", line)
    assert message == (
        "reads `max_amonut`, params.yaml sets `max_amount` "
        "(as 'small.clean.max_amount'). Next: make them the same"
    )


def test_a_misspelt_reading_in_a_helper_is_told_with_both_sides(root: Path) -> None:
    notebook = root / "pipelines" / "small.py"
    replaced(notebook, "data.drop(", "limit(data, params)\n    data.drop(")
    replaced(notebook, "t.amount > params.max_amount", "t.amount > 1")
    helper = "@app.function\ndef limit(data, params):\n    return params.max_amont\n\n\n"
    line = replaced(notebook, 'if __name__ == "__main__":', f'{helper}if __name__ == "__main__":')
    ((path, at, message),) = found(root)
    assert (path, at) == ("pipelines/small.py", line + 2)
    assert "reads `max_amont`, params.yaml sets `max_amount`" in message


def test_a_setting_that_nothing_reads_is_a_problem_of_params_yaml_at_its_line(root: Path) -> None:
    line = replaced(root / "params.yaml", "    width: 8\n", "    width: 8\n    colour: red\n")
    ((path, at, message),) = found(root)
    assert (path, at) == ("params.yaml", line + 1)
    assert message.startswith("Nothing reads 'small.train.colour' of params.yaml.")


def test_a_name_that_is_defined_nowhere_is_told_once_with_its_function(root: Path) -> None:
    line = replaced(
        root / "pipelines" / "small.py", "t.amount > params.max_amount", "t.amount > limit + limit"
    )
    replaced(root / "params.yaml", "    max_amount: 150\n", "")
    (root / "params.yaml").write_text(
        (root / "params.yaml").read_text().replace("clean:", "clean: {}")
    )
    assert found(root) == [
        (
            "pipelines/small.py",
            line,
            "`limit` in `clean` is defined nowhere. "
            "Next: correct it, or define or import it in the setup cell",
        )
    ]


def test_a_pipeline_without_its_notebook_is_a_problem_of_params_yaml(root: Path) -> None:
    (root / "pipelines" / "small.py").unlink()
    ((path, _, message),) = found(root)
    assert path == "params.yaml"
    assert message == "params.yaml lists 'small': there is no pipelines/small.py"
