"""Statements that only tell an observer something, and so change no result."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from workbench.core.fingerprint.syntax import COMPREHENSIONS, chain_of

if TYPE_CHECKING:
    from workbench.core.fingerprint.mentions import Context, Reading

_PURE = frozenset({"abs", "bool", "float", "int", "len", "repr", "round", "str"})
_BARS = (
    ast.Await,
    ast.Yield,
    ast.YieldFrom,
    ast.NamedExpr,
    ast.Lambda,
    ast.Starred,
    *COMPREHENSIONS,
)
"""What could run code or use up an iterator."""


def is_observed(value: ast.expr, root: ast.stmt, context: Context, reading: Reading) -> bool:
    """Whether an expression statement inside `root` is a call to an observer and nothing else.

    Its result is unused and its arguments only look at values: names, attributes, arithmetic,
    f-strings, `len`, `float`, `.item()`. Anything else (a call, a function handed over) counts.
    """
    callee = chain_of(value.func) if isinstance(value, ast.Call) else None
    if callee is None or not isinstance(value, ast.Call):
        return False
    if not context.watches(callee, reading.local):
        return False
    stored = _stored_names(root)
    if callee[0] in stored:
        return False
    given = [*value.args, *(keyword.value for keyword in value.keywords)]
    return all(
        _is_inert(part, stored, context) for argument in given for part in ast.walk(argument)
    )


def _is_inert(node: ast.AST, stored: set[str], context: Context) -> bool:
    if isinstance(node, ast.Call):
        callee = chain_of(node.func)
        is_pure = callee is not None and len(callee) == 1 and callee[0] in _PURE
        is_item = isinstance(node.func, ast.Attribute) and node.func.attr == "item"
        return is_pure or (is_item and not node.args)
    if isinstance(node, ast.Name):
        return node.id in stored or node.id in _PURE or context.is_value(node.id)
    return not isinstance(node, _BARS)


def _stored_names(root: ast.stmt) -> set[str]:
    """Names that a statement assigns or takes as arguments: they hide an import."""
    names: set[str] = set()
    for node in ast.walk(root):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
    return names
