from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from workbench.metering import facts


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-b", "main")
    (tmp_path / "tracked.py").write_text("one = 1\n")
    git(tmp_path, "add", "tracked.py")
    git(tmp_path, "commit", "-m", "first")
    return tmp_path


def git(root: Path, *args: str) -> str:
    name = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    return subprocess.run(
        ["git", "-C", str(root), *name, *args], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_a_clean_checkout_is_its_commit_and_its_branch(checkout: Path):
    commit = facts.commit(checkout)
    assert commit.sha == git(checkout, "rev-parse", "HEAD")
    assert (commit.branch, commit.dirty, commit.patch) == ("main", False, "")


def test_a_dirty_checkout_keeps_the_patch_that_makes_it_again(checkout: Path):
    (checkout / "tracked.py").write_text("one = 2\n")
    commit = facts.commit(checkout)
    assert commit.dirty
    git(checkout, "checkout", "tracked.py")
    subprocess.run(["git", "-C", str(checkout), "apply"], input=commit.patch.encode(), check=True)
    assert (checkout / "tracked.py").read_text() == "one = 2\n"


def test_untracked_files_never_enter_a_record(checkout: Path):
    (checkout / "secret.env").write_text("password")
    (checkout / "tracked.py").write_text("one = 2\n")
    assert "password" not in facts.commit(checkout).patch
    git(checkout, "checkout", "tracked.py")
    assert not facts.commit(checkout).dirty


def test_a_huge_patch_is_cut_and_says_so(checkout: Path):
    (checkout / "tracked.py").write_text("x" * 3_000_000)
    patch = facts.commit(checkout).patch
    assert patch.endswith("(cut at 1 MB)\n")
    assert len(patch) < facts.PATCH_LIMIT_BYTES + 100


def test_before_the_first_commit_and_outside_git_there_is_no_sha(tmp_path: Path):
    outside = facts.commit(tmp_path)
    assert (outside.sha, outside.branch, outside.dirty) == (None, None, False)
    git(tmp_path, "init", "-b", "main")
    (tmp_path / "new.py").write_text("new\n")
    git(tmp_path, "add", "new.py")
    unborn = facts.commit(tmp_path)
    assert (unborn.sha, unborn.branch, unborn.dirty) == (None, "main", True)


def test_a_detached_head_has_a_sha_and_no_branch(checkout: Path):
    git(checkout, "checkout", "--detach")
    commit = facts.commit(checkout)
    assert commit.sha
    assert commit.branch is None


def test_looking_at_the_commit_leaves_the_index_as_it_was(checkout: Path):
    os.utime(checkout / "tracked.py", (1, 1))  # git would refresh its index
    index = (checkout / ".git" / "index").read_bytes()
    facts.commit(checkout)
    assert (checkout / ".git" / "index").read_bytes() == index


def test_hardware_names_cores_memory_and_system():
    hardware = facts.hardware()
    assert hardware["cores"] == os.cpu_count()
    assert hardware["memory_bytes"] > 2**28
    assert hardware["system"]
    assert all(value for value in hardware.values())


def test_the_user_is_named():
    assert isinstance(facts.user(), str)
