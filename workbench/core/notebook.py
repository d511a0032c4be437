"""A pipeline notebook as a module: the same functions that a person runs by hand.

Headless, marimo is not needed: the notebook's `app` only marks functions, and a stage would pay
up to a second for the import. So a stand-in takes its place unless marimo is there already.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.core.errors import PipelineError, did_you_mean


class _HeadlessApp:
    """Takes the decorators of a marimo notebook: functions stay as they are, cells do not run."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.setup = contextlib.nullcontext()

    def function(self, given: Callable | None = None, **_: Any) -> Any:
        return given if given is not None else lambda f: f

    class_definition = function

    def cell(self, given: Callable | None = None, **_: Any) -> Any:
        return given if given is not None else lambda f: f


class _Headless(types.ModuleType):
    """Stands in for marimo in a stage; a stage that draws with it is told so."""

    __generated_with = "headless"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise PipelineError(
            f"A stage used `mo.{name}`, but stages run without marimo's interface.",
            fix="use marimo in cells only; a stage gets its values as arguments",
        )


def load_notebook(root: Path, pipeline: str) -> types.ModuleType:
    """Import `pipelines/<pipeline>.py` and return it, its declared functions checked.

    PipelineError when the notebook is missing, cannot be imported, or lacks a function that its
    `STAGES` declares (marimo may have turned it back into a cell).
    """
    path = root / "pipelines" / f"{pipeline}.py"
    if not path.is_file():
        known = [p.stem for p in path.parent.glob("*.py")]
        raise PipelineError(
            f"No notebook {path.name} in pipelines/.{did_you_mean(pipeline, known)}"
        )
    name = f"pipelines.{pipeline}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # a .py path always has a loader
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dynamic: as an import does
    headless = "marimo" not in sys.modules
    if headless:
        stand_in = _Headless("marimo")
        stand_in.App = _HeadlessApp  # type: ignore[attr-defined]
        sys.modules["marimo"] = stand_in  # dynamic: taken back below
    try:
        spec.loader.exec_module(module)
    except PipelineError:
        raise
    except Exception as error:  # whatever the notebook's top level raises
        raise PipelineError(
            f"{path.name} cannot be imported: {type(error).__name__}: {error}.",
            fix=f"run `workbench check {pipeline}`",
        ) from error
    finally:
        if headless:
            sys.modules.pop("marimo", None)  # dynamic: see above
    for function in getattr(module, "STAGES", ()):
        if not callable(getattr(module, function, None)):
            raise PipelineError(
                f"{path.name} declares `{function}` in STAGES but has no such top-level function.",
                fix=f"run `workbench check {pipeline}`; marimo may have made it a cell again",
            )
    return module
