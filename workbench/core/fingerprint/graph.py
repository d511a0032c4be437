"""Which bindings of the project a piece of code reaches, by names alone."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.core.fingerprint.contract import BORDER, LAZY, READERS, READING_WORDS, is_below
from workbench.core.fingerprint.mentions import Keep, Reading
from workbench.core.fingerprint.names import ON_IMPORT, WHOLE, Around, Found, Names, Node
from workbench.core.fingerprint.reading import read
from workbench.core.fingerprint.syntax import DEFINITIONS, Alias, callee_of

if TYPE_CHECKING:
    from workbench.core.fingerprint.source import Module, Source, Statement


@dataclass(frozen=True)
class Mentions:
    """What one binding refers to directly; `modules` are imported by it when it runs."""

    nodes: frozenset[Node]
    outside: frozenset[str]
    modules: frozenset[str]
    reads: Keep


@dataclass(frozen=True)
class Pieces:
    """The statements of a module by what they bind or change; foreign: key -> changed binding."""

    by_key: dict[str, list[Statement]]
    foreign: dict[str, Node]


@dataclass(frozen=True)
class Reached:
    """Everything that entry points reach."""

    nodes: frozenset[Node]
    outside: frozenset[str]
    keep: Keep


class Graph:
    """The references of one checkout, found as they are asked for."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.names = Names(source)
        self._readings: dict[tuple[Statement, Keep], Reading] = {}
        self._mentions: dict[tuple[Statement, Keep], Mentions] = {}
        self._pieces: dict[str, Pieces] = {}
        self._imports: dict[str, frozenset[str]] = {}
        self._loaded: dict[str, frozenset[str]] = {}

    def reading(self, module: Module, statement: Statement, keep: Keep) -> Reading:
        """Return text and names of a statement; of a plain import only what it binds."""
        key = (statement, keep)
        if key not in self._readings:
            if statement.whole:
                found = read(statement.node, Around(module, self.names), keep)
            else:
                found = Reading(text=f"import {statement.aliases[0][1].dotted}")
            self._readings[key] = found
        return self._readings[key]

    def text(self, node: Node, keep: Keep) -> str | None:
        """Return the canonical text of a binding; None when there is no such binding."""
        module = self.source.load(node[0])
        if module is None:
            return None
        statements = self.pieces(module).by_key.get(node[1], [])
        if not statements and node[1] in module.homes:
            return f"lazy {module.homes[node[1]].dotted}"
        # An import said twice means what it means once (`import os` beside `import os.path`).
        texts = dict.fromkeys(self.reading(module, s, keep).text for s in statements)
        return "\n".join(texts) if statements else None

    def mentions(self, node: Node, keep: Keep) -> list[Mentions]:
        """Return what a binding refers to, a part for each of its statements."""
        module = self.source.load(node[0])
        if module is None:
            return []
        if node[1] == WHOLE:
            return [self._everything(module)]
        statements = self.pieces(module).by_key.get(node[1], [])
        return [self.statement_mentions(module, s, keep) for s in statements]

    def _everything(self, module: Module) -> Mentions:
        found = Found(nodes={(module.name, key) for key in self.pieces(module).by_key})
        for statement in module.statements:
            for _, alias in statement.aliases:
                self.names.resolve_alias(alias, (), found)
        for star in module.stars:
            self.names.resolve_alias(Alias(star), (), found)
        for name in module.homes:
            self.names.resolve_alias(Alias(module.name, name), (), found)
        return Mentions(frozenset(found.nodes), frozenset(found.outside), frozenset(), Keep())

    def statement_mentions(self, module: Module, statement: Statement, keep: Keep) -> Mentions:
        """Return what one statement refers to."""
        key = (statement, keep)
        if key not in self._mentions:
            self._mentions[key] = self._statement_mentions(module, statement, keep)
        return self._mentions[key]

    def _statement_mentions(self, module: Module, statement: Statement, keep: Keep) -> Mentions:
        reading = self.reading(module, statement, keep)
        # A registration counts with what it changes, and then so does what it binds.
        found = Found(nodes={(module.name, name) for name in statement.binds})
        visible = module.global_names(statement.node) if reading.inner else frozenset()
        # `__getattr__` reads the table of lazy names; each of those counts where it is used.
        is_lazy = statement.binds == ("__getattr__",) and bool(module.homes)
        for chain in reading.outer | {c for c in reading.inner if c[0] in visible}:
            if not (is_lazy and chain[0] in (LAZY, "globals")):
                self._merge(found, self.names.resolve(module, chain))
        for chain in reading.inner:
            for alias in reading.local.get(chain[0], ()):
                self.names.resolve_alias(alias, chain[1:], found)
        for name in reading.loads:
            self.names.resolve_alias(Alias(name), (), found)
        modules: set[str] = set()
        for name in reading.imported:
            if self.source.is_project(name):
                modules |= self._loaded_by(name)
            else:
                found.outside.add(name)
        return Mentions(
            frozenset(found.nodes),
            frozenset(found.outside),
            frozenset(modules),
            _reads(found.outside, reading.words),
        )

    def _merge(self, into: Found, found: Found) -> None:
        into.nodes |= found.nodes
        into.outside |= found.outside

    def pieces(self, module: Module) -> Pieces:
        """Return the statements of a module by the binding they make or change."""
        if module.name not in self._pieces:
            pieces = Pieces({}, {})
            for statement in module.statements:
                for key in self._keys(module, statement, pieces.foreign):
                    pieces.by_key.setdefault(key, []).append(statement)
            self._pieces[module.name] = pieces
        return self._pieces[module.name]

    def _keys(
        self, module: Module, statement: Statement, foreign: dict[str, Node]
    ) -> dict[str, None]:
        """Return the keys under which a statement counts."""
        keys = dict.fromkeys(statement.binds)
        if not statement.whole or self._binds_only(module, statement.node):
            return keys
        for target in self._changed(module, statement):
            if target[0] == module.name:
                keys[target[1]] = None
            else:
                keys[".".join(target)] = None
                foreign[".".join(target)] = target
        return keys or {ON_IMPORT: None}

    def _binds_only(self, module: Module, node: ast.stmt) -> bool:
        """Whether a statement plainly changes nothing but its own names: the common, cheap case."""
        if isinstance(node, DEFINITIONS):
            callees = [callee_of(decorator) for decorator in node.decorator_list]
            found = [self.names.resolve(module, chain).nodes for chain in callees if chain]
            return None not in callees and not any(
                not self.names.is_link(each) for nodes in found for each in nodes
            )
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            return _is_fixed(node.value) and all(isinstance(t, ast.Name) for t in targets)
        return False

    def _changed(self, module: Module, statement: Statement) -> list[Node]:
        """Return the project bindings that a top-level statement changes when it runs."""
        reading = self.reading(module, statement, Keep())
        changed: set[Node] = set()
        for chain in reading.changed:
            found = self.names.resolve(module, chain)
            changed |= {n for n in found.nodes if n[1] != WHOLE and not self.names.is_link(n)}
        for chain in reading.calls:
            for node in self.names.resolve(module, chain).nodes:
                if not self.names.is_link(node):
                    changed |= self._tables_behind(node)
        return sorted(changed)

    def _tables_behind(self, callee: Node) -> set[Node]:
        """Return the changeable values that a called function can reach.

        A decorator `@source("csv")` may write into any table that `source` knows; a number or a
        string cannot be written into.
        """
        todo, seen, tables = [callee], {callee}, set[Node]()
        while todo:
            name, key = todo.pop()
            module = self.source.load(name)
            for statement in module.bindings.get(key, ()) if module else ():
                if not isinstance(statement.node, DEFINITIONS) and statement.whole:
                    value = getattr(statement.node, "value", None)
                    tables |= set() if _is_fixed(value) else {(name, key)}
                if module and statement.whole:
                    nodes = self.statement_mentions(module, statement, Keep()).nodes - seen
                    seen |= nodes
                    todo += nodes
        return tables

    def imports(self, name: str) -> frozenset[str]:
        """Return the project modules that importing `name` imports directly."""
        if name not in self._imports:
            module = self.source.load(name)
            found: set[str] = set()
            for statement in module.statements if module else ():
                for _, alias in statement.aliases:
                    if not isinstance(statement.node, DEFINITIONS):
                        found |= self._loaded_by(alias.dotted)
                if isinstance(statement.node, ast.Import):
                    for written in statement.node.names:
                        found |= self._loaded_by(written.name)
            for star in module.stars if module else ():
                found |= self._loaded_by(star)
            self._imports[name] = frozenset(found)
        return self._imports[name]

    def _loaded_by(self, dotted: str) -> frozenset[str]:
        """Return the project modules that `import dotted` runs: it and the packages around it."""
        if dotted not in self._loaded:
            parts = dotted.split(".")
            names = [".".join(parts[: n + 1]) for n in range(len(parts))]
            self._loaded[dotted] = frozenset(
                n for n in names if not is_below(n, BORDER) and self.source.load(n)
            )
        return self._loaded[dotted]

    def reach(self, entries: Iterable[Node]) -> Reached:
        """Return all that `entries` reach, keeping what the reached code itself reads of code."""
        keep = Keep()
        while True:
            nodes, outside, reads = self._walk(list(entries), keep)
            if reads | keep == keep:
                return Reached(frozenset(nodes), frozenset(outside), keep)
            keep |= reads

    def _walk(self, todo: list[Node], keep: Keep) -> tuple[set[Node], set[str], Keep]:
        reached: set[Node] = set()
        outside: set[str] = set()
        executed: set[str] = set()
        effects: dict[Node, list[Node]] = {}
        reads = Keep()

        def execute(name: str) -> None:
            """What the import of a module does to reached bindings counts with them."""
            names = [name]
            while names:
                current = names.pop()
                module = self.source.load(current)
                if current in executed or module is None:
                    continue
                executed.add(current)
                names += self.imports(current)
                pieces = self.pieces(module)
                if ON_IMPORT in pieces.by_key:
                    todo.append((current, ON_IMPORT))
                for key, target in pieces.foreign.items():
                    effects.setdefault(target, []).append((current, key))
                    if target in reached:
                        todo.append((current, key))

        while todo:
            node = todo.pop()
            if node in reached:
                continue
            reached.add(node)
            if node[0] not in executed:
                for name in self._loaded_by(node[0]):
                    execute(name)
            todo += effects.get(node, [])
            for part in self.mentions(node, keep):
                todo += part.nodes
                outside |= part.outside
                reads |= part.reads
                for name in part.modules:
                    execute(name)
        return reached, outside, reads


def _is_fixed(value: ast.expr | None) -> bool:
    """Whether a value is written as a constant, which nothing can change in place."""
    if isinstance(value, ast.UnaryOp):
        value = value.operand
    if isinstance(value, ast.Tuple):
        return all(_is_fixed(item) for item in value.elts)
    return isinstance(value, ast.Constant)


def _reads(outside: Iterable[str], words: set[str]) -> Keep:
    """Return what of other code is read by someone who mentions these names."""
    keep = Keep()
    for name in outside:
        fitting = (READERS[prefix] for prefix in READERS if name.startswith(prefix))
        keep |= Keep(*next(fitting, (False, False)))
    for word in READING_WORDS.keys() & words:
        keep |= Keep(*READING_WORDS[word])
    return keep
