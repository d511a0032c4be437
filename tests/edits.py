"""The grammar of edits: what a person may do to code, at random.

An edit changes a dict of files (relative path -> text) in place, wherever it likes, and returns the
path of the one that it changed. MEANING may change what a stage answers; NEUTRAL never does. Both
work on any project laid out as this one: on the miniature of `tests/core` and on the real library.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Callable
from typing import Any

from workbench.core.fingerprint.contract import BORDER, is_below

Files = dict[str, str]
Edit = Callable[[random.Random, Files], str]

DECORATORS = (
    *("app", "cached_property", "classmethod", "contextlib", "contextmanager", "dataclass"),
    *("dataclasses", "functools", "lru_cache", "property", "staticmethod", "torch"),
)
"""Decorators that read neither docstrings nor annotations, by the beginning of their name."""

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_BINARY = (ast.Add, ast.Sub, ast.Mult)
_COMPARING = (ast.LtE, ast.Gt, ast.NotEq)


def module_of(name: str) -> str:
    """Dotted name of the module in a file."""
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def inside(files: Files) -> Files:
    """The files that stages may run; what is beyond the declared border changes no result."""
    return {n: text for n, text in files.items() if not is_below(module_of(n), BORDER)}


def filled(files: Files) -> list[str]:
    """Files that hold any code."""
    return [name for name, text in files.items() if text.strip()]


def nodes(tree: ast.AST, *kinds: type) -> list[Any]:
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def rewrite(files: Files, name: str, change: Callable[[ast.Module], object]) -> None:
    """Change the tree of one file; it is laid out anew, which must mean nothing."""
    tree = ast.parse(files[name])
    change(tree)
    files[name] = ast.unparse(ast.fix_missing_locations(tree))


def any_with(rng: random.Random, files: Files, *kinds: type) -> str:
    """A file of code that holds a node of one of `kinds`."""
    found = [name for name in filled(files) if nodes(ast.parse(files[name]), *kinds)]
    assert found, f"no file has {', '.join(kind.__name__ for kind in kinds)}"
    return rng.choice(found)


# edits that may change what a stage answers


def change_value(rng: random.Random, node: ast.Constant) -> None:
    """Another constant of the same kind."""
    if isinstance(node.value, str):
        node.value += "x"
    elif isinstance(node.value, bool):
        node.value = not node.value
    elif isinstance(node.value, int | float):
        node.value = rng.choice([node.value + 1, float(node.value), node.value * 2])


def change_constant(rng: random.Random, files: Files) -> str:
    name = any_with(rng, files, ast.Constant)
    rewrite(files, name, lambda tree: change_value(rng, rng.choice(nodes(tree, ast.Constant))))
    return name


def swap_operator(rng: random.Random, files: Files) -> str:
    name = any_with(rng, files, ast.BinOp)

    def change(tree: ast.Module) -> None:
        rng.choice(nodes(tree, ast.BinOp)).op = rng.choice(_BINARY)()

    rewrite(files, name, change)
    return name


def flip_comparison(rng: random.Random, files: Files) -> str:
    name = any_with(rng, files, ast.Compare, ast.IfExp)

    def change(tree: ast.Module) -> None:
        node = rng.choice(nodes(tree, ast.Compare, ast.IfExp))
        if isinstance(node, ast.Compare):
            node.ops = [rng.choice(_COMPARING)(), *node.ops[1:]]
        else:
            node.body, node.orelse = node.orelse, node.body

    rewrite(files, name, change)
    return name


def negate_condition(rng: random.Random, files: Files) -> str:
    name = any_with(rng, files, ast.If, ast.IfExp)

    def change(tree: ast.Module) -> None:
        node = rng.choice(nodes(tree, ast.If, ast.IfExp))
        node.test = ast.UnaryOp(ast.Not(), node.test)

    rewrite(files, name, change)
    return name


def swap_arguments(rng: random.Random, files: Files) -> str:
    name = any_with(rng, files, ast.Call)

    def change(tree: ast.Module) -> None:
        calls = [call for call in nodes(tree, ast.Call) if len(call.args) > 1]
        if calls:
            given = rng.choice(calls).args
            given[0], given[1] = given[1], given[0]

    rewrite(files, name, change)
    return name


def change_default(rng: random.Random, files: Files) -> str:
    name = any_with(rng, files, ast.arguments)

    def change(tree: ast.Module) -> None:
        given = [d for a in nodes(tree, ast.arguments) for d in (*a.defaults, *a.kw_defaults)]
        constants = [default for default in given if isinstance(default, ast.Constant)]
        if constants:
            change_value(rng, rng.choice(constants))

    rewrite(files, name, change)
    return name


def swap_names(rng: random.Random, files: Files) -> str:
    name = any_with(rng, files, ast.Name)

    def change(tree: ast.Module) -> None:
        loads = [n for n in nodes(tree, ast.Name) if isinstance(n.ctx, ast.Load)]
        if loads:
            rng.choice(loads).id = rng.choice(loads).id

    rewrite(files, name, change)
    return name


def drop_statement(rng: random.Random, files: Files) -> str:
    name = any_with(rng, files, ast.FunctionDef)

    def change(tree: ast.Module) -> None:
        body = rng.choice(nodes(tree, *_FUNCTIONS, ast.ClassDef)).body
        body[rng.randrange(len(body))] = ast.Pass()

    rewrite(files, name, change)
    return name


def drop_decorator(rng: random.Random, files: Files) -> str:
    def decorated(tree: ast.Module) -> list[Any]:
        return [n for n in nodes(tree, *_FUNCTIONS, ast.ClassDef) if n.decorator_list]

    library = [name for name in filled(files) if name.startswith("workbench/")]
    name = rng.choice([name for name in library if decorated(ast.parse(files[name]))])

    def change(tree: ast.Module) -> None:
        rng.choice(decorated(tree)).decorator_list.pop()

    rewrite(files, name, change)
    return name


def add_idle_statement(rng: random.Random, files: Files) -> str:
    """Other code that gives the same."""
    name = any_with(rng, files, ast.FunctionDef)

    def change(tree: ast.Module) -> None:
        line = ast.parse(f"_idle = {rng.randrange(1 << 30)}").body[0]
        rng.choice(nodes(tree, ast.FunctionDef)).body.insert(0, line)

    rewrite(files, name, change)
    return name


MEANING: tuple[Edit, ...] = (
    change_constant,
    swap_operator,
    flip_comparison,
    negate_condition,
    swap_arguments,
    change_default,
    swap_names,
    drop_statement,
    drop_decorator,
)


# edits that mean nothing


def is_plain(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Whether no decorator could read docstring or annotations."""
    marks = [ast.unparse(decorator) for decorator in node.decorator_list]
    return all(mark.replace("(", ".").split(".")[0] in DECORATORS for mark in marks)


def write_docstring(rng: random.Random, files: Files) -> str:
    """Another docstring, or one where there was none."""
    name = any_with(rng, files, ast.FunctionDef)

    def change(tree: ast.Module) -> None:
        plain = [n for n in nodes(tree, *_FUNCTIONS, ast.ClassDef) if is_plain(n)]
        if plain:
            node = rng.choice(plain)
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            text = ast.Expr(ast.Constant(f"Say why, {rng.randrange(99)} times.\n\n    More."))
            node.body = [text, *body]

    rewrite(files, name, change)
    return name


def write_annotation(rng: random.Random, files: Files) -> str:
    name = any_with(rng, files, ast.arg)

    def change(tree: ast.Module) -> None:
        functions = [n for n in nodes(tree, ast.FunctionDef) if is_plain(n)]
        arguments = [a for n in functions for a in n.args.args]
        if arguments:
            rng.choice(arguments).annotation = ast.Name(rng.choice(["int", "object"]))
            rng.choice(functions).returns = ast.Constant("Base | unreached")

    rewrite(files, name, change)
    return name


def add_comment(rng: random.Random, files: Files) -> str:
    """A remark or blank lines between any two lines that are not inside a string."""
    name = rng.choice(filled(files))
    strings = nodes(ast.parse(files[name]), ast.Constant, ast.JoinedStr)
    taken = {line for s in strings for line in range(s.lineno, s.end_lineno or s.lineno)}
    lines = files[name].split("\n")
    free = [n for n in range(1, len(lines)) if n not in taken and not lines[n - 1].endswith("\\")]
    lines.insert(rng.choice([0, *free]), rng.choice(["# a remark", "", "\n\n    # said aside"]))
    files[name] = "\n".join(lines)
    return name


def lay_out_anew(rng: random.Random, files: Files) -> str:
    name = rng.choice(filled(files))
    rewrite(files, name, lambda tree: None)
    return name


def reorder_imports(rng: random.Random, files: Files) -> str:
    name = any_with(rng, files, ast.Import, ast.ImportFrom)

    def change(tree: ast.Module) -> None:
        kinds = (ast.Import, ast.ImportFrom)
        places = [
            place
            for place, stmt in enumerate(tree.body)
            if isinstance(stmt, kinds) and getattr(stmt, "module", "") != "__future__"
        ]
        stmts = [tree.body[place] for place in places]
        rng.shuffle(stmts)
        for place, stmt in zip(places, stmts, strict=True):
            tree.body[place] = stmt

    rewrite(files, name, change)
    return name


def add_unreached(rng: random.Random, files: Files) -> str:
    """A function that nobody calls; in a notebook a cell."""
    name = rng.choice(filled(files))
    add = (
        f"\n\nimport json as _json\n_SPARE = {rng.random()}\n\ndef _spare(x):\n    return _SPARE\n"
    )
    if name.startswith("pipelines"):
        add = f"\n\n@app.cell\ndef _(x):\n    y = x + {rng.random()}\n    return (y,)\n"
    files[name] += add
    return name


NEUTRAL: tuple[Edit, ...] = (
    write_docstring,
    write_annotation,
    add_comment,
    lay_out_anew,
    reorder_imports,
    add_unreached,
)


# edits of a notebook that no stage sees


def _cells(tree: ast.Module, *, prose: bool) -> list[ast.FunctionDef]:
    """The cells that hold prose, or the others: plots, tables, widgets."""
    cells = [
        node
        for node in nodes(tree, ast.FunctionDef)
        if any("app.cell" in ast.unparse(mark) for mark in node.decorator_list)
    ]
    return [cell for cell in cells if ("mo.md(" in ast.unparse(cell)) == prose]


def _edit_cell(rng: random.Random, files: Files, *, prose: bool) -> str:
    name = rng.choice([name for name in filled(files) if name.startswith("pipelines/")])

    def change(tree: ast.Module) -> None:
        cell = rng.choice(_cells(tree, prose=prose))
        constants = nodes(cell, ast.Constant)
        if constants:
            change_value(rng, rng.choice(constants))
        cell.body.insert(rng.randrange(len(cell.body) + 1), ast.parse("print('here')").body[0])

    rewrite(files, name, change)
    return name


def edit_prose(rng: random.Random, files: Files) -> str:
    return _edit_cell(rng, files, prose=True)


def edit_plot(rng: random.Random, files: Files) -> str:
    return _edit_cell(rng, files, prose=False)


def edit_title(rng: random.Random, files: Files) -> str:
    """Title, width and version of the marimo app."""
    name = rng.choice([name for name in filled(files) if name.startswith("pipelines/")])

    def change(tree: ast.Module) -> None:
        apps = [c for c in nodes(tree, ast.Call) if ast.unparse(c.func) == "marimo.App"]
        change_value(rng, rng.choice(nodes(rng.choice(apps), ast.Constant)))

    rewrite(files, name, change)
    return name


NOTEBOOK: tuple[Edit, ...] = (edit_prose, edit_plot, edit_title)


IN_OBSERVERS: tuple[Edit, ...] = (change_constant, flip_comparison, swap_operator, drop_statement)
"""For code beyond the declared border: who watches may do it otherwise."""


# edits around the declared border


def add_log_line(rng: random.Random, files: Files) -> str:
    """A statement that only tells an observer something, anywhere in a function."""
    name = any_with(rng, files, *_FUNCTIONS)

    def change(tree: ast.Module) -> None:
        body = rng.choice(nodes(tree, *_FUNCTIONS)).body
        line = "from workbench.core import progress as _seen\n_seen.progress([], 'here')"
        first = 1 if isinstance(body[0], ast.Expr) else 0
        place = rng.randint(min(first, len(body)), len(body))
        body[place:place] = ast.parse(line).body

    rewrite(files, name, change)
    return name
