"""Where a source stands: found, near misses named, and written down so that a clone finds it."""

from __future__ import annotations

import difflib
from pathlib import Path

from workbench.core.errors import DataError


def find_file(where: str, root: Path) -> Path:
    """Return the file that a person means: seen from here, or else from the checkout.

    Raises DataError when it is not there (with a near name of that folder), a folder or empty.
    """
    given = Path(where).expanduser()
    path = Path.cwd() / given
    if not path.exists() and (root / given).exists():
        path = root / given
    if path.is_dir():
        inside = sorted(p.name for p in path.iterdir() if p.is_file() and p.name[0] != ".")
        raise DataError(
            f"{where} is a folder; one file is read.",
            fix=f"name a file in it, such as {Path(where) / inside[0]}"
            if inside
            else "name a file",
        )
    if not path.exists():
        raise DataError(f"There is no file {where}.{_near(path)}", fix="correct the path")
    if not path.is_file():
        raise DataError(f"{where} is not an ordinary file.", fix="save the data to a file first")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except PermissionError:
        raise DataError(
            f"{path.name} may not be read by you.", fix=f"chmod u+r '{path.name}'"
        ) from None
    if empty:
        raise DataError(f"{path.name} is empty.", fix="export it again from where it came from")
    return path


def written(path: Path, root: Path) -> str:
    """Return the path as it goes into params.yaml: relative inside the checkout, else whole."""
    whole = path.resolve()
    inside = root.resolve()
    return whole.relative_to(inside).as_posix() if whole.is_relative_to(inside) else str(whole)


def _near(path: Path) -> str:
    if not path.parent.is_dir():
        return f" There is no folder {path.parent.name} either."
    names = [p.name for p in path.parent.iterdir() if not p.name.startswith(".")]
    by_lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(path.name.lower(), by_lower, n=1, cutoff=0.6)
    return f" Did you mean '{by_lower[near[0]]}'?" if near else ""
