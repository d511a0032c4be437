"""Installed versions of the packages that code reaches, declared hidden needs included."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable

from workbench.core.fingerprint.contract import DISTRIBUTIONS, NEEDS

ABSENT = "absent"
"""Version of a package that is named but not installed."""


def versions(imported: Iterable[str]) -> dict[str, str]:
    """Return distribution -> version for dotted names of packages outside the project.

    The standard library is left out: Python's own version stands for it.
    """
    roots = {dotted.partition(".")[0] for dotted in imported}
    todo = [distribution(root) for root in sorted(roots - sys.stdlib_module_names - {""})]
    found: dict[str, str] = {}
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = installed(name)
            todo += NEEDS.get(name, ())
    return dict(sorted(found.items()))


@functools.cache
def distribution(root: str) -> str:
    """Return the name of the distribution that gives an import root."""
    if root in DISTRIBUTIONS:
        return DISTRIBUTIONS[root]
    if installed(root) != ABSENT:
        return root
    import importlib.metadata

    # Reading all installed metadata takes half a second, so only for a name nobody knows.
    return min(importlib.metadata.packages_distributions().get(root, [root]))


@functools.cache
def installed(name: str) -> str:
    """Return the public version of a distribution, or ABSENT.

    The local part (`+cpu`) is the build, not the code: two machines agree on the rest.
    """
    import importlib.metadata

    try:
        return importlib.metadata.version(name).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return ABSENT
