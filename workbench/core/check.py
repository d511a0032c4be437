"""What marimo or a person broke in a pipeline notebook, found without running it.

marimo turns an `@app.function` back into a cell on save when it uses a name of another cell, and
then the stage is silently gone. So a notebook declares its functions in `STAGES`, and this looks.
"""

from __future__ import annotations

import ast
import builtins
import symtable
from collections.abc import Iterable, Iterator
from pathlib import Path

from workbench.core.errors import ParamsError, did_you_mean
from workbench.core.fingerprint import CONTRACT, Problem, problems
from workbench.core.params import Params, require_parts
from workbench.core.reads import check_reads

REQUIRED = ("collect", "clean", "label", "model")

ARGUMENTS = {
    "collect": ("params",),
    "clean": ("data", "params"),
    "label": ("data", "params"),
    "model": ("fitted", "params"),
    "start": ("model", "data", "params"),
    "loss": ("model", "columns", "target"),
    "serve": ("model", "fitted", "data", "params"),
    "evaluate": ("predict", "examples", "data", "params"),
}
"""What each function of the contract is called with, in this order."""


def check(root: Path, params: Params) -> list[Problem]:
    """Return every problem of the checkout's pipelines and of the library's own dynamism."""
    found = list(problems(root))
    for pipeline in params.pipelines:
        path = root / "pipelines" / f"{pipeline}.py"
        if not path.is_file():
            found.append(
                Problem(path, 1, "missing", f"params.yaml lists '{pipeline}': no notebook")
            )
            continue
        found += check_notebook(path)
        try:
            require_parts(params, pipeline)
            check_reads(params, pipeline, path)
        except (ParamsError, SyntaxError) as error:
            found.append(Problem(path, 1, "params", str(error).replace("\n", " ")))
    return sorted(found, key=lambda p: (str(p.path), p.line))


def check_notebook(path: Path) -> list[Problem]:
    """Return the problems of one pipeline notebook."""
    source = path.read_text(encoding="utf-8")
    try:
        tree = ast.parse(source, str(path))
    except SyntaxError as error:
        return [Problem(path, error.lineno or 1, "syntax", f"not Python: {error.msg}")]
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    stages = {name: node for name, node in functions.items() if _decorated(node, "function")}
    found = [*_declared(path, tree, stages), *_arguments(path, stages)]
    found += _in_cells(path, functions.values(), stages)
    found += _undefined(path, source, tree)
    return found


def _decorated(node: ast.FunctionDef, kind: str) -> bool:
    """Whether a function is marked `@app.<kind>` or `@app.<kind>(...)`."""
    for mark in node.decorator_list:
        called = mark.func if isinstance(mark, ast.Call) else mark
        if isinstance(called, ast.Attribute) and called.attr == kind:
            return True
    return False


def _declared(
    path: Path, tree: ast.Module, stages: dict[str, ast.FunctionDef]
) -> Iterator[Problem]:
    """`STAGES` and the functions of the contract must agree, and the required ones be there."""
    line, declared = _read_stages(tree)
    if declared is None:
        yield Problem(path, 1, "undeclared", 'the setup cell declares no STAGES = ("collect", ...)')
        declared = ()
    for name in declared:
        if name not in stages:
            yield Problem(
                path,
                line,
                "demoted",
                f"STAGES declares `{name}`, but there is no top-level @app.function of that name; "
                "marimo may have made it a cell again (does it use a name of another cell?)"
                f"{did_you_mean(name, stages) if stages else ''}",
            )
        if name not in CONTRACT:
            yield Problem(
                path,
                line,
                "unknown",
                f"`{name}` in STAGES is no function of the contract.{did_you_mean(name, CONTRACT)}",
            )
    for name, node in stages.items():
        if name in CONTRACT and name not in declared:
            yield Problem(path, node.lineno, "undeclared", f"`{name}` is not listed in STAGES")
    for name in REQUIRED:
        if name not in stages and name not in declared:
            yield Problem(path, 1, "missing", f"a pipeline needs a function `{name}`")


def _read_stages(tree: ast.Module) -> tuple[int, tuple[str, ...] | None]:
    """Line and value of the constant STAGES."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == "STAGES" for t in node.targets
        ):
            try:
                return node.lineno, tuple(ast.literal_eval(node.value))
            except ValueError:
                return node.lineno, None
    return 1, None


def _arguments(path: Path, stages: dict[str, ast.FunctionDef]) -> Iterator[Problem]:
    for name, node in stages.items():
        wanted = ARGUMENTS.get(name)
        given = tuple(a.arg for a in (*node.args.posonlyargs, *node.args.args))
        if wanted and given != wanted:
            yield Problem(
                path,
                node.lineno,
                "arguments",
                f"`{name}({', '.join(given)})` should be `{name}({', '.join(wanted)})`",
            )


def _in_cells(
    path: Path, functions: Iterable[ast.FunctionDef], stages: dict[str, ast.FunctionDef]
) -> Iterator[Problem]:
    """A cell variable named like a stage stops the whole app."""
    for cell in functions:
        if not _decorated(cell, "cell"):
            continue
        for node in ast.walk(cell):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in stages:
                yield Problem(
                    path,
                    node.lineno,
                    "shadowed",
                    f"a cell assigns `{node.id}`, the name of a stage: the notebook will not start",
                )


def _undefined(path: Path, source: str, tree: ast.Module) -> Iterator[Problem]:
    """Names that nothing defines; marimo does not see them before the cell runs."""
    top = symtable.symtable(source, str(path), "exec")
    known = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported()}
    known |= {s.get_name() for s in top.get_symbols() if s.is_namespace()}
    known |= set(dir(builtins)) | {"__file__", "__name__", "__doc__"}
    cells = {
        n.name: n for n in tree.body if isinstance(n, ast.FunctionDef) and _decorated(n, "cell")
    }
    lines = {
        node.id: node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    for table in _tables(top):
        for symbol in table.get_symbols():
            name = symbol.get_name()
            if symbol.is_global() and symbol.is_referenced() and name not in known:
                where = "cell" if table.get_name() in cells else table.get_name()
                yield Problem(
                    path,
                    lines.get(name, table.get_lineno()),
                    "undefined",
                    f"`{name}` in {where} is defined nowhere.{_near(name, known)}",
                )


def _near(name: str, known: set[str]) -> str:
    said = did_you_mean(name, known)
    return said if said.startswith(" Did") else ""


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    for child in table.get_children():
        yield child
        yield from _tables(child)
