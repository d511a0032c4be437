"""Whether what DVC kept is still what it kept.

DVC trusts a cache file that nobody may write, and restores it without a look: a flipped bit would
go on as data. So what is to be restored is read first, and a stage looks at what it is given.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from workbench.core.errors import StateError
from workbench.execution.dvcfiles import Cache, Hashes, locked, read_lock


@dataclass(frozen=True)
class Damage:
    """A cache file whose content is not what its name says; path: what is restored from it."""

    path: str
    file: Path

    def error(self, root: Path) -> StateError:
        """The sentence for people, with paths relative to the checkout."""
        file = self.file.relative_to(root) if self.file.is_relative_to(root) else self.file
        return StateError(
            f"DVC's cache file {file}, kept for {self.path}, is damaged.",
            kept="all other data; nothing was run",
            fix=f"`rm -f {file}`, then `workbench repro` makes it again (or `dvc pull` fetches it)",
        )


def damages(cache: Cache, outs: Mapping[str, str]) -> Iterator[Damage]:
    """Yield each damaged cache file of outputs, given as hashes by path; reads all of them."""
    for path, md5 in outs.items():
        file = cache.object(md5)
        if not file.is_file():
            continue
        if _md5(file) != md5.removesuffix(".dir"):
            yield Damage(path, file)
        elif md5.endswith(".dir"):
            entries = json.loads(file.read_bytes())
            yield from damages(cache, {f"{path}/{e['relpath']}": e["md5"] for e in entries})


def check_given(root: Path, dvc_lock: Path, stage: str, out: str) -> None:
    """Raise StateError if an output of `stage` is not what dvc.lock says that it made."""
    made = locked(read_lock(dvc_lock).get(stage) or {}, "outs").get(out)
    disk = Hashes(root, root / ".workbench" / "hashes.json")
    if made is None or disk.of(out) == made:
        disk.keep()
        return
    for damage in damages(Cache(root), {out: made}):
        raise damage.error(root)
    raise StateError(
        f"{out} is not what {stage} made: its content differs from dvc.lock.",
        kept="what is in DVC's cache",
        fix=f"`dvc checkout --force {out}`, or `workbench repro`",
    )


def _md5(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
