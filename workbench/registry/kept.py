"""What of DVC's cache is still needed: by the workspace, by Git, and by released digests.

DVC itself knows nothing of releases: a model may be released from a run whose `dvc.lock` was never
committed. So the way back is looked up where DVC remembers it: in its run cache, in the workspace
and in whatever Git still names.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from workbench.core.errors import StateError
from workbench.execution.dvcfiles import Cache, Loader, locked
from workbench.registry import history
from workbench.registry.log import read_log
from workbench.tracking.evidence import CANDIDATE

if TYPE_CHECKING:
    from workbench.core.paths import Paths

_MD5 = re.compile(r"\bmd5: ['\"]?([0-9a-f]{32}(?:\.dir)?)\b")
_RELEASED = re.compile(r'"digest":"([0-9a-f]{64})"')
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Needs:
    """What rebuilding releases takes from the cache.

    objects: hashes as in dvc.lock, folders not opened. runs: entries of the run cache. unknown:
    digests of which the cache no longer knows how they were made; their bundles are whole without.
    """

    objects: frozenset[str] = frozenset()
    runs: tuple[Path, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Named:
    """What Git and the workspace name, in the texts of their DVC files and release logs."""

    texts: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()

    @property
    def objects(self) -> set[str]:
        """Every hash, taken by its look, so that half a merge and older formats count too."""
        return {md5 for text in self.texts for md5 in _MD5.findall(text)}


@dataclass
class _Made:
    """Stages that once ran, by what they gave: entries as in dvc.lock, with their run's file."""

    by_out: dict[tuple[str, str], list[tuple[Path | None, dict[str, Any]]]] = field(
        default_factory=dict
    )

    def add(self, file: Path | None, entry: dict[str, Any]) -> None:
        for out in locked(entry, "outs").items():
            self.by_out.setdefault(out, []).append((file, entry))


def released(paths: Paths, named: Named) -> set[str]:
    """Digests of all bundles that were ever released, by the logs here and in Git, or are here."""
    found = {digest for text in named.logs for digest in _RELEASED.findall(text)}
    for file in paths.release_log("any").parent.glob("*.jsonl"):
        found |= {e.digest for e in history.releases(read_log(paths, file.stem)).values()}
    if paths.bundles.is_dir():
        found |= {p.name for p in paths.bundles.iterdir() if _DIGEST.fullmatch(p.name)}
    return found


def needs(digests: Iterable[str], cache: Cache, named: Named) -> Needs:
    """Find, for each released digest, every object from raw data to candidate."""
    made = _read_made(cache, named)
    waiting: list[tuple[Path | None, dict[str, Any]]] = []
    unknown = []
    candidates = _candidates(cache, made)
    for digest in sorted(digests):
        waiting += candidates.get(digest, ())
        if digest not in candidates:
            unknown.append(digest)
    objects: set[str] = set()
    runs: set[Path] = set()
    done: set[int] = set()
    while waiting:
        file, entry = waiting.pop()
        if id(entry) in done:
            continue
        done.add(id(entry))
        runs |= {file} if file else set()
        deps = locked(entry, "deps")
        objects |= {md5 for md5 in (*deps.values(), *locked(entry, "outs").values()) if md5}
        for dep in deps.items():
            waiting += made.by_out.get(dep, ())
    return Needs(frozenset(objects), tuple(sorted(runs)), tuple(unknown))


def opened(cache: Cache, objects: Iterable[str]) -> set[str]:
    """The hashes and, of folders that are in the cache, those of all files in them.

    Raises StateError for a folder's list that cannot be read: what it needs is then not known.
    """
    found = set(objects)
    for md5 in [md5 for md5 in found if md5.endswith(".dir")]:
        if not cache.object(md5).is_file():
            continue
        try:
            found |= set(cache.files({"": md5}).values())
        except (ValueError, KeyError, TypeError):
            raise StateError(
                f"DVC's cache file {cache.object(md5)} is damaged.",
                kept="everything",
                fix=f"`rm -f {cache.object(md5)}`, then `workbench repro` or `dvc pull`",
            ) from None
    return found


def named(paths: Paths) -> Named:
    """Read the DVC files and release logs of the workspace and of every commit Git has a name for.

    Branches (also of remotes), tags, stashes, DVC's experiments, other worktrees, and commits from
    which something was released. Raises StateError when one cannot be read: nothing may then be
    taken for unneeded.
    """
    aside = (paths.root / ".dvc" / "tmp" / "exps").glob("*/")
    places = (paths.root, *(place for place in aside if place.is_dir()))
    files = [f for place in places for f in (place / "dvc.lock", *_dvc_files(place))]
    texts = [f.read_text(encoding="utf-8") for f in files if f.is_file()]
    if not _git(paths.root, "rev-parse", "--git-dir", check=False):
        return Named(tuple(texts))
    commits = set(_commits(paths))
    blobs: dict[str, str] = {}
    for commit in commits:
        for line in _git(paths.root, "ls-tree", "-rz", "--full-tree", commit).split("\0"):
            about, _, path = line.partition("\t")
            name = path.rpartition("/")[2]
            if name == "dvc.lock" or name.endswith(".dvc"):
                blobs[about.split()[2]] = "dvc"
            elif re.fullmatch(r"(?:.*/)?releases/[^/]+\.jsonl", path):
                blobs[about.split()[2]] = "log"
    read = {blob: _git(paths.root, "cat-file", "blob", blob) for blob in blobs}
    return Named(
        (*texts, *(text for blob, text in read.items() if blobs[blob] == "dvc")),
        tuple(text for blob, text in read.items() if blobs[blob] == "log"),
    )


def _dvc_files(place: Path) -> Iterator[Path]:
    """Files that `dvc add` made, without going into data and environments."""
    skip = {".git", ".dvc", ".venv", ".workbench", "node_modules"}
    yield from place.glob("*.dvc")
    for folder in place.iterdir():
        if folder.is_dir() and folder.name not in skip:
            yield from folder.rglob("*.dvc")


def _commits(paths: Paths) -> Iterator[str]:
    """Every commit that a name leads to, and those that releases name."""
    root = paths.root
    # A tag's own type comes first, that of what it names second.
    said = _git(root, "for-each-ref", "--format=%(objecttype) %(*objecttype) %(objectname)")
    for line in said.splitlines():
        *kinds, name = line.split()
        if kinds[-1] == "commit":
            yield name
    for line in _git(root, "worktree", "list", "--porcelain").splitlines():
        word, _, name = line.partition(" ")
        if word == "HEAD" and set(name) != {"0"}:
            yield name
    for file in paths.release_log("any").parent.glob("*.jsonl"):
        for event in history.releases(read_log(paths, file.stem)).values():
            if event.commit and _git(root, "cat-file", "-t", event.commit, check=False):
                yield event.commit


def _git(root: Path, *arguments: str, check: bool = True) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)
    if done.returncode and check:
        reason = done.stderr.decode(errors="replace").strip().splitlines()[:1]
        raise StateError(
            f"Git cannot say what it still needs: {''.join(reason)}.",
            kept="everything",
            fix="`git fsck` finds what is damaged",
        )
    return "" if done.returncode else done.stdout.decode(errors="replace")


def _read_made(cache: Cache, named: Named) -> _Made:
    made = _Made()
    for file in sorted((cache.folder / "runs").glob("*/*/*")):
        made.add(file, _entry(file.read_text(encoding="utf-8")))
    for text in named.texts:
        for entry in (_entry(text).get("stages") or {}).values():
            made.add(None, entry)
    return made


def _entry(text: str) -> dict[str, Any]:
    """A YAML mapping; nothing where a merge or a crash left something else."""
    try:
        found = yaml.load(text, Loader=Loader)
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def _candidates(cache: Cache, made: _Made) -> dict[str, list[tuple[Path | None, dict[str, Any]]]]:
    """The runs that ended in a candidate, by the digest of its bundle."""
    found: dict[str, list[tuple[Path | None, dict[str, Any]]]] = {}
    for (path, md5), entries in made.by_out.items():
        if not path.endswith("/candidate") or not cache.object(md5).is_file():
            continue
        try:
            listed = json.loads(cache.object(md5).read_bytes())
            inside = {item["relpath"]: item["md5"] for item in listed}
            content = msgspec.json.decode(cache.object(inside[CANDIDATE]).read_bytes())
            found.setdefault(content["bundle"], []).extend(entries)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # its file is gone or damaged: this entry leads nowhere
    return found
