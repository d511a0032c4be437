"""What Git cannot merge by line: dvc.lock, and release logs of which both sides added to.

A release log keeps every event of both sides, in the order of time. A number that both gave away
stays with the release that was first; the later one gets the next free number, for digests name
releases and numbers only count them.
"""

from __future__ import annotations

import heapq
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from workbench.core.errors import StateError
from workbench.core.files import write_text
from workbench.execution.lockmerge import merge_locks
from workbench.registry.log import Event

if TYPE_CHECKING:
    from workbench.core.paths import Paths

DRIVER = "workbench"
ATTRIBUTES = ("dvc.lock merge=workbench", "releases/*.jsonl merge=workbench")


@dataclass(frozen=True)
class Merged:
    """A merged file. said: what a person should know of it, in sentences."""

    path: str
    text: str
    said: tuple[str, ...]


def merge_text(path: str, base: str, ours: str, theirs: str) -> Merged:
    """Merge two versions of dvc.lock or of a release log (by the ending of `path`)."""
    if path.endswith(".jsonl"):
        return _merged_log(path, base, ours, theirs)
    done = merge_locks(base, ours, theirs)
    said = [f"{path}: {len(done.taken)} stages from the other side."] if done.taken else []
    if again := [name for name in done.again if name != "fingerprint"]:
        said.append(f"Changed on both sides, so they will run again: {', '.join(again)}.")
    if "fingerprint" in done.again:
        said.append("The fingerprint stage looks at the merged code, in seconds.")
    return Merged(path, done.text, tuple(said))


def merge_checkout(paths: Paths) -> list[Merged]:
    """Merge dvc.lock and release logs of the merge that is under way, or was committed last.

    Written and added to Git's index. Raises StateError where there is no merge.
    """
    sides = _sides(paths.root)
    listed = {
        path
        for side in sides[1:]
        for path in _git(paths.root, "ls-tree", "-rz", "--name-only", side).split("\0")
        if path == "dvc.lock" or (path.startswith("releases/") and path.endswith(".jsonl"))
    }
    done = [
        merge_text(path, *(_version(paths.root, side, path) for side in sides))
        for path in sorted(listed)
    ]
    for merged in done:
        write_text(paths.root / merged.path, merged.text)
    if done:
        _git(paths.root, "add", "--", *(merged.path for merged in done))
    return done


def merge_files(base: Path, ours: Path, theirs: Path, path: str) -> Merged:
    """What Git calls while it merges (`%O %A %B %P`): the result replaces `ours`."""
    versions = [file.read_text(encoding="utf-8") for file in (base, ours, theirs)]
    merged = merge_text(path, *versions)
    ours.write_text(merged.text, encoding="utf-8")
    return merged


def install(paths: Paths) -> bool:
    """Let Git call `merge-lock` by itself; returns whether `.gitattributes` had to be changed.

    The driver stands in this clone's own configuration: each clone installs it once.
    """
    command = f'"{sys.executable}" -m workbench.cli.main merge-lock %O %A %B %P'
    _git(paths.root, "config", f"merge.{DRIVER}.name", "dvc.lock by stage, release logs by event")
    _git(paths.root, "config", f"merge.{DRIVER}.driver", command)
    file = paths.root / ".gitattributes"
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    missing = [line for line in ATTRIBUTES if line not in text.splitlines()]
    if missing:
        start = text if not text or text.endswith("\n") else f"{text}\n"
        write_text(file, start + "".join(f"{line}\n" for line in missing))
    return bool(missing)


def _merged_log(path: str, base: str, ours: str, theirs: str) -> Merged:
    one, other = (text.splitlines() for text in (ours, theirs))
    shared = 0
    while shared < min(len(one), len(other)) and one[shared] == other[shared]:
        shared += 1
    known = {*one[:shared], *base.splitlines()}
    mine = [_event(path, line) for line in one[shared:]]
    added = [_event(path, line) for line in other[shared:] if line not in {*known, *one}]
    before = [_event(path, line) for line in one[:shared]]
    # Within one side the order stays, also where its clock was set back.
    after = list(heapq.merge(mine, added, key=lambda event: event.time))
    events, said = _numbered(before, after)
    text = "".join(f"{line}\n" for line in one[:shared])
    text += "".join(f"{msgspec.json.encode(event).decode()}\n" for event in events)
    new = [f"{path}: {len(added)} events from the other side."] if added else []
    return Merged(path, text, (*new, *said))


def _numbered(before: Sequence[Event], after: Sequence[Event]) -> tuple[list[Event], list[str]]:
    """The events after what both sides share, each release under one number of its own."""
    numbers: dict[str, int] = {}
    taken = {e.release for e in (*before, *after) if e.release is not None}
    given: set[int] = set()
    said: list[str] = []
    events: list[Event] = []
    for index, event in enumerate((*before, *after)):
        number = event.release
        if event.event == "release" and number is not None:
            if event.digest in numbers:  # both sides released the very same bundle
                continue
            if number in given:
                number = max(taken) + 1
                taken.add(number)
                said.append(
                    f"Release {event.release} of {event.pipeline} ({event.digest[:12]}) is now "
                    f"release {number}: the number was given away twice."
                )
            given.add(number)
            numbers[event.digest] = number
        if index >= len(before):
            now = numbers.get(event.digest, number) if number is not None else None
            events.append(replace(event, release=now))
    return events, said


def _event(path: str, line: str) -> Event:
    try:
        return msgspec.json.decode(line, type=Event)
    except msgspec.DecodeError as error:
        raise StateError(
            f"A line of {path} cannot be read: {error}.",
            kept="both versions, in Git",
            fix=f"mend it on its branch, or merge {path} by hand",
        ) from None


def _sides(root: Path) -> tuple[str, str, str]:
    """Commits: where both sides come from, ours, theirs."""
    ours, theirs = "HEAD", _git(root, "rev-parse", "-q", "--verify", "MERGE_HEAD", check=False)
    if not theirs:
        parents = _git(root, "rev-list", "--parents", "-n1", "HEAD", check=False).split()[1:]
        if len(parents) != 2:
            raise StateError(
                "There is no merge: none is under way, and the last commit is none.",
                fix="`git merge BRANCH`, then `workbench merge-lock`",
            )
        ours, theirs = parents
    base = _git(root, "merge-base", ours, theirs.strip(), check=False).strip()
    return base, ours, theirs.strip()


def _version(root: Path, side: str, path: str) -> str:
    """The file as that commit has it; empty where it has none."""
    return _git(root, "show", f"{side}:./{path}", check=False) if side else ""


def _git(root: Path, *arguments: str, check: bool = True) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)
    if done.returncode and check:
        reason = done.stderr.decode(errors="replace").strip().splitlines()[:1]
        raise StateError(f"`git {arguments[0]}` failed: {''.join(reason)}.", kept="everything")
    return "" if done.returncode else done.stdout.decode()
