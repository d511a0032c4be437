"""What really ran: the witness against which fingerprints are judged."""

from __future__ import annotations

import ast
import functools
import inspect
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from workbench.core.fingerprint.contract import BORDER, PROJECT, is_below


def executed_bindings(call: Callable[[], Any], root: Path) -> set[str]:
    """Run `call` and return the project's top-level functions and classes that ran in it.

    Each is "module:name", as in `Fingerprint.parts`. What runs while a module is being imported
    is left out: it makes values, and those count by their own names. What the declared border
    calls for itself is left out too, for it changes no result. Threads are seen; other processes
    are not.
    """
    ran: set[CodeType] = set()
    importing = threading.local()
    module_of = functools.lru_cache(maxsize=None)(functools.partial(_module, root=root.resolve()))

    def for_the_border(frame: FrameType | None) -> bool:
        """Whether border code called this; a generator handed to it runs for who made it."""
        while frame is not None:
            module = module_of(frame.f_code.co_filename)
            if module and is_below(module, BORDER):
                return True
            if module and frame.f_code.co_flags & inspect.CO_GENERATOR:
                return False
            frame = frame.f_back
        return False

    def profile(frame: FrameType, event: str, arg: object) -> None:
        is_module = frame.f_code.co_name == "<module>"
        depth = getattr(importing, "depth", 0)
        if event == "call":
            importing.depth = depth + is_module
            code = frame.f_code
            if depth or is_module or code in ran or not module_of(code.co_filename):
                return
            if not for_the_border(frame):
                ran.add(code)
        elif event == "return":
            importing.depth = max(0, depth - is_module)

    before = sys.getprofile()
    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(before)
        threading.setprofile(before)
    names = (_binding(code, root.resolve()) for code in ran)
    return {name for name in names if name}


def missed(parts: Iterable[str], executed: Iterable[str]) -> list[str]:
    """Return what ran and is not in the fingerprint, the declared border apart."""
    known = set(parts)
    return sorted(
        name
        for name in executed
        if name not in known and not is_below(name.partition(":")[0], BORDER)
    )


def _module(file: str, root: Path) -> str | None:
    """Dotted name of the project's module in a file; None for files of others."""
    path = Path(file)
    if not path.is_absolute() or not path.is_relative_to(root):
        return None
    parts = path.relative_to(root).with_suffix("").parts
    if parts[0] not in PROJECT:
        return None
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _binding(code: CodeType, root: Path) -> str | None:
    module = _module(code.co_filename, root)
    name = code.co_qualname.partition(".")[0]
    if name.startswith("<"):
        name = _bound_at(Path(code.co_filename), code.co_firstlineno)
    return f"{module}:{name}" if module and name else None


def _bound_at(path: Path, line: int) -> str:
    """Name of the top-level assignment that holds a lambda or a generator."""
    for stmt in _tree(path).body:
        if stmt.lineno <= line <= (stmt.end_lineno or stmt.lineno):
            names = [n.id for n in ast.walk(stmt) if isinstance(n, ast.Name)]
            targets = getattr(stmt, "targets", [getattr(stmt, "target", None)])
            held = [t.id for t in targets if isinstance(t, ast.Name)]
            return held[0] if held else (names or [""])[0]
    return ""


@functools.lru_cache(maxsize=512)
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))
