"""dvc.lock merged by stage: what Git merges by line can mix two runs of one stage into one.

An entry is a fact: this command, with these inputs, gave these outputs. So a merged file takes each
entry whole, from the side that changed it; where both did, in different ways, neither is true of
the merged code, and the stage is left to the next run. Only `fingerprint` then stays as it is on
our side: it looks at the code whenever that changed, and `dvc checkout` fails without an entry.
"""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from workbench.core.errors import StateError
from workbench.execution.dvcfiles import Loader


@dataclass(frozen=True)
class MergedLock:
    """A merged dvc.lock. taken: stages that came from the other side; again: that will run."""

    text: str
    taken: tuple[str, ...]
    again: tuple[str, ...]


def merge_locks(base: str, ours: str, theirs: str) -> MergedLock:
    """Merge two versions of dvc.lock that come from `base`; entries stay as DVC wrote them.

    Raises StateError for a version that is not a dvc.lock, or where a section other than `stages`
    was changed on both sides.
    """
    (top_0, stages_0), (top_1, stages_1), (top_2, stages_2) = map(_parts, (base, ours, theirs))
    top: list[str] = []
    for name in dict.fromkeys((*top_1, *top_2)):
        text, clash = _three_way(top_0.get(name), top_1.get(name), top_2.get(name))
        if clash:
            raise StateError(
                f"Section '{name}' of dvc.lock was changed on both sides.",
                kept="both versions, in Git",
                fix="decide in dvc.lock by hand, then `git add dvc.lock`",
            )
        top += [text] if text is not None else []
    stages: list[str] = []
    taken: list[str] = []
    again: list[str] = []
    for name in dict.fromkeys((*stages_1, *stages_2)):
        text, clash = _three_way(stages_0.get(name), stages_1.get(name), stages_2.get(name))
        again += [name] if clash else []
        if clash and name == "fingerprint":
            text = stages_1.get(name)
        taken += [name] if not clash and text != stages_1.get(name) else []
        stages += [text] if text is not None else []
    body = "".join(stages)
    head = "".join(top) or "schema: '2.0'\n"
    return MergedLock(f"{head}stages:\n{body}" if body else head, tuple(taken), tuple(again))


def _three_way(base: str | None, ours: str | None, theirs: str | None) -> tuple[str | None, bool]:
    """The side that changed; None for gone, and whether both changed in different ways."""
    if ours in (theirs, base):
        return theirs, False
    return (ours, False) if theirs == base else (None, True)


def _parts(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """The text of each section but `stages`, and of each stage, by name."""
    try:
        root = yaml.compose(text, Loader=Loader)
    except yaml.YAMLError as error:
        raise _unreadable(str(error).splitlines()[0]) from None
    if root is None:
        return {}, {}
    if not isinstance(root, yaml.MappingNode):
        raise _unreadable("it is no mapping")
    lines = text.splitlines(keepends=True)
    top: dict[str, str] = {}
    stages: dict[str, str] = {}
    for name, part, node in _blocks(root, lines, len(lines)):
        if name != "stages":
            top[name] = part
        elif isinstance(node, yaml.MappingNode) and not node.flow_style:
            end = node.start_mark.line + len(part.splitlines()) - 1
            stages = {stage: block for stage, block, _ in _blocks(node, lines, end)}
    return top, stages


def _blocks(node: yaml.MappingNode, lines: list[str], end: int) -> list[tuple[str, str, yaml.Node]]:
    """Each key of a block mapping with its lines, as they stand, and its value."""
    starts = [key.start_mark.line for key, _ in node.value]
    ends = [*starts[1:], end]
    found: list[tuple[str, str, yaml.Node]] = []
    for (key, value), first, last in zip(node.value, starts, ends, strict=True):
        text = "".join(lines[first:last])
        found.append((key.value, text if text.endswith("\n") else f"{text}\n", value))
    return found


def _unreadable(why: str) -> StateError:
    return StateError(
        f"A version of dvc.lock cannot be read: {why}.",
        kept="both versions, in Git",
        fix="`git show HEAD:dvc.lock` and `git show MERGE_HEAD:dvc.lock` show them",
    )
