"""Own tables that hold something else than what was read: known early, not at the next collect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from workbench.core.files import read_json, write_json
from workbench.core.params import Params
from workbench.core.paths import Paths


def outdated(paths: Paths, params: Params, pipelines: Iterable[str]) -> list[str]:
    """A sentence for each pipeline whose file has changed since it was read.

    A file is read again only if its size or its time is another than last time. What is gone is
    no news: what was collected stays. Databases are not asked.
    """
    found = []
    for name in pipelines:
        given = (params.block(name).collect.__pydantic_extra__ or {}).get("source")
        if not isinstance(given, Mapping):
            continue
        from workbench.data.sources.recipe import recipe_of

        recipe = recipe_of(given)
        if recipe.format == "database":
            continue
        now = _digest(recipe.place(paths.root), paths.home / "sources.json")
        if now not in (None, recipe.sha256):
            found.append(f"{recipe.shown} has changed since it was read: workbench refresh {name}")
    return found


def _digest(file: Path, kept: Path) -> str | None:
    """SHA-256 of a file, from `kept` if it looks as it did then; None where there is none."""
    from workbench.data.sources.content import digest

    try:
        stat = file.stat()
        looks = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
        known = read_json(kept, dict[str, tuple[list[int], str]]) if kept.is_file() else {}
        before, sha256 = known.get(str(file), ([], ""))
        if before != looks:
            sha256 = digest(file)
            write_json(kept, known | {str(file): (looks, sha256)})
    except OSError:
        return None
    return sha256
