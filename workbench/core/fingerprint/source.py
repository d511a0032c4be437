"""The project's modules as statements and the names they bind, parsed and never imported."""

from __future__ import annotations

import ast
import functools
import symtable
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from workbench.core.errors import PipelineError
from workbench.core.fingerprint.contract import LAZY, PROJECT
from workbench.core.fingerprint.syntax import (
    DEFINITIONS,
    Alias,
    app_names,
    import_aliases,
    meaningful,
    own_nodes,
)


@dataclass(frozen=True, eq=False)
class Statement:
    """One top-level statement, or one name of a top-level import.

    binds: names that it binds. aliases: those of them that are imports.
    whole: False when the node is an import of several names, of which only `aliases` is meant.
    """

    node: ast.stmt
    binds: tuple[str, ...]
    aliases: tuple[tuple[str, Alias], ...] = ()
    whole: bool = True


@dataclass(frozen=True, eq=False)
class Module:
    """A parsed module.

    bindings: every statement that binds a name, in order. homes: where lazy attributes live.
    stars: modules imported with `*`. apps: names of the marimo app. blocks: nested scopes.
    """

    name: str
    path: Path
    package: bool
    text: str
    tree: ast.Module
    statements: tuple[Statement, ...]
    bindings: dict[str, tuple[Statement, ...]]
    homes: dict[str, Alias]
    stars: tuple[str, ...]
    apps: frozenset[str]

    @functools.cached_property
    def blocks(self) -> list[tuple[int, symtable.SymbolTable]]:
        """The outermost nested scopes by their first line, as Python's own compiler sees them."""
        table = symtable.symtable(self.text, str(self.path), "exec")
        return [(child.get_lineno(), child) for child in table.get_children()]

    def global_names(self, node: ast.stmt) -> frozenset[str]:
        """Names that any scope nested in a top-level statement looks up in the module."""
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
        last = node.end_lineno or node.lineno
        found: set[str] = set()
        for line, table in self.blocks:
            if first <= line <= last:
                _add_globals(table, found)
        return frozenset(found)


def _add_globals(table: symtable.SymbolTable, found: set[str]) -> None:
    if isinstance(table, symtable.Function):
        found.update(table.get_globals())
    else:
        # A class body may read a global before it binds the same name (`limit = limit`).
        is_class = isinstance(table, symtable.Class)
        for symbol in table.get_symbols():
            if symbol.is_global() or (is_class and symbol.is_referenced()):
                found.add(symbol.get_name())
    for child in table.get_children():
        _add_globals(child, found)


def _bound(stmt: ast.stmt) -> Iterator[str]:
    """Names that a statement other than an import or a definition binds in its module."""
    for node in own_nodes(stmt):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, (*DEFINITIONS, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
            yield from [node.name] if node.name else []
        elif isinstance(node, ast.MatchMapping) and node.rest:
            yield node.rest


@functools.lru_cache(maxsize=1024)
def parse(name: str, path: Path, package: bool, text: str) -> Module:
    """Parse one module; the same text is parsed once a process.

    Raises PipelineError with file and line when it is not Python.
    """
    try:
        tree = ast.parse(text, str(path))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        shown = "/".join(path.parts[-(name.count(".") + 1 + package) :])
        raise PipelineError(
            f"{shown}:{line} is not valid Python: {getattr(error, 'msg', error)}.",
            fix=f"correct line {line} of {shown}",
        ) from error
    apps = app_names(tree)
    stars: list[str] = []
    statements: list[Statement] = []
    for stmt in meaningful(tree.body, apps):
        if isinstance(stmt, ast.ImportFrom) and stmt.module == "__future__":
            continue
        statements += _statements(stmt, name, package, stars, "global " in text)
    bindings: dict[str, tuple[Statement, ...]] = {}
    for statement in statements:
        for bound in statement.binds:
            bindings[bound] = (*bindings.get(bound, ()), statement)
    return Module(
        name=name,
        path=path,
        package=package,
        text=text,
        tree=tree,
        statements=tuple(statements),
        bindings=bindings,
        homes=_homes(statements) if "__getattr__" in bindings else {},
        stars=tuple(stars),
        apps=apps,
    )


def _statements(
    stmt: ast.stmt, module: str, package: bool, stars: list[str], has_global: bool
) -> Iterator[Statement]:
    if isinstance(stmt, (ast.Import, ast.ImportFrom)):
        for bound, alias in import_aliases(stmt, module, package):
            if alias.name == "*":
                stars.append(alias.base)
            else:
                yield Statement(stmt, (bound,), ((bound, alias),), whole=False)
        return
    if isinstance(stmt, DEFINITIONS):
        # `global x` makes the function one of the places where x gets its value.
        nodes = list(ast.walk(stmt)) if has_global else []
        declared = [n for node in nodes if isinstance(node, ast.Global) for n in node.names]
        names = tuple(dict.fromkeys([stmt.name, *declared]))
    else:
        nodes = list(own_nodes(stmt))
        names = tuple(dict.fromkeys(_bound(stmt)))
    found = [
        pair
        for node in nodes
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for pair in import_aliases(node, module, package)
    ]
    stars += [alias.base for _, alias in found if alias.name == "*"]
    if not isinstance(stmt, DEFINITIONS):
        names = tuple(dict.fromkeys([*names, *(n for n, a in found if a.name != "*")]))
    yield Statement(stmt, names, tuple(p for p in found if p[0] in names))


def _homes(statements: Iterable[Statement]) -> dict[str, Alias]:
    """Read the literal table of lazy attributes: name -> "module" or "module:attribute"."""
    homes: dict[str, Alias] = {}
    for statement in statements:
        value = getattr(statement.node, "value", None)
        if statement.binds == (LAZY,) and isinstance(value, ast.Dict):
            for key, home in zip(value.keys, value.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(home, ast.Constant):
                    base, _, attribute = str(home.value).partition(":")
                    homes[str(key.value)] = Alias(base, attribute or str(key.value))
    return homes


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise PipelineError(
            f"{path}:1 is not UTF-8 text: {error.reason} at byte {error.start}.",
            fix=f"save {path.name} as UTF-8",
        ) from error


class Source:
    """The modules of one checkout, read when first asked for.

    A folder without its own `workbench` (a test's checkout) uses the one that is running.
    """

    def __init__(self, root: Path) -> None:
        own = root if (root / "workbench").is_dir() else Path(__file__).parents[3]
        self.root = root
        self._folders = {name: root for name in PROJECT} | {"workbench": own}
        self._modules: dict[str, Module | None] = {}

    def is_project(self, dotted: str) -> bool:
        return dotted.partition(".")[0] in self._folders

    def load(self, name: str) -> Module | None:
        """Return a project module, or None when there is none of this name."""
        if name not in self._modules:
            self._modules[name] = self._read(name)
        return self._modules[name]

    def _read(self, name: str) -> Module | None:
        if not self.is_project(name):
            return None
        place = self._folders[name.partition(".")[0]].joinpath(*name.split("."))
        single, package = place.with_name(f"{place.name}.py"), place / "__init__.py"
        if package.is_file():
            return parse(name, package, True, _text(package))
        if single.is_file():
            return parse(name, single, False, _text(single))
        return parse(name, package, True, "") if place.is_dir() else None
