"""What a name in a module stands for: through imports, re-exports, lazy homes and submodules."""

from __future__ import annotations

import ast
import builtins
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workbench.core.fingerprint.contract import BORDER, HARMLESS, OBSERVERS, is_below
from workbench.core.fingerprint.syntax import DEFINITIONS, Alias, Chain, import_aliases

if TYPE_CHECKING:
    from workbench.core.fingerprint.source import Module, Source

Node = tuple[str, str]
"""(module, key). The key is a name; WHOLE for the whole module; ON_IMPORT for what its import does
to no name in particular; or "other.module.NAME" for what it does to a name of another module."""

WHOLE, ON_IMPORT = "*", "<import>"
_MODULE_FACTS = frozenset({"__name__", "__file__", "__path__", "__package__", "__spec__"})


@dataclass
class Found:
    """What a name stands for.

    nodes: project bindings, the imports on the way included. outside: dotted names of packages.
    observed: dotted names beyond the border.
    """

    nodes: set[Node] = field(default_factory=set)
    outside: set[str] = field(default_factory=set)
    observed: set[str] = field(default_factory=set)
    seen: set[tuple[str, Chain]] = field(default_factory=set)


class Names:
    """Follows names through imports, re-exports, lazy attributes and submodules."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._found: dict[tuple[str, Chain], Found] = {}

    def resolve(self, module: Module, chain: Chain) -> Found:
        """Return what a chain that starts at a global name of `module` stands for."""
        key = (module.name, chain)
        if key not in self._found:
            found = Found()
            self._name(module, chain, found)
            self._found[key] = found
        return self._found[key]

    def resolve_alias(self, alias: Alias, attributes: Chain, found: Found) -> None:
        """Add what an import and the attributes read from it stand for."""
        name = () if alias.name is None else (alias.name,)
        self._attribute(alias.base, (*name, *attributes), found)

    def _name(self, module: Module, chain: Chain, found: Found) -> None:
        if (module.name, chain) in found.seen:
            return
        found.seen.add((module.name, chain))
        name, attributes = chain[0], chain[1:]
        statements = module.bindings.get(name, ())
        if statements:
            found.nodes.add((module.name, name))
        elif name == "globals":
            found.nodes.add((module.name, WHOLE))
        elif not hasattr(builtins, name):
            for star in module.stars:
                self._attribute(star, (), found)
        for statement in statements:
            for bound, alias in statement.aliases:
                if bound == name:
                    self.resolve_alias(alias, attributes, found)

    def _attribute(self, dotted: str, attributes: Chain, found: Found) -> None:
        if not self.source.is_project(dotted):
            found.outside.add(".".join((dotted, *attributes)))
            return
        if is_below(dotted, BORDER):
            found.observed.add(dotted)
            return
        module = self.source.load(dotted)
        if module is None or not attributes:
            found.nodes.add((dotted, WHOLE))
            return
        head = attributes[0]
        submodule = f"{dotted}.{head}"
        if head in module.bindings and (dotted, attributes) not in found.seen:
            self._name(module, attributes, found)
        elif is_below(submodule, BORDER) or self.source.load(submodule):
            self._attribute(submodule, attributes[1:], found)
        elif head in module.homes:
            found.nodes |= {(dotted, head), (dotted, "__getattr__")}
            self.resolve_alias(module.homes[head], attributes[1:], found)
        elif head not in _MODULE_FACTS:
            found.nodes.add((dotted, WHOLE))

    def is_link(self, node: Node) -> bool:
        """Whether a binding only passes on another one: an import or a lazy attribute."""
        module = self.source.load(node[0])
        if module is None or node[1] == WHOLE:
            return False
        if node[1] == "__getattr__" or node[1] in module.homes:
            return True
        statements = module.bindings.get(node[1], ())
        return bool(statements) and not any(s.whole for s in statements)


@dataclass(frozen=True)
class Around:
    """What a module knows about the names in its statements: the context of a reading."""

    module: Module
    names: Names

    def harmless(self, decorator: Chain) -> bool:
        if len(decorator) == 1 and decorator[0] not in self.module.bindings:
            return decorator[0] in HARMLESS
        found = self.names.resolve(self.module, decorator)
        real = [node for node in found.nodes if not self.names.is_link(node)]
        return not real and (bool(found.observed) or found.outside <= HARMLESS)

    def notebook(self, decorator: Chain) -> bool:
        return decorator[0] in self.module.apps and decorator[1:] in (
            ("function",),
            ("class_definition",),
        )

    def watches(self, callee: Chain, local: dict[str, list[Alias]]) -> bool:
        if callee[0] in local:
            found = Found()
            for alias in local[callee[0]]:
                self.names.resolve_alias(alias, callee[1:], found)
        else:
            found = self.names.resolve(self.module, callee)
        if found.outside or not found.observed:
            return False
        return all(is_below(name, OBSERVERS) for name in found.observed) and all(
            self.names.is_link(node) for node in found.nodes
        )

    def is_value(self, name: str) -> bool:
        statements = self.module.bindings.get(name, ())
        is_code = any(s.aliases or isinstance(s.node, DEFINITIONS) for s in statements)
        return bool(statements) and not is_code

    def aliases(self, node: ast.Import | ast.ImportFrom) -> list[tuple[str, Alias]]:
        return import_aliases(node, self.module.name, self.module.package)
