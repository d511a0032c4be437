"""Merging dvc.lock by stage and release logs by event, on texts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest
import yaml

from workbench.core.errors import StateError
from workbench.core.paths import Paths
from workbench.execution.lockmerge import merge_locks
from workbench.registry.history import CHAMPION, aliases, before_champion, releases
from workbench.registry.log import Event, read_log
from workbench.registry.merging import install, merge_checkout, merge_text

HEAD = "schema: '2.0'\nstages:\n"


def stage(name: str, md5: str) -> str:
    return (
        f"  {name}:\n    cmd: run {name}\n    deps:\n    - path: in/{name}\n      hash: md5\n"
        f"      md5: {md5}\n    outs:\n    - path: out/{name}\n      md5: out-{md5}\n"
    )


def lock(**stages: str) -> str:
    return HEAD + "".join(stage(name.replace("_", "@"), md5) for name, md5 in stages.items())


BASE = lock(fingerprint="0", train_a="0", test_a="0", train_b="0", test_b="0")


def test_each_stage_comes_whole_from_the_side_that_changed_it() -> None:
    ours = lock(fingerprint="1", train_a="1", test_a="1", train_b="0", test_b="0")
    theirs = lock(fingerprint="2", train_a="0", test_a="0", train_b="2", test_b="2")

    done = merge_locks(BASE, ours, theirs)

    assert done.text == lock(fingerprint="1", train_a="1", test_a="1", train_b="2", test_b="2")
    assert done.taken == ("train@b", "test@b")
    assert done.again == ("fingerprint",)
    assert merge_locks(BASE, theirs, ours).again == ("fingerprint",)


def test_a_stage_that_both_changed_is_taken_from_neither() -> None:
    ours = lock(fingerprint="0", train_a="1", test_a="1", train_b="0", test_b="0")
    theirs = lock(fingerprint="0", train_a="2", test_a="1", train_b="0", test_b="0")

    done = merge_locks(BASE, ours, theirs)

    assert done.again == ("train@a",)
    assert done.text == lock(fingerprint="0", test_a="1", train_b="0", test_b="0")


def test_no_entry_mixes_two_runs_where_lines_alone_would() -> None:
    # Git takes another input from one side and another output from the other, without a conflict.
    entry = stage("train@a", "0")
    ours = HEAD + entry.replace("md5: 0\n", "md5: 1\n")
    theirs = HEAD + entry.replace("md5: out-0", "md5: out-2")
    done = merge_locks(HEAD + entry, ours, theirs)
    assert (done.again, yaml.safe_load(done.text)) == (("train@a",), {"schema": "2.0"})


def test_pipelines_that_came_or_went_on_one_side_come_or_go() -> None:
    ours = lock(fingerprint="0", train_a="0", test_a="0", train_c="1")
    theirs = lock(fingerprint="0", train_a="0", test_a="0", train_b="0", test_b="0", train_d="1")
    done = merge_locks(BASE, ours, theirs)
    assert done.text == lock(fingerprint="0", train_a="0", test_a="0", train_c="1", train_d="1")
    assert done.again == ()


def test_a_stage_that_one_side_dropped_and_the_other_ran_is_left_to_the_next_run() -> None:
    ours = lock(fingerprint="0", train_a="0", test_a="0", test_b="0")
    theirs = lock(fingerprint="0", train_a="0", test_a="0", train_b="2", test_b="0")
    assert merge_locks(BASE, ours, theirs).again == ("train@b",)


def test_both_sides_may_have_begun_without_a_lock() -> None:
    assert merge_locks("", lock(a="1"), lock(b="2")).text == lock(a="1", b="2")
    assert merge_locks("", "", lock(b="2")).text == lock(b="2")


@pytest.mark.parametrize("bad", ["<<<<<<< HEAD\nschema: '2.0'\n", "- a list\n", "a: [\n"])
def test_what_is_no_lock_is_refused(bad: str) -> None:
    with pytest.raises(StateError, match=r"version of dvc\.lock cannot be read"):
        merge_locks(BASE, bad, BASE)


# release logs


def made(digest: str, number: int, minute: int) -> list[Event]:
    time = f"2026-11-24T10:{minute:02}:00+00:00"
    return [
        Event("release", "p", digest * 64, release=number, time=time),
        Event("alias", "p", digest * 64, release=number, alias=CHAMPION, time=time),
    ]


def text(*events: Event) -> str:
    return "".join(f"{msgspec.json.encode(event).decode()}\n" for event in events)


def merged(base: str, ours: str, theirs: str) -> tuple[list[Event], tuple[str, ...]]:
    done = merge_text("releases/p.jsonl", base, ours, theirs)
    return [msgspec.json.decode(x, type=Event) for x in done.text.splitlines()], done.said


def test_a_number_that_was_given_twice_stays_with_the_first_and_the_later_is_renumbered() -> None:
    base = text(*made("a", 1, 0))
    ours = base + text(*made("b", 2, 20), *made("c", 3, 30))
    theirs = base + text(*made("d", 2, 10))

    for one, other in ((ours, theirs), (theirs, ours)):
        events, said = merged(base, one, other)
        numbers = {n: e.digest[0] for n, e in releases(events).items()}
        assert numbers == {1: "a", 2: "d", 3: "c", 4: "b"}
        assert [e.release for e in events if e.event == "alias"] == [1, 2, 4, 3]
        assert aliases(events)[CHAMPION].digest[0] == "c"
        assert before_champion(events) == 4
        assert any("is now release 4" in sentence for sentence in said)


def test_no_event_is_lost_or_doubled_and_each_side_keeps_its_order() -> None:
    base = text(*made("a", 1, 50))  # a clock that was set back afterwards
    ours = base + text(*made("b", 2, 10))
    back = Event("alias", "p", "a" * 64, release=1, alias=CHAMPION, rollback=True, reason="bad")
    theirs = ours + text(back)
    assert merged(base, ours, theirs)[0] == merged(base, theirs, ours)[0]
    assert text(*merged(base, ours, theirs)[0]) == theirs
    assert text(*merged(base, theirs, theirs)[0]) == theirs
    assert text(*merged("", "", theirs)[0]) == theirs


def test_the_same_bundle_released_on_both_sides_is_one_release() -> None:
    base = text(*made("a", 1, 0))
    events, _ = merged(base, base + text(*made("b", 2, 1)), base + text(*made("b", 2, 2)))
    assert [(e.event, e.release) for e in events] == [
        ("release", 1), ("alias", 1), ("release", 2), ("alias", 2), ("alias", 2)
    ]  # fmt: skip


def test_a_log_that_cannot_be_read_is_not_merged() -> None:
    with pytest.raises(StateError, match="cannot be read"):
        merged("", text(*made("a", 1, 0)) + "half a li\n", text(*made("b", 1, 0)))


# in Git


def git(root: Path, *arguments: str, check: bool = True) -> str:
    settings = ("-c", "user.name=T", "-c", "user.email=t@localhost", "-c", "init.defaultBranch=m")
    done = subprocess.run(
        ["git", *settings, *arguments], cwd=root, check=check, capture_output=True, text=True
    )
    return done.stdout + done.stderr


@pytest.fixture
def branched(tmp_path: Path) -> Paths:
    """Two branches that each ran and released, so that lines alone are in conflict."""
    root = tmp_path / "repository"
    (root / "releases").mkdir(parents=True)
    (root / "params.yaml").write_text("version: 1\n")
    file, log = root / "dvc.lock", root / "releases" / "p.jsonl"
    base = text(*made("a", 1, 0))
    git(tmp_path, "init", "-q", "repository")
    sides = {
        "m": (BASE, base),
        "ours": (lock(fingerprint="1", train_a="1", test_a="0", train_b="0", test_b="0"),
                 base + text(*made("b", 2, 1))),
        "theirs": (lock(fingerprint="2", train_a="0", test_a="0", train_b="2", test_b="0"),
                   base + text(*made("c", 2, 2))),
    }  # fmt: skip
    for name, (locked, logged) in sides.items():
        if name != "m":
            git(root, "checkout", "-q", "-b", name, "m")
        file.write_text(locked)
        log.write_text(logged)
        git(root, "add", ".")
        git(root, "commit", "-qm", name)
    git(root, "checkout", "-q", "ours")
    return Paths(root=root, home=root / ".workbench")


def check(paths: Paths) -> None:
    want = lock(fingerprint="1", train_a="1", test_a="0", train_b="2", test_b="0")
    assert paths.dvc_lock.read_text() == want
    assert sorted(releases(read_log(paths, "p"))) == [1, 2, 3]


def test_a_merge_in_conflict_is_completed(branched: Paths) -> None:
    assert "CONFLICT" in git(branched.root, "merge", "theirs", check=False)
    merge_checkout(branched)
    check(branched)
    git(branched.root, "commit", "-qm", "merged")
    assert git(branched.root, "status", "--short") == ""


def test_a_merge_that_was_committed_is_made_right_afterwards(branched: Paths) -> None:
    git(branched.root, "merge", "-X", "ours", "theirs", "-m", "wrong")
    merge_checkout(branched)
    check(branched)


def test_without_a_merge_nothing_is_written(branched: Paths) -> None:
    with pytest.raises(StateError, match="There is no merge"):
        merge_checkout(branched)
    assert git(branched.root, "status", "--short") == ""


def test_installing_twice_writes_its_lines_once_and_keeps_others(branched: Paths) -> None:
    file = branched.root / ".gitattributes"
    file.write_text("*.png binary")
    assert install(branched)
    before = file.read_text()
    assert not install(branched)
    assert file.read_text() == before
    assert before.splitlines()[0] == "*.png binary"
    attribute = git(branched.root, "check-attr", "merge", "dvc.lock", "releases/x.jsonl")
    assert attribute.count("merge: workbench") == 2
    assert "merge-lock" in git(branched.root, "config", "merge.workbench.driver")
