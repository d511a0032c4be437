"""DVC's own files as this project uses them: dvc.yaml, dvc.lock, the cache and the run cache.

Read here directly because importing DVC costs most of a second, and `workbench status` answers
in less. Formats: dvc.org/doc/user-guide/project-structure; DVC 3, checked by a test that runs it.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from workbench.core.errors import StateError
from workbench.core.secrets import private_folder

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class DvcStage:
    """One stage of dvc.yaml with its matrix item filled in; paths relative to the root.

    params: dotted keys of params.yaml. in_git: those of `outs` that DVC does not cache.
    """

    name: str
    cmd: str
    deps: tuple[str, ...]
    params: tuple[str, ...]
    outs: tuple[str, ...]
    in_git: tuple[str, ...]

    @property
    def stage(self) -> str:
        return self.name.split("@")[0]

    @property
    def pipeline(self) -> str:
        return self.name.partition("@")[2]


def read_yaml(path: Path) -> Any:
    """Read a YAML file; StateError names the line that cannot be read."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)
    except yaml.YAMLError as error:
        raise StateError(
            f"{path.name} cannot be read: {error}.",
            fix=f"mend it, or take it from Git: `git checkout {path.name}`",
        ) from None
    except RecursionError:
        raise StateError(
            f"{path.name} is nested too deeply to be read.",
            fix=f"mend it, or take it from Git: `git checkout {path.name}`",
        ) from None


def read_stages(dvc_yaml: Path, params: Mapping[str, Any]) -> list[DvcStage]:
    """Stages of dvc.yaml in the order in which DVC can run them."""
    stages: list[DvcStage] = []
    for name, body in read_yaml(dvc_yaml)["stages"].items():
        if "matrix" not in body:
            stages.append(_stage(name, body, ""))
        for pipeline in params["pipelines"] if "matrix" in body else ():
            stages.append(_stage(f"{name}@{pipeline}", body, pipeline))
    return _in_order(stages)


def _stage(name: str, body: Mapping[str, Any], pipeline: str) -> DvcStage:
    def fill(text: str) -> str:
        return text.replace("${item.pipeline}", pipeline)

    def paths(key: str) -> dict[str, dict[str, Any]]:
        items = (i if isinstance(i, dict) else {i: {}} for i in body.get(key, ()))
        return {fill(path): options for item in items for path, options in item.items()}

    outs = paths("outs") | paths("metrics") | paths("plots")
    return DvcStage(
        name=name,
        cmd=fill(body["cmd"]),
        deps=tuple(paths("deps")),
        params=tuple(fill(key) for key in body.get("params", ())),
        outs=tuple(outs),
        in_git=tuple(path for path, options in outs.items() if options.get("cache") is False),
    )


def _in_order(stages: list[DvcStage]) -> list[DvcStage]:
    """Each stage after those whose outputs it reads."""
    ordered: list[DvcStage] = []
    waiting = list(stages)
    while waiting:
        ready = [s for s in waiting if not any(feeds(o, s) for o in waiting if o is not s)]
        if not ready:
            raise StateError(f"dvc.yaml has a circle: {', '.join(s.name for s in waiting)}.")
        ordered += ready
        waiting = [s for s in waiting if s not in ready]
    return ordered


def feeds(upstream: DvcStage, stage: DvcStage) -> bool:
    """Whether `stage` reads an output of `upstream`."""
    return any(is_in(dep, out) for dep in stage.deps for out in upstream.outs)


def is_in(path: str, folder: str) -> bool:
    """Whether a path is a folder or below it."""
    return path == folder or path.startswith(f"{folder}/")


def read_lock(dvc_lock: Path) -> dict[str, Any]:
    """The stages of dvc.lock by name; empty when there is none yet."""
    if not dvc_lock.is_file():
        return {}
    content = read_yaml(dvc_lock)
    if not isinstance(content, dict):
        raise StateError("dvc.lock is empty.", fix="`git checkout dvc.lock`, or delete it")
    return content.get("stages") or {}


def locked(entry: Mapping[str, Any], kind: str) -> dict[str, str]:
    """Hashes by path of the `deps` or `outs` of one stage in dvc.lock; "" where it has none.

    Raises StateError for what is no hash: it becomes part of a path into the cache.
    """
    found: dict[str, str] = {}
    for item in entry.get(kind, ()):
        md5 = found[item["path"]] = item.get("md5", "")
        if md5 and not _is_md5(md5):
            raise StateError(
                f"dvc.lock has a hash of {item['path']} that is none: {str(md5)[:60]!r}.",
                fix="take it from Git: `git checkout dvc.lock`",
            )
    return found


def _is_md5(text: Any) -> bool:
    return isinstance(text, str) and bool(re.fullmatch(r"[0-9a-f]{32}(\.dir)?", text))


def param(params: Mapping[str, Any], dotted: str) -> Any:
    """Value at a dotted key, or None."""
    value: Any = params
    for step in dotted.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


@dataclass
class Hashes:
    """MD5 of files and folders as DVC computes them, remembered by size and time of change."""

    root: Path
    store: Path
    _known: dict[str, list[Any]] = field(default_factory=dict)
    _ignored: list[str] = field(default_factory=list)
    _changed: bool = False

    def __post_init__(self) -> None:
        ignore = self.root / ".dvcignore"
        if ignore.is_file():
            lines = ignore.read_text(encoding="utf-8").splitlines()
            self._ignored = [x.strip("/") for x in lines if x.strip() and not x.startswith("#")]
        try:
            self._known = json.loads(self.store.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._known = {}  # only a memory of what can be computed again

    def of(self, relative: str) -> str | None:
        """Hash of a file or folder (then ending in `.dir`); None when it is not there."""
        path = self.root / relative
        if path.is_file():
            return self._file(path)
        if not path.is_dir():
            return None
        entries = [
            {"md5": self._file(file), "relpath": file.relative_to(path).as_posix()}
            for file in self._walk(path)
        ]
        entries.sort(key=lambda entry: entry["relpath"])
        return (
            hashlib.md5(
                json.dumps(entries, sort_keys=True).encode(), usedforsecurity=False
            ).hexdigest()
            + ".dir"
        )

    def keep(self) -> None:
        """Remember for next time."""
        if self._changed:
            private_folder(self.store.parent)
            aside = self.store.with_suffix(f".{os.getpid()}.part")
            aside.write_text(json.dumps(self._known), encoding="utf-8")
            aside.replace(self.store)

    def _walk(self, folder: Path) -> Iterator[Path]:
        for entry in os.scandir(folder):
            if any(fnmatch.fnmatch(entry.name, pattern) for pattern in self._ignored):
                continue
            if entry.is_dir():
                yield from self._walk(Path(entry.path))
            elif entry.is_file():
                yield Path(entry.path)

    def _file(self, path: Path) -> str:
        stat = path.stat()
        mark = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
        key = path.relative_to(self.root).as_posix()
        found = self._known.get(key)
        if found and found[:3] == mark:
            return found[3]
        with path.open("rb") as file:
            value = hashlib.file_digest(
                file, lambda: hashlib.md5(usedforsecurity=False)
            ).hexdigest()
        self._known[key] = [*mark, value]
        self._changed = True
        return value


class Cache:
    """What DVC's cache holds: objects by hash, and the outputs of earlier runs."""

    def __init__(self, root: Path) -> None:
        self.folder = _cache_folder(root)

    def has(self, md5: str) -> bool:
        """Whether the object is there; of a folder, with every file that it lists."""
        if not self.object(md5).is_file():
            return False
        return all(self.object(file).is_file() for file in self.files({"": md5}).values())

    def files(self, outs: Mapping[str, str]) -> dict[str, str]:
        """Hash of each file by path, for outputs whose objects are there, folders opened."""
        found: dict[str, str] = {}
        for path, md5 in outs.items():
            if md5.endswith(".dir"):
                entries = json.loads(self.object(md5).read_bytes())
                if not all(_is_md5(entry["md5"]) for entry in entries):
                    raise StateError(
                        f"DVC's list of {path or md5} has a hash that is none.",
                        fix="`dvc pull` brings it again, or remove the file of that list: "
                        f"{self.object(md5)}",
                    )
                found |= {f"{path}/{entry['relpath']}": entry["md5"] for entry in entries}
            else:
                found[path] = md5
        return found

    def object(self, md5: str) -> Path:
        return self.folder / "files" / "md5" / md5[:2] / md5[2:]

    def earlier_run(self, entry: dict[str, Any]) -> dict[str, str] | None:
        """Outputs of the newest earlier run with the cmd, deps and params of `entry`, by path.

        entry: as in dvc.lock, outs by path only. None when there is none or its outputs are gone.
        """
        key = hashlib.sha256(json.dumps(_plain(entry), sort_keys=True).encode()).hexdigest()
        newest = _newest(self.folder / "runs" / key[:2] / key)
        outs = locked(read_yaml(newest), "outs") if newest else {}
        return outs if outs and all(self.has(md5) for md5 in outs.values()) else None

    def runs(self, cmd: str) -> Iterator[dict[str, Any]]:
        """Yield earlier runs of a command, as in dvc.lock."""
        for folder in sorted((self.folder / "runs").glob("*/*")):
            newest = _newest(folder)
            if newest and cmd in newest.read_text(encoding="utf-8"):
                yield read_yaml(newest)


def _newest(folder: Path) -> Path | None:
    """The entry that DVC would take of those with the same cmd, deps and params."""
    entries = folder.iterdir() if folder.is_dir() else ()
    return max(entries, key=lambda path: path.stat().st_mtime, default=None)


def _plain(value: Any) -> Any:
    """Without sizes and counts, which DVC leaves out of the key."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if k not in ("size", "nfiles")}
    return [_plain(v) for v in value] if isinstance(value, list) else value


def _cache_folder(root: Path) -> Path:
    """The cache of this checkout: `.dvc/cache`, or what `dvc cache dir` says."""
    for name in ("config.local", "config"):
        path = root / ".dvc" / name
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        if found := re.search(r"^\[cache\][^\[]*?^\s*dir\s*=\s*(.+)$", text, re.M | re.S):
            return (path.parent / found[1].splitlines()[0].strip()).resolve()
    return root / ".dvc" / "cache"
