"""Forbid what the graph of names cannot see, in pipelines and library.

A line may carry `# dynamic: <reason>`: then a person has said why nothing is missed.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.core.fingerprint.contract import CONTRACT
from workbench.core.fingerprint.source import Module, Source
from workbench.core.fingerprint.syntax import (
    DEFINITIONS,
    SCOPES,
    Alias,
    Chain,
    callee_of,
    chain_of,
    import_aliases,
    imported_module,
    is_cell,
    is_main_guard,
    is_type_checking,
    meaningful,
)

FOLDERS = ("pipelines", "workbench")
"""Where Python is ours."""
_ALLOWED = re.compile(r"#\s*dynamic:\s*\S")
_NAMESPACES = ("globals", "locals", "vars")
_WRITING = ("update", "setdefault", "pop", "popitem", "clear", "__setitem__", "__delitem__")
_INHERITING = "who registers by inheriting cannot be seen"
_SOURCE_READERS = ("getsource", "getsourcelines", "getcomments", "getsourcefile")


@dataclass(frozen=True)
class Problem:
    """One place that a fingerprint could not see through; path is relative to the checkout."""

    path: Path
    line: int
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.path.as_posix()}:{self.line} {self.code}: {self.message}"


def problems(root: Path, folders: Sequence[str] = FOLDERS) -> list[Problem]:
    """Return every forbidden place below `folders`, in order.

    Raises PipelineError when a file is not Python.
    """
    source = Source(root)
    found: list[Problem] = []
    with _uncollected():
        for folder in folders:
            for path in sorted((root / folder).rglob("*.py")):
                parts = path.relative_to(root).with_suffix("").parts
                name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
                module = source.load(name)
                if module and module.path == path:
                    found += _module_problems(source, module, path.relative_to(root))
    return sorted(found, key=lambda problem: (problem.path, problem.line, problem.code))


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Without looking for cycles: in the pile of syntax trees that took a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _module_problems(source: Source, module: Module, path: Path) -> Iterator[Problem]:
    lines = module.text.splitlines()
    checker = _Checker(source, module)
    checker.check()
    for node, code, message in checker.found:
        last = getattr(node, "end_lineno", None) or node.lineno
        # A long statement may carry its reason on its first or last line.
        if not any(_ALLOWED.search(lines[n - 1]) for n in (node.lineno, last)):
            yield Problem(path, node.lineno, code, message)


class _Checker:
    """One walk over a module, with the names that each nested function hides."""

    def __init__(self, source: Source, module: Module) -> None:
        self.source, self.module = source, module
        self.found: list[tuple[ast.stmt | ast.expr, str, str]] = []
        self.imports: dict[str, Alias] = {}
        self.scopes: list[ast.AST] = []
        self.hidden: dict[int, set[str]] = {}

    def check(self) -> None:
        for node in ast.walk(self.module.tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                pairs = import_aliases(node, self.module.name, self.module.package)
                self.imports |= dict(pairs)
        self._walk(self.module.tree)
        self._effects(meaningful(self.module.tree.body, self.module.apps))

    def _report(self, node: ast.stmt | ast.expr, code: str, message: str) -> None:
        self.found.append((node, code, message))

    def _walk(self, node: ast.AST) -> None:
        is_scope = isinstance(node, SCOPES) and not isinstance(node, ast.ClassDef)
        if is_scope:
            self.scopes.append(node)
        if _is_cell_of(node, self.module):
            self._nested_stages(node)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            self._import(node)
        elif isinstance(node, ast.FunctionDef) and node.name == "__init_subclass__":
            self._report(node, "subclasses", _INHERITING)
        elif isinstance(node, ast.Call):
            self._call(node)
        elif isinstance(node, (ast.Attribute, ast.Subscript)):
            self._place(node)
        for field in node._fields:  # as ast.iter_child_nodes, which took half of the time
            value = getattr(node, field, None)
            for child in value if isinstance(value, list) else (value,):
                if isinstance(child, ast.AST):
                    self._walk(child)
        if is_scope:
            self.scopes.pop()

    def _meaning(self, chain: Chain | None) -> str:
        """Dotted name behind a chain: imports followed one step, hidden names left empty."""
        if chain is None or any(chain[0] in self._hidden_by(scope) for scope in self.scopes):
            return ""
        alias = self.imports.get(chain[0])
        return ".".join((alias.dotted if alias else chain[0], *chain[1:]))

    def _hidden_by(self, scope: ast.AST) -> set[str]:
        """Names that a function hides, found once and only for one that is asked about."""
        if id(scope) not in self.hidden:
            self.hidden[id(scope)] = _hides(scope)
        return self.hidden[id(scope)]

    def _is_imported(self, chain: Chain | None) -> bool:
        return bool(self._meaning(chain)) and chain is not None and chain[0] in self.imports

    # imports

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.ImportFrom):
            base = imported_module(node, self.module.name, self.module.package)
            names = [f"{base}.{alias.name}" for alias in node.names]
            if any(alias.name == "*" for alias in node.names):
                self._report(node, "star-import", f"name what is used from {base}")
        else:
            names = [alias.name for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "pipelines" and not name.startswith(f"{self.module.name}."):
                self._report(
                    node, "pipeline-import", f"share code through workbench, not through {name}"
                )

    # calls

    def _call(self, node: ast.Call) -> None:
        callee = callee_of(node.func) if not isinstance(node.func, ast.Call) else None
        meaning = self._meaning(callee).removeprefix("builtins.")
        last = meaning.rpartition(".")[2]
        literal = bool(node.args) and _is_text(node.args[0])
        if meaning in ("importlib.import_module", "__import__", "importlib.__import__"):
            absolute = literal and not str(getattr(node.args[0], "value", "")).startswith(".")
            if not absolute:
                self._report(node, "dynamic-import", "import a module by a name written out")
        elif meaning in ("exec", "eval"):
            self._report(node, "dynamic-code", f"{meaning} runs code that nobody can follow")
        elif meaning in ("setattr", "delattr") and node.args:
            self._monkeypatch(node, chain_of(node.args[0]), definitions=True)
        elif meaning == "getattr" and len(node.args) > 1 and not _is_text(node.args[1]):
            target = self._meaning(chain_of(node.args[0]))
            if self.source.is_project(target) and self.source.load(target):
                self._report(node, "dynamic-attribute", f"name the attribute of {target}")
        elif meaning.startswith("inspect.") and last in _SOURCE_READERS:
            self._report(node, "source-text", "comments and layout would count")
        elif isinstance(node.func, ast.Attribute) and node.func.attr in _WRITING:
            self._namespace(node, node.func.value)

    # attributes and items

    def _place(self, node: ast.Attribute | ast.Subscript) -> None:
        if isinstance(node, ast.Attribute) and node.attr == "__subclasses__":
            self._report(node, "subclasses", _INHERITING)
        if isinstance(node.ctx, ast.Load):
            return
        if isinstance(node, ast.Subscript):
            self._namespace(node, node.value)
        else:
            self._monkeypatch(node, chain_of(node.value), definitions=False)

    def _namespace(self, node: ast.expr, owner: ast.expr) -> None:
        if self._meaning(chain_of(owner)) == "sys.modules":
            self._report(node, "sys-modules", "modules must be what their files say")
        elif isinstance(owner, ast.Call) and self._meaning(chain_of(owner.func)) in _NAMESPACES:
            self._report(node, "namespace-write", "bind names by assignment")
        elif isinstance(owner, ast.Attribute) and owner.attr == "__dict__":
            self._monkeypatch(node, chain_of(owner.value), definitions=True)

    def _monkeypatch(self, node: ast.expr, chain: Chain | None, *, definitions: bool) -> None:
        """Writing into what is imported; by setattr also into a function or class of the module."""
        is_own = definitions and chain is not None and self._is_definition(chain)
        if self._is_imported(chain) or is_own:
            self._report(node, "monkeypatch", f"{'.'.join(chain or ())} belongs to someone else")

    def _is_definition(self, chain: Chain) -> bool:
        if not self._meaning(chain):
            return False
        statements = self.module.bindings.get(chain[0], ())
        return any(isinstance(s.node, DEFINITIONS) for s in statements)

    # top level

    def _nested_stages(self, cell: ast.AST) -> None:
        for node in ast.walk(cell):
            if isinstance(node, ast.FunctionDef) and node is not cell and node.name in CONTRACT:
                self._report(
                    node, "nested-stage", f"`{node.name}` in a cell is no stage: use @app.function"
                )

    def _effects(self, body: Iterator[ast.stmt] | list[ast.stmt]) -> None:
        for stmt in body:
            if isinstance(stmt, ast.Expr):
                self._effect(stmt)
            elif isinstance(stmt, ast.If) and (is_type_checking(stmt) or is_main_guard(stmt)):
                self._effects(stmt.orelse)
            elif not isinstance(stmt, SCOPES):
                for part in ("body", "orelse", "finalbody"):
                    self._effects(getattr(stmt, part, []))
                for handler in getattr(stmt, "handlers", []):
                    self._effects(handler.body)

    def _effect(self, stmt: ast.Expr) -> None:
        if isinstance(stmt.value, ast.Constant):
            return
        chain = chain_of(stmt.value.func) if isinstance(stmt.value, ast.Call) else None
        statements = self.module.bindings.get(chain[0], ()) if chain and len(chain) > 1 else ()
        if not any(s.whole for s in statements):
            self._report(stmt, "import-effect", "nothing happens at import: call it where needed")


def _is_cell_of(node: ast.AST, module: Module) -> bool:
    """Whether a node is a cell of this notebook."""
    return isinstance(node, ast.stmt) and is_cell(node, module.apps)


def _hides(scope: ast.AST) -> set[str]:
    """Names that a function binds itself, imports apart."""
    names: set[str] = set()
    declared: set[str] = set()
    for node in ast.walk(scope):
        if isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Global):
            declared.update(node.names)
    return names - declared


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
