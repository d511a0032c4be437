"""What an edit changed in a file, layout apart."""

from __future__ import annotations

import ast


def is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def touched(before: str, after: str) -> frozenset[str]:
    """Top-level names whose statement differs in more than layout."""
    old, new = (_statements(text) for text in (before, after))
    return frozenset(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))


def bodies(before: str, after: str) -> frozenset[str] | None:
    """Functions of which only the body differs; None where more does, such as a default."""
    old, new = (_statements(text, without_bodies=True) for text in (before, after))
    return touched(before, after) if old == new else None


def _statements(text: str, *, without_bodies: bool = False) -> dict[str, str]:
    found: dict[str, str] = {}
    for place, stmt in enumerate(ast.parse(text).body):
        name = getattr(stmt, "name", f"line {place}")
        if without_bodies and isinstance(stmt, ast.FunctionDef):
            stmt.body = []
        found[name] = ast.dump(stmt)
    return found
