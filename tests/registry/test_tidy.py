"""What a clean-up removes, and what it never does, on a real DVC cache."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import DVC, Checkout, ended
from workbench.core.errors import BusyError, StateError
from workbench.execution.dvcfiles import Cache, locked, read_lock
from workbench.execution.lock import hold
from workbench.registry import kept
from workbench.registry import tidy as module
from workbench.registry.kept import named, needs, opened
from workbench.registry.tidy import Tidied, tidy

GC = (*DVC, "gc", "--workspace", "--all-branches", "--all-tags", "--force")


def put(checkout: Checkout, content: bytes) -> str:
    """An object in DVC's cache, as DVC stores it; its hash."""
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    file = Cache(checkout.root).object(md5)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return md5


def git(checkout: Checkout, *arguments: str) -> None:
    checkout.run("git", "-c", "user.name=T", "-c", "user.email=t@localhost", *arguments).ok()


def removed(done: Tidied) -> set[str]:
    objects = [one.path for one in done.leftovers if one.kind == "cached object"]
    return {path.parent.name + path.name for path in objects}


def behind(checkout: Checkout) -> set[str]:
    """Every object behind the stages of dvc.lock."""
    cache = Cache(checkout.root)
    entries = [e for n, e in read_lock(checkout.paths.dvc_lock).items() if n != "fingerprint"]
    outs = {md5 for entry in entries for md5 in locked(entry, "outs").values()}
    found = opened(cache, outs)
    assert all(cache.object(md5).is_file() for md5 in found)
    return found


def test_what_dvc_gc_would_take_from_a_release_stays_and_rebuilds_it(small: Checkout) -> None:
    released = behind(small)
    candidate = small.data("candidate")
    small.paths.dvc_lock.unlink()  # its branch is gone: only the release remembers
    junk = put(small, b"junk")
    cache = Cache(small.root)

    done = tidy(small.paths)

    assert junk in removed(done)
    assert not released & removed(done)
    assert all(cache.object(md5).is_file() for md5 in released)
    assert not cache.object(junk).exists()
    subprocess.run(["rm", "-r", small.root / "data"], check=True)
    again = small.repro("candidate@small").ok()
    assert [x for x in again.text.splitlines() if x.startswith("Running stage")] == [
        "Running stage 'fingerprint':"
    ]
    assert small.data("candidate") == candidate

    small.paths.dvc_lock.unlink()
    small.run(*GC).ok()
    assert not any(cache.object(md5).is_file() for md5 in released)


def test_what_a_branch_a_tag_a_stash_or_the_workspace_needs_stays(small: Checkout) -> None:
    workspace = behind(small)
    names = ("branch", "tag", "stash", "added")
    objects = {name: put(small, name.encode()) for name in names}
    inside = put(small, b"in a folder")
    listed = json.dumps([{"md5": inside, "relpath": "x"}]).encode()
    folder = put(small, listed)
    cache = Cache(small.root)
    cache.object(folder).rename(cache.object(f"{folder}.dir"))
    git(small, "add", ".")
    git(small, "commit", "-qm", "run")
    lock = small.paths.dvc_lock.read_text()
    extra = "  other@x:\n    cmd: x\n    outs:\n    - path: x\n      md5: {}\n"
    for name in ("branch", "tag", "stash"):
        md5 = f"{folder}.dir\n    - path: y\n      md5: {objects[name]}"
        small.paths.dvc_lock.write_text(lock + extra.format(md5))
        if name == "stash":
            git(small, "stash")
            continue
        git(small, "commit", "-qam", name)
        git(small, name, "-f", f"kept-{name}")
        git(small, "reset", "-q", "--hard", "HEAD^")
    (small.root / "notebooks").mkdir(exist_ok=True)
    (small.root / "notebooks" / "x.dvc").write_text(
        f"outs:\n- md5: {objects['added']}\n  path: x\n"
    )
    junk = put(small, b"junk")

    gone = removed(tidy(small.paths))

    assert junk in gone
    assert not gone & (workspace | set(objects.values()) | {inside, f"{folder}.dir"})
    git(small, "stash", "drop", "-q")
    git(small, "branch", "-D", "kept-branch")
    git(small, "tag", "-d", "kept-tag")
    (small.root / "notebooks" / "x.dvc").unlink()
    assert removed(tidy(small.paths)) == {*objects.values(), inside, f"{folder}.dir"}


def test_a_dry_run_lists_with_sizes_and_removes_nothing(small: Checkout) -> None:
    tidy(small.paths)
    junk = put(small, b"x" * 1234)
    twin = put(small, b"twin")
    os.link(Cache(small.root).object(twin), small.root / "twin")  # frees nothing

    listed = tidy(small.paths, dry_run=True)

    assert removed(listed) == {junk, twin}
    assert listed.freed_bytes == 1234
    assert Cache(small.root).object(junk).is_file()
    assert tidy(small.paths).freed_bytes == 1234
    assert tidy(small.paths).leftovers == ()


def test_a_remembered_run_goes_with_its_outputs_and_a_needed_one_stays(small: Checkout) -> None:
    tidy(small.paths)
    runs = Cache(small.root).folder / "runs"
    before = set(runs.glob("*/*/*"))
    assert len(before) >= 8
    entry = runs / "aa" / ("a" * 64) / ("b" * 64)
    entry.parent.mkdir(parents=True)
    entry.write_text(f"cmd: x\nouts:\n- path: x\n  md5: {put(small, b'unreleased')}\n")
    tidy(small.paths)
    assert set(runs.glob("*/*/*")) == before


def test_a_checkpoint_goes_when_a_later_training_ended_and_stays_while_it_may_resume(
    small: Checkout,
) -> None:
    window = small.records("train")[-1].window
    assert window is not None
    for name, changed_s in (("given-up", window.end_s - 60), ("resumable", window.end_s + 60)):
        file = small.paths.checkpoints("small", name) / "last" / "progress.json"
        file.parent.mkdir(parents=True)
        file.write_text("{}")
        for path in (file, file.parent, file.parent.parent):
            os.utime(path, (changed_s, changed_s))
    found = [one.path.name for one in tidy(small.paths).leftovers if one.kind == "checkpoint"]
    assert found == ["given-up"]
    assert not small.paths.checkpoints("small", "given-up").exists()
    assert small.paths.checkpoints("small", "resumable").exists()


def test_scratch_of_a_dead_process_goes_and_that_of_a_living_one_stays(small: Checkout) -> None:
    for name in ("dead", "living"):
        (small.paths.scratch / name).mkdir(parents=True)
        (small.paths.scratch / name / "work.duckdb").touch()
    code = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1]); "
        "c.execute('create table t as select 1'); print('open', flush=True); sys.stdin.read()"
    )
    file = small.paths.scratch / "living" / "work.duckdb"
    file.unlink()
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        tidy(small.paths)
        assert sorted(p.name for p in small.paths.scratch.iterdir()) == ["living"]
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
    tidy(small.paths)
    assert list(small.paths.scratch.iterdir()) == []


def test_half_written_outputs_of_a_killed_stage_go(small: Checkout) -> None:
    part = small.paths.stage("x", "small").with_name(".train.part")
    part.mkdir()
    (part / "x").write_bytes(b"12345")
    (leftover,) = [x for x in tidy(small.paths).leftovers if x.kind == "half-written output"]
    assert (leftover.path, leftover.size_bytes, part.exists()) == (part, 5, False)


@pytest.mark.parametrize("name", ["repro", "sync", "small.release", "small.train"])
def test_nothing_is_removed_while_another_writes(
    small: Checkout, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DVC_WAIT_S", 0.0)
    junk = put(small, b"junk")
    with hold(small.paths.lock(name), "it"), pytest.raises(BusyError):
        tidy(small.paths)
    assert Cache(small.root).object(junk).is_file()


def test_nothing_is_removed_while_dvc_is_at_work(
    small: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DVC_WAIT_S", 0.0)
    junk = put(small, b"junk")
    small.hold("clean")
    dvc = small.start(*DVC, "repro", "-f", "-s", "clean@small")
    small.reached("clean")
    with pytest.raises(BusyError):
        tidy(small.paths)
    # Without our stage's lock DVC's own says it too: it runs other people's stages as well.
    with pytest.raises(BusyError, match=r"DVC is busy: process \d+ runs"):
        module._check_dvc(small.root / ".dvc" / "tmp" / "rwlock")
    small.release("clean")
    ended(dvc).ok()
    with hold(small.root / ".dvc" / "tmp" / "lock", "DVC"), pytest.raises(BusyError):
        tidy(small.paths)
    assert Cache(small.root).object(junk).is_file()
    assert junk in removed(tidy(small.paths))


def test_a_folder_list_that_cannot_be_read_stops_everything(small: Checkout) -> None:
    junk = put(small, b"junk")
    md5 = locked(read_lock(small.paths.dvc_lock)["clean@small"], "outs")["data/small/clean"]
    file = Cache(small.root).object(md5)
    file.chmod(0o644)
    file.write_bytes(b"[{")
    with pytest.raises(StateError, match="is damaged"):
        tidy(small.paths)
    assert Cache(small.root).object(junk).is_file()


def test_a_git_that_cannot_say_what_it_needs_stops_everything(small: Checkout) -> None:
    junk = put(small, b"junk")
    (small.root / ".git" / "refs" / "heads" / "broken").write_text("1" * 40 + "\n")
    with pytest.raises(StateError, match="Git cannot say"):
        tidy(small.paths)
    assert Cache(small.root).object(junk).is_file()


def test_a_cache_that_others_share_is_left_alone(small: Checkout, tmp_path: Path) -> None:
    outside = tmp_path.with_name(f"{tmp_path.name}-cache")
    (small.root / ".dvc" / "cache").rename(outside)
    small.run(*DVC, "config", "--local", "cache.dir", str(outside)).ok()
    junk = put(small, b"junk")
    done = tidy(small.paths)
    assert removed(done) == set()
    assert "others may use it" in done.notes[0]
    assert Cache(small.root).object(junk).is_file()


def test_releases_are_known_by_log_by_bundle_and_by_what_git_has_of_the_log(
    small: Checkout,
) -> None:
    (digest,) = (p.stem for p in small.paths.bundles.glob("*.json"))
    log = small.paths.release_log("small")
    assert kept.released(small.paths, named(small.paths)) == {digest}
    git(small, "add", "-f", "releases")
    git(small, "commit", "-qm", "log")
    log.unlink()
    subprocess.run(["rm", "-r", small.paths.bundles], check=True)
    assert kept.released(small.paths, named(small.paths)) == {digest}
    found = needs({digest, "0" * 64}, Cache(small.root), named(small.paths))
    assert found.unknown == ("0" * 64,)
    assert len(found.runs) == 8
