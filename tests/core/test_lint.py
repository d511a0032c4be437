"""The lint forbids what fingerprints cannot see, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.core.errors import PipelineError
from workbench.core.fingerprint import Problem, problems

SETUP = """
import builtins
import importlib
import inspect
import os
import sys
from importlib import import_module

import torch
import workbench as wb
from torch.nn import Linear
from workbench.core import errors

TABLE = {}


class Own:
    size = 1


"""


def lint(root: Path, body: str, name: str = "pipelines/demo.py") -> list[Problem]:
    for folder, text in {
        "workbench/__init__.py": "",
        "workbench/core/__init__.py": "",
        "workbench/core/errors.py": "A = 1\n",
        name: SETUP + body,
    }.items():
        path = root / folder
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return problems(root)


FORBIDDEN = [
    ("dynamic-import", "def f(x): return importlib.import_module(x)"),
    ("dynamic-import", "def f(x): return import_module('a.' + x)"),
    ("dynamic-import", "def f(x): return import_module('.core', 'workbench')"),
    ("dynamic-import", "def f(x): return __import__(x)"),
    ("dynamic-code", "def f(x): exec(x)"),
    ("dynamic-code", "def f(x): return builtins.eval(x)"),
    ("namespace-write", "def f(x): globals()[x] = 1"),
    ("namespace-write", "def f(x): globals().update(x)"),
    ("namespace-write", "def f(x): vars(wb)['a'] = x"),
    ("namespace-write", "def f(x): del locals()['x']"),
    ("monkeypatch", "def f(x): torch.foo = x"),
    ("monkeypatch", "torch.foo = 1"),
    ("monkeypatch", "def f(x): Linear.forward = x"),
    ("monkeypatch", "def f(x): errors.A += 1"),
    ("monkeypatch", "def f(x): del torch.foo"),
    ("monkeypatch", "def f(x): setattr(torch, 'foo', x)"),
    ("monkeypatch", "def f(x): setattr(Own, x, 1)"),
    ("monkeypatch", "def f(x): delattr(Linear, 'forward')"),
    ("monkeypatch", "def f(x): Linear.__dict__['a'] = x"),
    ("subclasses", "def f(): return Own.__subclasses__()"),
    ("subclasses", "class Base:\n    def __init_subclass__(cls): ..."),
    ("sys-modules", "def f(x): sys.modules['torch'] = x"),
    ("sys-modules", "def f(x): sys.modules.pop('torch')"),
    ("dynamic-attribute", "def f(x): return getattr(wb, x)"),
    ("dynamic-attribute", "def f(x): return getattr(wb.core.errors, x, None)"),
    ("source-text", "def f(x): return inspect.getsource(x)"),
    ("import-effect", "os.makedirs('x')"),
    ("import-effect", "if os:\n    os.makedirs('x')"),
    ("import-effect", "try:\n    pass\nfinally:\n    os.makedirs('x')"),
    ("star-import", "from workbench.core.errors import *"),
    ("pipeline-import", "from pipelines import other"),
    ("pipeline-import", "def f():\n    import pipelines.other"),
    ("pipeline-import", "from . import other"),
    (
        "nested-stage",
        "import marimo\napp = marimo.App()\n@app.cell\ndef _():\n    def clean(x): ...",
    ),
]


@pytest.mark.parametrize(("code", "body"), FORBIDDEN)
def test_what_cannot_be_seen_is_forbidden(tmp_path: Path, code: str, body: str) -> None:
    found = lint(tmp_path, body)
    assert [problem.code for problem in found] == [code]
    lines = (SETUP + body).splitlines()
    assert SETUP.count("\n") < found[0].line <= len(lines)
    assert found[0].path == Path("pipelines/demo.py")


@pytest.mark.parametrize(("code", "body"), FORBIDDEN)
def test_a_line_with_a_reason_is_allowed_and_one_without_is_not(
    tmp_path: Path, code: str, body: str
) -> None:
    line = lint(tmp_path, body)[0].line - SETUP.count("\n") - 1
    lines = body.splitlines()
    lines[line] += "  # dynamic: the reason"
    assert lint(tmp_path, "\n".join(lines)) == []
    lines[line] = lines[line].replace(": the reason", ":")
    assert [problem.code for problem in lint(tmp_path, "\n".join(lines))] == [code]


@pytest.mark.parametrize(
    "body",
    [
        "def f(): return import_module('torch.nn')",
        "def f(model): return model.eval()",
        "def f(torch): torch.foo = 1",
        "def f():\n    Linear = make()\n    Linear.bias = None",
        "def f(self, x): self.size = x",
        "def f(x): setattr(x, 'size', 1)",
        "def f(x): return getattr(x, str(x))",
        "def f(): return getattr(wb, 'core')",
        "def f(): return globals()['TABLE']",
        "def f(x): TABLE.update(x)",
        "def f(x): return sys.modules['torch']",
        "def f(x): return inspect.signature(x)",
        "def f(): os.environ['A'] = 'b'",
        "TABLE['x'] = 1",
        "TABLE.update(x=1)",
        "'prose'",
        "if __name__ == '__main__':\n    os.makedirs('x')",
        "if TYPE_CHECKING:\n    os.makedirs('x')",
        "import marimo\napp = marimo.App()\n@app.cell\ndef _():\n    os.makedirs('x')",
        "import marimo\napp = marimo.App()\n@app.function\ndef clean(x): ...",
        "import marimo\napp = marimo.App()\nwith app.setup:\n    A = 1",
        "class A:\n    os.makedirs",
    ],
)
def test_what_can_be_seen_is_allowed(tmp_path: Path, body: str) -> None:
    assert lint(tmp_path, body) == []


def test_an_effect_in_the_setup_cell_is_found(tmp_path: Path) -> None:
    body = "import marimo\napp = marimo.App()\nwith app.setup:\n    os.makedirs('x')"
    assert [problem.code for problem in lint(tmp_path, body)] == ["import-effect"]


def test_the_library_is_held_to_the_same_and_imports_no_pipeline(tmp_path: Path) -> None:
    body = "from pipelines import fraud\ndef f(x): exec(x)"
    found = lint(tmp_path, body, name="workbench/data/extra.py")
    assert [problem.code for problem in found] == ["pipeline-import", "dynamic-code"]
    assert str(found[0]).startswith("workbench/data/extra.py:")


def test_a_file_that_is_not_python_is_named(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"^pipelines/demo.py:\d+ is not valid Python"):
        lint(tmp_path, "def f(:")


def test_a_checkout_without_problems_has_none(tmp_path: Path) -> None:
    assert lint(tmp_path, "") == []
