"""Questions about single nodes of a syntax tree: names, imports, and what marimo adds."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

Chain = tuple[str, ...]
"""A name and the attributes read from it: `wb.data.checks` is ("wb", "data", "checks")."""

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
SCOPES = (*DEFINITIONS, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True)
class Alias:
    """What an import binds: a module (name is None) or a name of a module."""

    base: str
    name: str | None = None

    @property
    def dotted(self) -> str:
        return self.base if self.name is None else f"{self.base}.{self.name}"


def chain_of(node: ast.AST) -> Chain | None:
    """Return ("a", "b", "c") for the expression `a.b.c`; None when it does not start at a name."""
    attributes: list[str] = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    return (node.id, *reversed(attributes)) if isinstance(node, ast.Name) else None


def callee_of(node: ast.AST) -> Chain | None:
    """The chain of a decorator or callee with the calls taken off: `register(x)(f)` -> register."""
    while isinstance(node, ast.Call):
        node = node.func
    return chain_of(node)


def import_aliases(
    node: ast.Import | ast.ImportFrom, module: str, package: bool
) -> list[tuple[str, Alias]]:
    """Return (bound name, what it is) for each name of an import; relative ones made absolute."""
    if isinstance(node, ast.Import):
        return [
            (a.asname, Alias(a.name)) if a.asname else (root, Alias(root))
            for a in node.names
            for root in [a.name.partition(".")[0]]
        ]
    base = imported_module(node, module, package)
    return [(a.asname or a.name, Alias(base, a.name)) for a in node.names]


def imported_module(node: ast.ImportFrom, module: str, package: bool) -> str:
    """Return the absolute name of the module that `from ... import` reads."""
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    up = node.level - 1 if package else node.level
    return ".".join([*parts[: len(parts) - up], *([node.module] if node.module else [])])


def is_type_checking(node: ast.If) -> bool:
    """Whether this is `if TYPE_CHECKING:`, which never runs."""
    chain = chain_of(node.test)
    return chain is not None and chain[-1] == "TYPE_CHECKING"


def is_main_guard(node: ast.If) -> bool:
    """Whether this is `if __name__ == "__main__":`, which never runs on import."""
    test = node.test
    if not (isinstance(test, ast.Compare) and chain_of(test.left) == ("__name__",)):
        return False
    other = test.comparators[0]
    is_main = isinstance(other, ast.Constant) and other.value == "__main__"
    return is_main and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq)


def app_names(tree: ast.Module) -> frozenset[str]:
    """Names bound to `marimo.App(...)` in a notebook."""
    return frozenset(
        target.id
        for stmt in tree.body
        if isinstance(stmt, ast.Assign)
        and isinstance(stmt.value, ast.Call)
        and chain_of(stmt.value.func) == ("marimo", "App")
        for target in stmt.targets
        if isinstance(target, ast.Name)
    )


def is_setup(node: ast.stmt, apps: frozenset[str]) -> bool:
    """Whether this is marimo's setup cell, `with app.setup:`."""
    if not (isinstance(node, ast.With) and len(node.items) == 1):
        return False
    chain = callee_of(node.items[0].context_expr)
    return chain is not None and chain[0] in apps and chain[1:] == ("setup",)


def is_cell(node: ast.stmt, apps: frozenset[str]) -> bool:
    """Whether this is a notebook's cell, which no stage can reach."""
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return False
    chains = [callee_of(d) for d in node.decorator_list]
    return any(c is not None and c[0] in apps and c[1:] == ("cell",) for c in chains)


def meaningful(body: Iterable[ast.stmt], apps: frozenset[str]) -> Iterator[ast.stmt]:
    """Yield the top-level statements that run on import and can mean something to a stage."""
    for stmt in body:
        if isinstance(stmt, ast.If) and (is_type_checking(stmt) or is_main_guard(stmt)):
            yield from meaningful(stmt.orelse, apps)
        elif is_setup(stmt, apps) and isinstance(stmt, ast.With):
            yield from meaningful(stmt.body, apps)
        elif not (_is_prose(stmt, apps) or is_cell(stmt, apps)):
            yield stmt


def _is_prose(stmt: ast.stmt, apps: frozenset[str]) -> bool:
    """Docstrings, `pass`, the marimo app itself and its version."""
    if isinstance(stmt, ast.Expr):
        chain = callee_of(stmt.value)
        return isinstance(stmt.value, ast.Constant) or bool(chain and chain[0] in apps)
    if isinstance(stmt, ast.Assign):
        names = {t.id for t in stmt.targets if isinstance(t, ast.Name)}
        return bool(names) and names <= apps | {"__generated_with"}
    return isinstance(stmt, ast.Pass)


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a node without entering nested functions, classes and comprehensions."""
    todo = [node]
    while todo:
        current = todo.pop()
        yield current
        if current is node or not isinstance(current, (*SCOPES, *COMPREHENSIONS)):
            todo.extend(ast.iter_child_nodes(current))


def targets(node: ast.ListComp | ast.DictComp) -> frozenset[str]:
    """Names that a comprehension binds for itself."""
    return frozenset(
        part.id
        for generator in node.generators
        for part in ast.walk(generator.target)
        if isinstance(part, ast.Name)
    )


def merged(values: list[ast.expr]) -> Iterator[tuple[bool, str, ast.expr | None]]:
    """Join neighbouring constants of an f-string; Python's versions cut them differently."""
    text = ""
    for part in values:
        if isinstance(part, ast.Constant):
            text += str(part.value)
            continue
        if text:
            yield True, text, None
            text = ""
        yield False, "", part
    if text:
        yield True, text, None


def has_docstring(body: list[ast.stmt]) -> bool:
    """Whether the body of a function or class starts with its docstring."""
    first = body[0] if body else None
    value = first.value if isinstance(first, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def names_in(annotation: str) -> set[Chain]:
    """Names in an annotation written as a string; text that is no expression names nothing."""
    try:
        tree = ast.parse(annotation, mode="eval")
    except SyntaxError:
        return set()
    return {(node.id,) for node in ast.walk(tree) if isinstance(node, ast.Name)}
