"""The server's pointer, made true from the release log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from workbench.core.errors import BundleError, ReleaseError, StateError
from workbench.execution.lock import hold
from workbench.registry import history, store
from workbench.registry.signing import sign
from workbench.storage.pointer import Alias, Pointer, Target, read_pointer, write_pointer

if TYPE_CHECKING:
    from workbench.core.paths import Paths
    from workbench.registry.log import Event

LOCK_WAIT_S = 10.0
_ALIASES: tuple[Alias, ...] = ("champion", "challenger")


def point(paths: Paths, pipeline: str, events: Sequence[Event]) -> bool:
    """Let the server's pointer say what the log says; returns whether it had to be moved.

    A damaged pointer is written anew, and a bundle that was released without a signature gets one.
    Raises ReleaseError where the champion's bundle is not in this checkout, BundleError where its
    signature does not hold: then the pointer stays, for the server would find nothing. A challenger
    of which either holds is left out, so that it never stands in the way of a rollback.
    """
    stand = history.aliases(events)
    targets: dict[Alias, Target] = {}
    for alias in _ALIASES:
        event = stand.get(alias)
        if event is None or event.release is None:
            continue
        if not store.has(paths, event.digest):
            if alias == history.CHALLENGER:
                continue
            raise ReleaseError(
                f"Release {event.release} of '{pipeline}' is {alias}, but its bundle "
                f"{event.digest[:12]} is not in this checkout.",
                kept="what is served now",
                fix=f"get its outputs (`git checkout` and `dvc pull`), "
                f"then run `workbench release {pipeline}`",
            )
        try:
            sign(paths, event.digest)
        except BundleError:
            if alias == history.CHALLENGER:
                continue
            raise
        targets[alias] = Target(event.digest, event.release, event.run_id)
    with hold(paths.lock("pointer"), "server's pointer", wait_s=LOCK_WAIT_S):
        try:
            now = read_pointer(paths.pointer)
        except StateError:
            now = Pointer()  # all of it is in the logs
        traffic = {name: value for name, value in now.traffic.items() if name != pipeline}
        if history.CHALLENGER in targets and (wanted := stand[history.CHALLENGER].traffic):
            traffic[pipeline] = wanted
        if now.pipelines.get(pipeline, {}) == targets and now.traffic == traffic:
            return False
        pipelines = now.pipelines | {pipeline: targets}
        write_pointer(paths.pointer, replace(now, pipelines=pipelines, traffic=traffic))
    return True
