"""Two branches ran two pipelines: merged, both are up to date and nothing is computed again."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.checkout import DVC, Checkout, copied, once
from workbench.core.paths import STAGES
from workbench.execution.dvcfiles import read_lock

GIT = ("git", "-c", "user.name=Tester", "-c", "user.email=tester@localhost")


def git(checkout: Checkout, *arguments: str, code: int = 0) -> str:
    done = subprocess.run([*GIT, *arguments], cwd=checkout.root, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def change(checkout: Checkout, pipeline: str, bootstrap: int) -> None:
    """Another evaluation and another sentence in the notebook, run and committed."""
    checkout.edit(f"pipelines/{pipeline}.py", "As small as it gets", f"For {pipeline}")
    # As text: a dump would rewrite lines of the other pipeline.
    params = checkout.root / "params.yaml"
    head, block, rest = params.read_text().partition(f"\n{pipeline}:\n")
    rest = rest.replace("bootstrap: 20", f"bootstrap: {bootstrap}", 1)
    params.write_text(head + block + rest)
    checkout.workbench("repro", pipeline, "--no-release").ok()
    git(checkout, "commit", "-qam", f"Evaluate {pipeline}")


@pytest.fixture(scope="module")
def branched(whole: Checkout, shared: Path) -> Checkout:
    """Two pipelines of one shape; `ours` changed `small`, `theirs` changed `other`."""

    def work(made: Checkout) -> None:
        subprocess.run(["cp", "-a", f"{whole.root}/.", made.root], check=True)
        notebook = (made.root / "pipelines" / "small.py").read_text()
        (made.root / "pipelines" / "other.py").write_text(notebook)
        params = (made.root / "params.yaml").read_text()
        block = params[params.index("\nsmall:\n") :].replace("small:", "other:", 1)
        (made.root / "params.yaml").write_text(params.replace("[small]", "[small, other]") + block)
        made.workbench("repro", "other", "--no-release").ok()
        git(made, "add", ".")
        git(made, "commit", "-qm", "Two pipelines")
        git(made, "checkout", "-qb", "theirs")
        change(made, "other", 22)
        git(made, "checkout", "-qb", "ours", "HEAD^")
        made.run(*DVC, "checkout", "-q").ok()
        change(made, "small", 21)

    return once(shared / "branched", work)


def check(checkout: Checkout) -> None:
    """Every stage of both pipelines is as its branch left it, and only code is looked at."""
    lock = read_lock(checkout.paths.dvc_lock)
    sides = {
        side: yaml.safe_load(git(checkout, "show", f"{side}:dvc.lock"))["stages"]
        for side in ("ours", "theirs")
    }
    for stage in STAGES:
        assert lock[f"{stage}@small"] == sides["ours"][f"{stage}@small"]
        assert lock[f"{stage}@other"] == sides["theirs"][f"{stage}@other"]
    checkout.run(*DVC, "checkout", "-q").ok()
    steps = json.loads(checkout.workbench("status", "--json").ok().text)
    actions = {step["name"]: step["action"] for step in steps}
    assert actions.pop("fingerprint") == "run"
    assert len(actions) == 16
    assert set(actions.values()) == {"up to date"}


def test_lines_alone_are_in_conflict_and_merge_lock_completes_the_merge_without_a_rerun(
    branched: Checkout, tmp_path: Path
) -> None:
    with copied(branched, tmp_path) as checkout:
        assert "conflict in dvc.lock" in git(checkout, "merge", "theirs", code=1)
        said = checkout.workbench("merge-lock").ok()
        assert "2 stages from the other side" in said.sentence
        git(checkout, "commit", "-qm", "Merge theirs")
        check(checkout)
        ran = checkout.repro().ok().text
        assert [x for x in ran.splitlines() if x.startswith("Running stage")] == [
            "Running stage 'fingerprint':"
        ]


def test_with_the_driver_installed_git_merges_by_itself(branched: Checkout, tmp_path: Path) -> None:
    with copied(branched, tmp_path) as checkout:
        checkout.workbench("merge-lock", "--install").ok()
        git(checkout, "add", ".gitattributes")
        git(checkout, "commit", "-qm", "Merge by stage")
        assert "2 stages from the other side" in git(checkout, "merge", "theirs", "-m", "Merge")
        check(checkout)
