from __future__ import annotations

import pytest

from tests.tracking.checkout import Checkout
from workbench.core.errors import StateError
from workbench.registry.history import before_champion, rolled_back
from workbench.registry.log import Event, append, read_log


def moved(release: int, *, rollback: bool = False) -> Event:
    return Event(
        "alias", "fraud", f"d{release}", release=release, alias="champion", rollback=rollback
    )


def test_a_line_that_a_crash_cut_in_two_is_ignored_and_then_cleared_away(
    checkout: Checkout,
) -> None:
    path = checkout.paths.release_log("fraud")
    append(checkout.paths, "fraud", [moved(1), moved(2)])
    whole = path.read_bytes()
    for cut in range(1, 40):
        path.write_bytes(whole[: len(whole) - 1 - cut])
        assert read_log(checkout.paths, "fraud") == [moved_like(whole, 0)]
        append(checkout.paths, "fraud", [moved_like(whole, 1)])
        assert path.read_bytes() == whole


def moved_like(content: bytes, line: int) -> Event:
    import msgspec

    return msgspec.json.decode(content.splitlines()[line], type=Event)


def test_a_last_line_without_its_line_feed_still_counts(checkout: Checkout) -> None:
    path = checkout.paths.release_log("fraud")
    append(checkout.paths, "fraud", [moved(1)])
    path.write_bytes(path.read_bytes().rstrip())

    append(checkout.paths, "fraud", [moved(2)])

    assert [event.release for event in read_log(checkout.paths, "fraud")] == [1, 2]


def test_a_damaged_line_in_the_middle_is_named(checkout: Checkout) -> None:
    path = checkout.paths.release_log("fraud")
    append(checkout.paths, "fraud", [moved(1), moved(2), moved(3)])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"<<<<<<< HEAD\n" + lines[2])

    with pytest.raises(StateError, match=r"Line 2 of 3 in fraud\.jsonl.*") as raised:
        read_log(checkout.paths, "fraud")
    assert "git checkout releases/fraud.jsonl" in str(raised.value)


def test_a_second_rollback_goes_further_back_instead_of_forth_again() -> None:
    events = [moved(1), moved(2), moved(3)]
    assert before_champion(events) == 2
    events.append(moved(2, rollback=True))
    assert before_champion(events) == 1
    events.append(moved(1, rollback=True))
    assert before_champion(events) is None


def test_what_was_taken_back_is_known_until_someone_puts_it_back() -> None:
    events = [moved(1), moved(2), moved(1, rollback=True)]
    assert rolled_back(events, "d2") == events[-1]
    assert rolled_back(events, "d1") is None
    assert rolled_back([*events, moved(2)], "d2") is None
    # champion by a release that was better, not by a rollback
    assert rolled_back([moved(1), moved(2)], "d1") is None
