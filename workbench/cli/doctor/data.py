"""DVC: its remote, what was not pushed, and whether what it kept is whole."""

from __future__ import annotations

import configparser
import hashlib
import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from workbench.cli.doctor.finding import Finding, Limit, limit, size
from workbench.cli.doctor.software import here, pinned
from workbench.core.errors import StateError
from workbench.core.paths import Paths
from workbench.core.secrets import masked
from workbench.execution.damage import Damage
from workbench.execution.dvcfiles import Cache, locked, read_lock, read_stages, read_yaml

READ_S = 0.7
"""How long the cache is read; on a large project a part of it only."""

COUNT_S = 0.3
_PART = 1 << 22
PLUGINS = {"s3": "dvc-s3", "gs": "dvc-gs", "azure": "dvc-azure", "ssh": "dvc-ssh"}
_MATTERS = "colleagues pull data and models from it, and it is your second copy"


@dataclass(frozen=True)
class Remote:
    """Where `dvc push` goes. url: a folder as a whole path, or an address."""

    name: str
    url: str

    @property
    def is_folder(self) -> bool:
        return "://" not in self.url


def project(paths: Paths) -> Iterator[Finding]:
    """Whether DVC knows this folder."""
    if not (paths.root / ".dvc").is_dir():
        fix = "dvc init" if (paths.root / ".git").exists() else "git init && dvc init"
        yield Finding("DVC", "bad", "this folder is no DVC project", fix, "it runs the stages")


def remote(paths: Paths) -> Iterator[Finding]:
    """Whether there is a second place for data, whether it can be reached, what it lacks."""
    default, remotes = _remotes(paths.root)
    if not remotes:
        fix = "dvc remote add -d store ~/dvc-store && dvc push"
        said = "none: data and models are only on this machine"
        yield Finding("DVC remote", "note", said, fix, f"{_MATTERS}; better on another disk")
        return
    if default not in remotes:
        name = next(iter(remotes))
        said = f"no default among {', '.join(remotes)}" if not default else f"there is no {default}"
        yield Finding("DVC remote", "note", said, f"dvc remote default {name}", _MATTERS)
        return
    chosen = remotes[default]
    yield _folder(paths, chosen) if chosen.is_folder else _address(paths, chosen)


def _remotes(root: Path) -> tuple[str, dict[str, Remote]]:
    """Name of the default remote, and all of them; a person's own settings go before Git's."""
    settings = configparser.ConfigParser(interpolation=None, strict=False)
    remotes: dict[str, Remote] = {}
    places = (Path.home() / ".config" / "dvc" / "config", *_own(root))
    for file in places:
        if not file.is_file():
            continue
        one = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            one.read_string(file.read_text(encoding="utf-8"))
        except configparser.Error:
            raise StateError(
                f"DVC's settings in {file} cannot be read.",
                fix=f"mend that file, or `git checkout {file.parent.name}/{file.name}`",
            ) from None
        settings.read_dict(one)
        for section in one.sections():
            kind, _, name = section.strip("'").partition(" ")
            url = one.get(section, "url", fallback="")
            if kind == "remote" and url:
                name = name.strip('"')
                remotes[name] = Remote(name, url if "://" in url else _whole(url, file))
    return settings.get("core", "remote", fallback=""), remotes


def _own(root: Path) -> tuple[Path, Path]:
    return root / ".dvc" / "config", root / ".dvc" / "config.local"


def _whole(url: str, file: Path) -> str:
    """DVC writes a folder as it is seen from its own settings."""
    return str((file.parent / Path(url).expanduser()).resolve())


def _folder(paths: Paths, chosen: Remote) -> Finding:
    place = Path(chosen.url)
    shown = shlex.quote(chosen.url)
    if not place.is_dir():
        said = f"the folder {chosen.url} is not there; is its disk mounted?"
        return Finding("DVC remote", "note", said, f"mkdir -p {shown} && dvc push", _MATTERS)
    if not os.access(place, os.W_OK | os.X_OK):
        said = f"you may not write in {chosen.url}"
        return Finding("DVC remote", "note", said, f"sudo chmod g+rwxs {shown}", _MATTERS)
    count, sure = _not_pushed(paths, place, limit(COUNT_S))
    if count:
        files = f"{count} file{'s' if count > 1 else ''}"
        said = f"{'' if sure else 'at least '}{files} of what ran here are only on this machine"
        return Finding("DVC remote", "note", said, "dvc push", _MATTERS)
    partly = "" if sure else ", as far as could be looked at in time"
    return Finding("DVC remote", "good", f"{chosen.url} has all{partly}", "", _MATTERS)


def _not_pushed(paths: Paths, place: Path, until: Limit) -> tuple[int, bool]:
    """Cached files of dvc.lock that the remote lacks, and whether all were looked at."""
    cache = Cache(paths.root)
    stages = read_stages(paths.dvc_yaml, read_yaml(paths.params))
    in_git = {out for stage in stages for out in stage.in_git}
    count = 0
    for entry in read_lock(paths.dvc_lock).values():
        for out, md5 in locked(entry, "outs").items():
            if not md5 or out in in_git or not cache.object(md5).is_file():
                continue
            for one in {md5, *cache.files({out: md5}).values()}:
                count += not (place / "files" / "md5" / one[:2] / one[2:]).is_file()
                if until.is_over:
                    return count, False
    return count, True


def _address(paths: Paths, chosen: Remote) -> Finding:
    plugin = PLUGINS.get(chosen.url.split("://")[0])
    shown = masked(chosen.url)
    if plugin:
        try:
            metadata.version(plugin)
        except metadata.PackageNotFoundError:
            pins = pinned(paths.root / "requirements-dev.txt")
            wanted = f"{plugin}=={pins[plugin]}" if plugin in pins else plugin
            fix = f"{here('python')} -m pip install -c constraints.txt {wanted}"
            return Finding("DVC remote", "note", f"{shown} needs {plugin}", fix, _MATTERS)
    said = f"{shown}; not asked here, since that needs the network: `dvc status --cloud` asks"
    return Finding("DVC remote", "good", said, "", _MATTERS)


def cache(paths: Paths, *, whole: bool = False) -> Iterator[Finding]:
    """Reads what dvc.lock names, all of it when `whole`: DVC trusts its cache without a look."""
    kept = Cache(paths.root)
    stages = read_lock(paths.dvc_lock)
    until = limit(float("inf") if whole else READ_S)
    used = size(_bytes(kept.folder, limit(COUNT_S)))
    matters = "`workbench tidy --dry-run` says what could go"
    read = 0
    for entry in stages.values():
        for out, md5 in _files(kept, locked(entry, "outs")):
            found = _md5(kept.object(md5), until)
            if found is None:
                said = (
                    f"{used}; read in time and whole: {read} files (all: workbench doctor --full)"
                )
                yield Finding("DVC cache", "good", said, "", matters)
                return
            if found != md5.removesuffix(".dir"):
                error = Damage(out, kept.object(md5)).error(paths.root)
                yield Finding("DVC cache", "bad", error.problem, error.fix or "", "to restore data")
                return
            read += 1
    said = f"what {len(stages)} stages made is whole" if stages else "nothing has run yet"
    yield Finding("DVC cache", "good", f"{used}; {said}", "", matters)


def _files(kept: Cache, outs: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Every file in the cache behind these outputs; of a folder its list before what it lists.

    A caller stops at a damaged list, so that it is never followed.
    """
    for out, md5 in outs.items():
        if not md5 or not kept.object(md5).is_file():
            continue  # stands in Git, or is no longer kept
        yield out, md5
        if md5.endswith(".dir"):
            inside = kept.files({out: md5}).items()
            yield from ((path, one) for path, one in inside if kept.object(one).is_file())


def _md5(file: Path, until: Limit) -> str | None:
    """Hash of a file; None when the time is over before its end."""
    digest = hashlib.md5(usedforsecurity=False)
    with file.open("rb") as content:
        while part := content.read(_PART):
            if until.is_over:
                return None
            digest.update(part)
    return digest.hexdigest()


def _bytes(folder: Path, until: Limit) -> int:
    """Size of a folder; of a very large one what was counted in time."""
    total = 0
    waiting = [folder] if folder.is_dir() else []
    while waiting and not until.is_over:
        for entry in os.scandir(waiting.pop()):
            if entry.is_dir(follow_symlinks=False):
                waiting.append(Path(entry.path))
            else:
                total += entry.stat(follow_symlinks=False).st_size
    return total
