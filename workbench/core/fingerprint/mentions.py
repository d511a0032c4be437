"""What a reading of one statement needs to know, and what it finds."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from workbench.core.fingerprint.syntax import Alias, Chain


@dataclass(frozen=True)
class Keep:
    """What some reached code reads of other code, and what therefore counts."""

    docs: bool = False
    annotations: bool = False

    def __or__(self, other: Keep) -> Keep:
        return Keep(self.docs or other.docs, self.annotations or other.annotations)


class Context(Protocol):
    """What the module around a statement knows about the names in it."""

    def harmless(self, decorator: Chain) -> bool:
        """Whether a decorator reads neither docstring nor annotations."""
        ...

    def notebook(self, decorator: Chain) -> bool:
        """Whether a decorator is marimo's own and leaves the function as it is."""
        ...

    def watches(self, callee: Chain, local: dict[str, list[Alias]]) -> bool:
        """Whether a callee is an observer: declared to change no result."""
        ...

    def is_value(self, name: str) -> bool:
        """Whether a name of this module is neither function nor class nor import."""
        ...

    def aliases(self, node: ast.Import | ast.ImportFrom) -> list[tuple[str, Alias]]:
        """The names that an import binds."""
        ...


@dataclass
class Reading:
    """What one statement says.

    outer: chains looked up in the module when the statement runs. inner: chains in nested scopes,
    global only if Python's symbol table says so. local: imports in nested scopes. imported: all
    that is imported anywhere. loads: modules imported by a literal string. calls: callees of
    `outer`. changed: chains that the statement changes besides binding names. words: names used.
    """

    text: str = ""
    outer: set[Chain] = field(default_factory=set)
    inner: set[Chain] = field(default_factory=set)
    local: dict[str, list[Alias]] = field(default_factory=dict)
    imported: set[str] = field(default_factory=set)
    loads: set[str] = field(default_factory=set)
    calls: set[Chain] = field(default_factory=set)
    changed: set[Chain] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
