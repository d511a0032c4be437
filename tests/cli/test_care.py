"""The commands that care for state, as a person gives them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from tests.checkout import Checkout, copied
from workbench.execution.dvcfiles import Cache
from workbench.metering.ledger import Ledger


def clone_of(checkout: Checkout, place: Path) -> Checkout:
    """A fresh clone of what is committed, with the tests' own switches ignored as there."""
    git = ("git", "-c", "user.name=Tester", "-c", "user.email=tester@localhost")
    for arguments in (("add", "."), ("commit", "-qm", "Run"), ("clone", "-q", ".", str(place))):
        subprocess.run([*git, *arguments], cwd=checkout.root, check=True, capture_output=True)
    return Checkout(place.resolve())


def test_a_backup_in_a_fresh_clone_explains_and_replays_an_old_prediction_and_runs_nothing(
    small: Checkout, tmp_path_factory
) -> None:
    away = tmp_path_factory.mktemp("away")
    answer = json.loads(small.workbench("predict", "small", "--json").ok().text)
    said = small.workbench("backup", str(away)).ok()
    (file,) = away.glob("workbench-backup-*.tar")
    assert "released bundles: 1" in said.sentence
    clone = clone_of(small, away / "clone")
    rows = Ledger(small.paths.ledger_url).run_ids()
    outputs = small.outputs()
    shutil.rmtree(small.root / ".dvc")
    shutil.rmtree(small.paths.home)  # the machine is lost; its clone has Git and the backup

    assert "8 new rows" in clone.workbench("restore", str(file)).ok().sentence

    shown = clone.workbench("explain", answer["id"], "--replay").ok()
    assert "(verified)" in shown.sentence
    assert "replay: equal" in shown.sentence
    again = json.loads(clone.workbench("predict", "small", "--json").ok().text)
    assert again["outputs"] == answer["outputs"]
    assert Ledger(clone.paths.ledger_url).run_ids() == rows
    repro = clone.workbench("repro").ok()
    assert "is still the champion" in repro.sentence
    assert Ledger(clone.paths.ledger_url).run_ids() == rows  # no stage ran
    assert clone.outputs() == outputs


def test_a_bad_backup_is_a_sentence(desk: Checkout, tmp_path: Path) -> None:
    (tmp_path / "[red]x.tar").write_bytes(b"?")
    desk.workbench("restore", str(tmp_path / "[red]x.tar")).failed(
        "[red]x.tar is no whole backup", "nothing was changed", "take another copy"
    )


def test_tidy_lists_and_then_frees_as_much(whole: Checkout, tmp_path: Path) -> None:
    with copied(whole, tmp_path) as small:
        junk = Cache(small.root).object("0" * 32)
        junk.parent.mkdir(parents=True, exist_ok=True)
        junk.write_bytes(b"x" * 5_000_000)
        listed = small.workbench("tidy", "--dry-run").ok()
        assert "would be freed" in listed.sentence
        assert "5.0 MB" in listed.sentence
        assert junk.exists()
        done = json.loads(small.workbench("tidy", "--json").ok().text)
        assert done["removed"]
        assert done["freed_bytes"] >= 5_000_000
        assert not junk.exists()
        assert "nothing to do" in small.workbench("tidy").ok().sentence


def test_merge_lock_without_a_merge_says_so(desk: Checkout) -> None:
    desk.workbench("merge-lock").failed("There is no merge", "git merge BRANCH")
    desk.workbench("merge-lock", "one").failed("Git gives four arguments")
