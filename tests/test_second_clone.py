"""A second clone elsewhere: it pulls, is up to date, and serves, without running anything."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from tests.checkout import DVC, Checkout
from workbench.registry.releases import champion
from workbench.tracking.store import Store

GIT = ("git", "-c", "user.name=Tester", "-c", "user.email=tester@localhost")


def git(root: Path, *arguments: str) -> None:
    subprocess.run([*GIT, *arguments], cwd=root, check=True, capture_output=True)


def test_a_clone_pulls_and_is_up_to_date_and_has_the_champion_without_running_a_stage(
    small: Checkout, tmp_path_factory
) -> None:
    away = tmp_path_factory.mktemp("team")
    answer = json.loads(small.workbench("predict", "small", "--json").ok().text)
    # As docs/how-to/team.md says: a remote that all can reach, and the release log in Git.
    small.edit(".gitignore", "\n/releases/\n", "\n")
    small.run(*DVC, "remote", "add", "-d", "store", str(away / "remote")).ok()
    small.run(*DVC, "push", "-q").ok()
    git(small.root, "add", ".")
    git(small.root, "commit", "-qm", "Run")
    git(away, "clone", "-q", str(small.root), "clone")
    outputs, released = small.outputs(), champion(small.paths, "small")
    shutil.rmtree(small.root)  # nothing is taken from where it was made
    clone = Checkout((away / "clone").resolve())

    clone.run(*DVC, "pull", "-q").ok()

    steps = json.loads(clone.workbench("status", "--json").ok().text)
    assert {step["name"]: step["action"] for step in steps} == {
        step["name"]: "up to date" for step in steps
    }
    assert len(steps) == 9
    said = clone.repro().ok().text
    assert "Running stage" not in said
    assert "is cached" not in said
    assert clone.outputs() == outputs
    assert clone.records("train") == []

    clone.workbench("release", "small").ok()
    clone.workbench("sync").ok()
    assert champion(clone.paths, "small") == released
    again = json.loads(clone.workbench("predict", "small", "--json").ok().text)
    assert again["outputs"] == answer["outputs"]
    assert len(Store(clone.paths).known("small")) == 1
    git(clone.root, "diff", "--exit-code", "--", "dvc.lock", "releases", "reports")
