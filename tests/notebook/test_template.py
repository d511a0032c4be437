"""The notebook that is written: names of strangers are texts in it, never code."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.checkout import REPOSITORY
from tests.data.look.tables import outcome, seen, spread
from tests.own_tables import NASTY
from workbench.core.check import check_notebook
from workbench.data.kinds import date
from workbench.data.look.beliefs import Look
from workbench.notebook.template import render

EVIL = (
    '"""\nimport os\n"""',
    "'); DROP TABLE rows; --",
    "$name ${kinds} $",
    "{1/0}",
    "</script><script>alert(1)</script>",
    "\\N{DASH}\\",
    "`rm -rf`",
    "# noqa\r\n\x00\u2028x",
    "a" * 120,
)


@functools.cache
def plain() -> Look:
    return seen({"x": spread(lambda c: f"{c.random():.4f}"), "bought": outcome()})


def looked(names: tuple[str, ...], target: str = "bought") -> Look:
    """What is believed of a table whose columns are called so."""
    x, answer = plain().columns
    columns = tuple(replace(x, name=name) for name in names)
    return replace(plain(), target=target, columns=(*columns, replace(answer, name=target)))


def kept(checkout: Path, code: str) -> Path:
    path = checkout / "pipelines" / "mine.py"
    path.parent.mkdir()
    (checkout / "workbench").mkdir()  # a first party among the imports
    path.write_text(code)
    return path


def formatted(path: Path, *command: str) -> subprocess.CompletedProcess[str]:
    style = ("--no-cache", "--config", str(REPOSITORY / "pyproject.toml"), str(path))
    return subprocess.run(
        [sys.executable, "-m", "ruff", *command, *style],
        capture_output=True,
        text=True,
        check=False,
        cwd=path.parents[1],  # settings name folders of the checkout
    )


def texts(code: str) -> set[object]:
    return {n.value for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Constant)}


@pytest.mark.parametrize("target", ["bought", *EVIL, *NASTY])
def test_any_name_of_the_target_is_a_text(tmp_path: Path, target: str) -> None:
    code = render("mine", looked(("x",), target))
    assert target in texts(code)
    path = kept(tmp_path, code)
    assert not check_notebook(path)


def test_any_name_of_a_column_is_a_text_and_the_code_has_the_style(tmp_path: Path) -> None:
    names = tuple(dict.fromkeys(name for name in (*NASTY, *EVIL) if len(name) < 80))
    names = tuple({name.lower(): name for name in names}.values())
    code = render("a_pipeline_with_quite_a_long_name", looked(names))
    assert set(names) <= texts(code)
    path = kept(tmp_path, code)
    for command in (("check",), ("format", "--check")):
        run = formatted(path, *command)
        assert run.returncode == 0, run.stdout


def test_lines_of_kinds_that_are_too_long_are_broken_as_formatters_do(tmp_path: Path) -> None:
    forms = ("%d.%m.%Y", "%Y/%m/%d", "%d %b %Y", "%m-%d-%Y", "%d.%m.%Y %H:%M")
    look = looked(("when it was first seen by anybody",))
    x, answer = look.columns
    code = render("mine", replace(look, columns=(replace(x, kind=date(*forms)), answer)))
    assert set(forms) <= texts(code)
    path = kept(tmp_path, code)
    run = formatted(path, "format", "--diff")
    assert run.returncode == 0, run.stdout


def test_a_key_that_the_answers_would_cover_is_not_the_key() -> None:
    look = replace(looked(("model", "x")), key=("model",))
    assert 'key=("row_md5", "row_copy")' in render("mine", look)
