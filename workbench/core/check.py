"""What marimo or a person broke in a pipeline notebook, found without running it.

marimo turns an `@app.function` back into a cell on save when it uses a name of another cell, and
then the stage is silently gone. So a notebook declares its functions in `STAGES`, and this looks.
"""

from __future__ import annotations

import ast
import builtins
import difflib
import symtable
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from workbench.core.errors import ParamsError, did_you_mean
from workbench.core.fingerprint import CONTRACT, Problem, problems
from workbench.core.fingerprint.lint import FOLDERS
from workbench.core.params import Params, require_parts
from workbench.core.reads import misfits

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


def check(root: Path, params: Params, folders: Sequence[str] = FOLDERS) -> list[Problem]:
    """Return every problem of the checkout's pipelines and of the library's own dynamism.

    Paths are relative to the checkout. folders: where dynamism is looked for; the library's own
    takes most of the time, and a person who did not change it need not wait for it.
    """
    found = list(problems(root, folders))
    settings = Path("params.yaml")
    for pipeline in params.pipelines:
        path = Path("pipelines") / f"{pipeline}.py"
        if not (root / path).is_file():
            line = _line(root / settings, pipeline)
            text = f"params.yaml lists '{pipeline}': there is no {path.as_posix()}"
            found.append(Problem(settings, line, "missing", text))
            continue
        broken = [replace(p, path=path) for p in check_notebook(root / path)]
        found += broken
        if any(problem.code == "syntax" for problem in broken):
            continue
        try:
            require_parts(params, pipeline)
        except ParamsError as error:
            line = _line(root / settings, pipeline)
            found.append(Problem(settings, line, "params", _on_one_line(error)))
        for misfit in misfits(params, pipeline, root / path):
            text = _on_one_line(misfit.error)
            if misfit.line is None:
                line = _line(root / settings, pipeline, *misfit.key.split("."))
                found.append(Problem(settings, line, "params", text))
            else:
                text = text.removeprefix(f"{path.name}:{misfit.line} ")
                found.append(Problem(path, misfit.line, "params", text))
    return sorted(found, key=lambda p: (str(p.path), p.line))


def _on_one_line(error: ParamsError) -> str:
    return str(error).replace("\n", " ")


def _line(file: Path, *keys: str) -> int:
    """Line of a key in a YAML file; 1 where it has none of its own."""
    node = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    line = 1
    for key in keys:
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        found = next(((k, v) for k, v in pairs if k.value == key), None)
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


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
            yield Problem(path, line, "demoted", _demoted(name, stages))
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


def _demoted(name: str, stages: Iterable[str]) -> str:
    near = _near(name, stages)
    return (
        f"STAGES declares `{name}`, but there is no top-level @app.function of that name"
        f"{f'.{near} If not,' if near else ':'} marimo may have made it a cell again, as it does "
        "with one that uses a name of another cell"
    )


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
    cells = {n.name for n in tree.body if isinstance(n, ast.FunctionDef) and _decorated(n, "cell")}
    lines: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            lines[node.id] = min(node.lineno, lines.get(node.id, node.lineno))
    told: set[tuple[str, str]] = set()
    for table, owner in _tables(top, ""):
        where = "a cell" if owner in cells else f"`{owner}`"
        for symbol in table.get_symbols():
            name = symbol.get_name()
            wanted = symbol.is_global() and symbol.is_referenced() and name not in known
            if wanted and (name, where) not in told:
                told.add((name, where))
                yield Problem(
                    path,
                    lines.get(name, table.get_lineno()),
                    "undefined",
                    f"`{name}` in {where} is defined nowhere.{_meant(name, known)} "
                    "Next: correct it, or define or import it in the setup cell",
                )


def _near(name: str, known: Iterable[str]) -> str:
    said = did_you_mean(name, known)
    return said if said.startswith(" Did") else ""


def _meant(name: str, known: set[str]) -> str:
    """A builtin is meant only where hardly a letter differs: `limit` is not `list`."""
    ours = _near(name, known - set(dir(builtins)))
    found = difflib.get_close_matches(name, dir(builtins), n=1, cutoff=0.8)
    return ours or (f" Did you mean '{found[0]}'?" if found else "")


def _tables(table: symtable.SymbolTable, owner: str) -> Iterator[tuple[symtable.SymbolTable, str]]:
    """Every scope below, with the top-level function or class that a person finds it in."""
    for child in table.get_children():
        inside = owner or child.get_name()
        yield child, inside
        yield from _tables(child, inside)
