"""The server's pointer, made true from the release log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from workbench.core.errors import ReleaseError, StateError
from workbench.execution.lock import hold
from workbench.registry import history, store
from workbench.storage.pointer import Alias, Pointer, Target, read_pointer, write_pointer

if TYPE_CHECKING:
    from workbench.core.paths import Paths
    from workbench.registry.log import Event

LOCK_WAIT_S = 10.0
_ALIASES: tuple[Alias, ...] = ("champion", "challenger")


def point(paths: Paths, pipeline: str, events: Sequence[Event]) -> bool:
    """Let the server's pointer say what the log says; returns whether it had to be moved.

    A damaged pointer is written anew. Raises ReleaseError where the champion's bundle is not in
    this checkout: then the pointer stays, for the server would find nothing.
    """
    stand = history.aliases(events)
    targets: dict[Alias, Target] = {}
    for alias in _ALIASES:
        event = stand.get(alias)
        if event is None or event.release is None:
            continue
        if not store.has(paths, event.digest):
            raise ReleaseError(
                f"Release {event.release} of '{pipeline}' is {alias}, but its bundle "
                f"{event.digest[:12]} is not in this checkout.",
                kept="what is served now",
                fix=f"get its outputs (`git checkout` and `dvc pull`), "
                f"then run `workbench release {pipeline}`",
            )
        targets[alias] = Target(event.digest, event.release, event.run_id)
    with hold(paths.lock("pointer"), "server's pointer", wait_s=LOCK_WAIT_S):
        try:
            now = read_pointer(paths.pointer)
        except StateError:
            now = Pointer()  # all of it is in the logs
        if now.pipelines.get(pipeline, {}) == targets:
            return False
        write_pointer(paths.pointer, replace(now, pipelines=now.pipelines | {pipeline: targets}))
    return True
