"""What the release log says: which releases there are, which one is champion, which came before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.registry.log import Event

CHAMPION, CHALLENGER = "champion", "challenger"


def releases(events: Sequence[Event]) -> dict[int, Event]:
    """Release events by number."""
    return {e.release: e for e in events if e.event == "release" and e.release is not None}


def release_of(events: Sequence[Event], digest: str) -> Event | None:
    """The release of a bundle, None if it was never released."""
    return next((e for e in releases(events).values() if e.digest == digest), None)


def aliases(events: Sequence[Event]) -> dict[str, Event]:
    """Where each alias stands: its last event. A challenger that is champion challenges no more."""
    stand: dict[str, Event] = {}
    for event in events:
        if event.event == "withdrawn" and event.alias is not None:
            stand.pop(event.alias, None)
        if event.event != "alias" or event.alias is None:
            continue
        stand[event.alias] = event
        challenger = stand.get(CHALLENGER)
        if event.alias == CHAMPION and challenger and challenger.digest == event.digest:
            del stand[CHALLENGER]
    return stand


def before_champion(events: Sequence[Event]) -> int | None:
    """Number of the release that a rollback goes back to.

    Moves forward are stacked and rollbacks take from the stack, so that a second rollback goes
    further back instead of forth again.
    """
    stack: list[int] = []
    for event in events:
        if event.event != "alias" or event.alias != CHAMPION or event.release is None:
            continue
        if not event.rollback:
            stack.append(event.release)
            continue
        while stack and stack[-1] != event.release:
            stack.pop()
        if not stack:
            stack.append(event.release)
    return stack[-2] if len(stack) > 1 else None


def rolled_back(events: Sequence[Event], digest: str) -> Event | None:
    """The rollback that took this bundle from its place, if nobody has put it back since.

    A challenger that was withdrawn was taken back too: it would otherwise be the next champion.
    """
    taken: Event | None = None
    champion: str | None = None
    for event in events:
        if event.digest == digest and event.event == "withdrawn":
            taken = event
        elif event.digest == digest and event.event == "alias" and event.alias == CHALLENGER:
            taken = None
        if event.event != "alias" or event.alias != CHAMPION:
            continue
        if event.digest == digest:
            taken = None
        elif champion == digest and event.rollback:
            taken = event
        champion = event.digest
    return taken
