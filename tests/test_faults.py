"""A full disk, a loss that is no number, rotten data, leaking labels: named, and nothing lost."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from tests.checkout import DVC, STAGE, Checkout, Ended, ended
from tests.needs import not_run
from workbench.core.errors import LeakError
from workbench.core.files import digest_folder
from workbench.core.fingerprint import write_all
from workbench.core.paths import find_paths
from workbench.execution.dvcfiles import Cache, locked
from workbench.metering.ledger import Ledger
from workbench.tracking.store import Store

PAGE = 4096

# ---- disk


def on_a_full_disk(checkout: Checkout, folder: str, free_bytes: int, stage: str) -> Ended:
    """Run a stage while `folder` is a disk of its own that has `free_bytes` left.

    The disk is seen by that process and its children only. What it holds in the end is in `left`.
    """
    if not shutil.which("unshare"):
        not_run("unshare (util-linux)")
    place = checkout.root / folder
    used = sum(-(-f.stat().st_size // PAGE) for f in place.rglob("*") if f.is_file()) * PAGE
    script = (
        f"cp -a {folder} full && mount -t tmpfs -o size={used + free_bytes} tmpfs {folder} "
        f"&& cp -a full/. {folder} || exit 99; "
        f"{' '.join(STAGE)} {stage} small; code=$?; cp -a {folder} left; exit $code"
    )
    how = ["--mount"] if os.geteuid() == 0 else ["--mount", "--map-root-user"]
    done = checkout.run("unshare", *how, "sh", "-c", script)
    if done.code == 1 and "unshare" in done.text:
        not_run("the right to mount a small disk")
    return done


@pytest.mark.parametrize(
    ("stage", "folder", "free_bytes"),
    [
        ("collect", "data/small", 2 * PAGE),
        ("label", "data/small", 2 * PAGE),
        ("train", "data/small", 0),
        ("export", "data/small", 0),
        ("split", ".workbench", 4 * PAGE),
    ],
)
def test_a_full_disk_is_a_sentence_and_what_was_whole_stays(
    small: Checkout, stage: str, folder: str, free_bytes: int
) -> None:
    before = small.outputs()
    data = digest_folder(small.root / "data" / "small")
    done = on_a_full_disk(small, folder, free_bytes, stage)
    done.failed(f"{stage} small: The disk is full", "Kept:", "free space")
    assert small.outputs() == before
    if folder == "data/small":
        assert digest_folder(small.root / "left") == data


# ---- training


def test_a_loss_that_is_no_number_stops_with_the_epoch_keeps_the_checkpoint_and_is_told(
    whole: Checkout, small: Checkout
) -> None:
    (small.root / "slow").touch()
    dvc = small.start(*DVC, "repro", "-f", "-s", "train@small")
    small.until(lambda: list(small.paths.home.glob("checkpoints/small/*/last/progress.json")))
    (small.root / "poison").touch()
    ended(dvc).failed(
        "The loss is not a number in epoch", "Kept: the checkpoint after epoch", code=255
    )
    small.workbench("sync").ok()
    good, bad = small.records("train")
    assert (good.state, bad.state) == ("finished", "failed")
    assert "The loss is not a number" in bad.error
    rows = {row["run_id"]: row["state"] for row in Ledger(small.paths.ledger_url).rows()}
    assert rows[bad.id] == "failed"
    assert set(Store(small.paths).known("small")) == {good.id, bad.id}
    for file in ("slow", "poison"):
        (small.root / file).unlink()
    small.stage("train").ok()
    assert small.outputs() == whole.outputs()


def test_a_learning_rate_without_bounds_is_told_through_workbench_repro(small: Checkout) -> None:
    small.set("small.train.learning_rate", 1e30)
    said = small.workbench("repro", "--no-release")
    said.failed("train small: The loss is not a number in epoch", "lower `learning_rate`")
    # No checkpoint was due yet, so none is said to be kept.
    assert "checkpoint" not in said.text
    assert [run.state for run in small.records("train")] == ["finished", "failed"]
    assert len(Store(small.paths).known("small")) == 2


# ---- cache


def rot(checkout: Checkout, out: str, name: str) -> str:
    """Flip a bit in the cache file behind `out`/`name`, as a disk does; its path."""
    lock = yaml.safe_load((checkout.root / "dvc.lock").read_text())
    stage = f"{out.rpartition('/')[2]}@small"
    cache = Cache(checkout.root)
    listed = cache.object(locked(lock["stages"][stage], "outs")[out])
    entries = {e["relpath"]: e["md5"] for e in yaml.safe_load(listed.read_text())}
    file = cache.object(entries[name])
    stat, content = file.stat(), bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(content)
    file.chmod(stat.st_mode)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return file.relative_to(checkout.root).as_posix()


def test_a_rotten_cache_file_is_named_before_it_is_used_and_is_made_again(
    whole: Checkout, small: Checkout
) -> None:
    file = rot(small, "data/small/clean", "orders.parquet")
    words = (file, "kept for data/small/clean/orders.parquet", "is damaged")
    small.workbench("doctor").failed("DVC cache", "bad")
    assert file in small.workbench("doctor", "--json").text
    shutil.rmtree(small.paths.stage("clean", "small"))
    small.workbench("status").failed(*words)
    small.workbench("repro").failed(*words)
    assert not small.paths.stage("clean", "small").exists()
    (small.root / file).unlink()
    small.workbench("repro").ok()
    small.workbench("doctor").ok()
    assert small.outputs() == whole.outputs()


def test_a_stage_refuses_data_that_dvc_brought_back_rotten(small: Checkout) -> None:
    file = rot(small, "data/small/clean", "orders.parquet")
    shutil.rmtree(small.paths.stage("clean", "small"))
    small.repro().ok()  # DVC does not look
    small.repro("-f", "-s", "label@small").failed(f"cache file {file}", "is damaged", code=255)


def test_a_stage_refuses_data_that_was_changed_by_hand(small: Checkout) -> None:
    (small.paths.stage("clean", "small") / "shops.parquet").unlink()
    said = small.repro("-f", "-s", "label@small")
    said.failed("data/small/clean is not what clean@small made", "dvc checkout", code=255)


# ---- leaks

ROWS = "rows = rows.mutate(ordered_at=rows.time)"
ROLES = '"amount": "number",'


def _copy_of_the_label(checkout: Checkout) -> None:
    checkout.edit("pipelines/small.py", ROWS, f"{ROWS[:-1]}, told=rows.returned.cast('int8'))")
    checkout.edit("pipelines/small.py", ROLES, f'{ROLES} "told": "number",')


def _feature_of_tomorrow(checkout: Checkout) -> None:
    later = "rows.mutate(ordered_at=rows.time + ibis.interval(days=1))"
    checkout.edit("pipelines/small.py", "rows.mutate(ordered_at=rows.time)", later)


def _one_key_twice(checkout: Checkout) -> None:
    checkout.edit("pipelines/small.py", ROWS, f"{ROWS}\n    rows = rows.union(rows)")


def _rows_of_tomorrow(checkout: Checkout) -> None:
    checkout.set("small.collect.as_of", "2026-06-01")


@pytest.mark.parametrize(
    ("leak", "words"),
    [
        (_copy_of_the_label, r"Feature 'told' alone tells the label 'returned'"),
        (_feature_of_tomorrow, r"Feature 'ordered_at' is later than its decision in \d+ rows"),
        (_one_key_twice, r"\d+ keys \(order\) name more than one example"),
        (_rows_of_tomorrow, r"\d+ rows have 'time' after the data's own date 2026-06-01"),
    ],
)
def test_a_leak_stops_the_split_and_names_the_column(
    small: Checkout, leak: Callable[[Checkout], None], words: str
) -> None:
    leak(small)
    before = small.data("split")
    report = small.report("split")
    with contextlib.chdir(small.root):
        write_all(find_paths(), ["small"])
        import_module("workbench.stages.label").run("small")
        with pytest.raises(LeakError, match=words):
            import_module("workbench.stages.split").run("small")
    assert small.data("split") == before
    assert small.report("split") == report
    assert not list(Path(small.root / "data" / "small").glob(".*"))
    assert small.records("split")[-1].state == "failed"
