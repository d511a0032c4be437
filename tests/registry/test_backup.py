"""What a backup keeps, what it leaves out, and what a restore never does."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import sqlite3
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from tests.servers import postgres_url
from tests.tracking.checkout import Checkout, make_checkout
from workbench.core.errors import BusyError, StateError
from workbench.core.files import digest_folder, read_json, write_json
from workbench.core.params import SiteParams
from workbench.core.paths import Paths
from workbench.execution.lock import hold
from workbench.metering.ledger import Ledger
from workbench.registry.archive import ARCHIVE_VERSION, MANIFEST, Manifest
from workbench.registry.backup import backup
from workbench.registry.databases import copy_rows, relocate
from workbench.registry.log import append, read_log
from workbench.registry.releases import champion, release, rollback, sync_registry
from workbench.registry.restore import restore
from workbench.storage.pointer import read_pointer
from workbench.tracking.store import Store
from workbench.tracking.sync import sync

SITE = SiteParams()
SECRET = b"a-token-that-nobody-may-read"
PASSPORTS = "predictions/fraud/2026-11-01.jsonl"


@pytest.fixture(scope="module")
def _clean(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Two releases, their runs in ledger and MLflow, a passport, and secrets beside them."""
    checkout = make_checkout(tmp_path_factory.mktemp("source"))
    for weight in (1.2, 1.5):
        checkout.trained(weight)
        assert not sync(checkout.paths, SITE).problems
        release(checkout.paths, "fraud")
    home = checkout.paths.home
    (home / PASSPORTS).parent.mkdir(parents=True)
    (home / PASSPORTS).write_bytes(b'{"id":"1"}\n{"id":"2"}\n')
    (home / "notebooks.token").write_bytes(SECRET)
    (home / "tokens").mkdir()
    (home / "tokens" / "ada.json").write_bytes(SECRET)
    dvc = checkout.paths.root / ".dvc"
    dvc.mkdir()
    (dvc / "config.local").write_bytes(b"[remote]\nsecret_access_key = " + SECRET)
    with sqlite3.connect(home / "mlflow.db") as base:
        key = ("k", "key", SECRET, b"", 1, "x", 0, 0)
        columns = "secret_id, secret_name, encrypted_value, wrapped_dek, kek_version, "
        columns += "masked_value, created_at, last_updated_at"
        base.execute(f"INSERT INTO secrets ({columns}) VALUES (?,?,?,?,?,?,?,?)", key)
    base.close()
    return checkout


@pytest.fixture
def source(_clean: Checkout, tmp_path: Path) -> Checkout:
    """A copy that a test may harm, moved so that MLflow finds its artefacts in it."""
    root = tmp_path / "source"
    shutil.copytree(_clean.paths.root, root)
    paths = Paths(root=root, home=root / ".workbench")
    places = [p.artifacts.as_uri() for p in (_clean.paths, paths)]
    relocate(paths.home / "mlflow.db", *places)
    return Checkout(paths)


@pytest.fixture
def empty(tmp_path: Path) -> Checkout:
    """A fresh clone: settings and nothing else."""
    made = make_checkout(tmp_path / "clone")
    shutil.rmtree(made.paths.home)
    return made


@pytest.fixture
def saved(source: Checkout, tmp_path: Path) -> Path:
    return backup(source.paths, tmp_path / "saved.tar").file


def rewritten(file: Path, change: Callable[[dict[str, bytes]], None], **manifest: object) -> Path:
    """A backup with other members, and a manifest that fits them as far as it can."""
    with tarfile.open(file) as tar:
        read = {m.name: tar.extractfile(m) for m in tar.getmembers()}
        members = {name: f.read() for name, f in read.items() if f}
    about = msgspec.json.decode(members.pop(MANIFEST), type=Manifest)
    change(members)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}
    about = {**msgspec.to_builtins(about), "members": sums, **manifest}
    members[MANIFEST] = msgspec.json.encode(about)
    other = file.with_name("rewritten.tar")
    with tarfile.open(other, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return other


def refused(checkout: Checkout, file: Path, *words: str) -> None:
    """The restore says so in a sentence and nothing is there that was not before."""
    before = digest_folder(checkout.paths.root)
    with pytest.raises(StateError) as error:
        restore(checkout.paths, file)
    for word in words:
        assert word in str(error.value)
    shutil.rmtree(checkout.paths.home / "locks")
    assert digest_folder(checkout.paths.root) == before


def test_a_fresh_clone_gets_champion_runs_ledger_mlflow_and_passports(
    source: Checkout, empty: Checkout, saved: Path
) -> None:
    done = restore(empty.paths, saved)

    assert (done.left, done.replaced, done.notes) == ([], [], [])
    here, there = champion(source.paths, "fraud"), champion(empty.paths, "fraud")
    assert here == there
    assert read_pointer(empty.paths.pointer) == read_pointer(source.paths.pointer)
    ledgers = [Ledger(c.paths.ledger_url) for c in (source, empty)]
    rows = [[{**row, "id": 0} for row in ledger.rows()] for ledger in ledgers]
    assert rows[0] == rows[1]
    assert len(rows[0]) == done.rows == 2
    run = rows[0][0]["run_id"]
    assert ledgers[0].usages(run) == ledgers[1].usages(run)
    assert len(ledgers[1].usages(run)) == 2
    for part in ("runs", "bundles", "evidence", "predictions", "artifacts"):
        assert digest_folder(source.paths.home / part) == digest_folder(empty.paths.home / part)


def test_mlflow_is_whole_in_another_folder_and_its_artefacts_lead_there(
    source: Checkout, empty: Checkout, saved: Path
) -> None:
    restore(empty.paths, saved)

    done = sync(empty.paths, SITE)

    assert (done.new, done.updated, done.current, done.problems) == (0, 0, 2, ())
    assert sync_registry(empty.paths).versions == 0
    shutil.rmtree(source.paths.root)
    client = Store(empty.paths).client
    (version, *_) = client.search_model_versions("name = 'fraud'")
    assert Path(client.download_artifacts(version.run_id or "", "")).is_relative_to(
        empty.paths.artifacts
    )


def test_no_token_and_no_key_is_in_a_backup_and_only_its_owner_may_read_it(saved: Path) -> None:
    assert SECRET not in saved.read_bytes()
    assert saved.stat().st_mode & 0o777 == 0o600


def test_a_backup_can_be_taken_while_the_ledger_and_the_log_are_written(
    source: Checkout, empty: Checkout, tmp_path: Path
) -> None:
    stop = threading.Event()
    passports = source.paths.home / PASSPORTS
    before = passports.read_bytes()
    ledger = sqlite3.connect(source.paths.home / "ledger.db", isolation_level=None)
    ledger.execute("PRAGMA journal_mode=WAL")
    ledger.execute("BEGIN IMMEDIATE")
    ledger.execute("UPDATE usage SET pipeline = 'half'")

    def write() -> None:
        with passports.open("ab", buffering=0) as file:
            while not stop.is_set():
                file.write(b'{"id":"more"}\n')

    writer = threading.Thread(target=write)
    writer.start()
    try:
        file = backup(source.paths, tmp_path / "busy.tar").file
    finally:
        stop.set()
        writer.join()
        ledger.execute("ROLLBACK")
        ledger.close()
    restore(empty.paths, file)
    assert {row["pipeline"] for row in Ledger(empty.paths.ledger_url).rows()} == {"fraud"}
    assert passports.read_bytes().startswith((empty.paths.home / PASSPORTS).read_bytes())
    assert (empty.paths.home / PASSPORTS).read_bytes().startswith(before)


def test_a_damaged_database_or_bundle_is_left_out_and_named(
    source: Checkout, empty: Checkout, tmp_path: Path
) -> None:
    (source.paths.home / "ledger.db").write_bytes(b"no database at all" * 100)
    first = read_log(source.paths, "fraud")[0].digest
    (source.paths.bundles / first / "card.md").write_text("altered")

    made = backup(source.paths, tmp_path / "partly.tar")

    assert any("ledger.db is left out" in note for note in made.notes)
    assert any(f"bundle {first[:12]} is left out" in note for note in made.notes)
    done = restore(empty.paths, made.file)
    assert done.notes == []
    assert not (empty.paths.bundles / first).exists()
    assert sync(empty.paths, SITE).rows == 2


def test_a_backup_never_replaces_a_file_and_leaves_nothing_half(
    source: Checkout, saved: Path
) -> None:
    content = saved.read_bytes()
    with pytest.raises(StateError, match="exists"):
        backup(source.paths, saved)
    assert saved.read_bytes() == content
    into = saved.parent / "folder"
    into.mkdir()
    assert backup(source.paths, into).file.name.startswith("workbench-backup-20")
    assert not list(saved.parent.glob(".*.part"))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.999])
def test_a_backup_that_was_cut_short_changes_nothing(
    empty: Checkout, saved: Path, share: float
) -> None:
    content = saved.read_bytes()
    end = content.rindex(MANIFEST.encode())  # what follows is padding
    saved.write_bytes(content[: int(end * share)])
    refused(empty, saved, "is no whole backup")


def test_an_altered_byte_anywhere_changes_nothing(empty: Checkout, saved: Path) -> None:
    content = saved.read_bytes()
    with tarfile.open(saved) as tar:
        places = {m.name: m.offset_data for m in tar.getmembers() if m.size}
    for name in ("ledger.db", "mlflow.db", PASSPORTS, "releases/fraud.jsonl", MANIFEST):
        at = places[name] + 5
        saved.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        refused(empty, saved, "is no whole backup")


def test_a_backup_of_a_newer_workbench_is_refused(empty: Checkout, saved: Path) -> None:
    newer = rewritten(saved, lambda members: None, version=ARCHIVE_VERSION + 1)
    refused(empty, newer, f"has version {ARCHIVE_VERSION + 1}", "update the workbench")


def test_a_ledger_of_a_newer_workbench_is_refused(
    source: Checkout, empty: Checkout, tmp_path: Path
) -> None:
    with sqlite3.connect(source.paths.home / "ledger.db") as base:
        base.execute("INSERT INTO schema_version VALUES (99)")
    base.close()
    refused(empty, backup(source.paths, tmp_path / "newer.tar").file, "The ledger has version 99")


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "/tmp/outside",
        "runs/../../outside",
        "runs/a/../../../outside",
        "bundles/./x",
        "elsewhere/x",
        "cache/files/md5/../../../outside",
        "cache/tmp/x",
        "notebooks.token",
        ".dvc/config",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(empty: Checkout, saved: Path, name: str) -> None:
    bad = rewritten(saved, lambda members: members.update({name: b"x"}))
    refused(empty, bad, "does not belong into a backup")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_a_link_or_a_device_is_refused(empty: Checkout, saved: Path, kind: bytes) -> None:
    with tarfile.open(saved) as tar:
        members = [(m, tar.extractfile(m)) for m in tar.getmembers()]
        read = [(m, f.read() if f else b"") for m, f in members]
    bad = saved.with_name("linked.tar")
    with tarfile.open(bad, "w") as tar:
        for member, content in read:
            if member.name == PASSPORTS:
                member.type, member.linkname, member.size = kind, "/etc/passwd", 0
            tar.addfile(member, io.BytesIO(content))
    refused(empty, bad, "does not belong into a backup")


def test_a_bundle_or_object_that_is_not_what_its_name_says_is_refused(
    empty: Checkout, saved: Path
) -> None:
    forged = f"cache/files/md5/aa/{'b' * 30}"
    bad = rewritten(saved, lambda members: members.update({forged: b"x"}))
    refused(empty, bad, "is not what its name says")

    def swap(members: dict[str, bytes]) -> None:
        one = next(n for n in members if n.startswith("bundles/") and n.endswith("card.md"))
        members[one] = b"another card"

    with pytest.raises(Exception, match=r"card\.md"):
        restore(empty.paths, rewritten(saved, swap))
    assert not empty.paths.bundles.exists()


@pytest.mark.parametrize("content", [b"", b"no tar", b"PK\x03\x04 a zip?" * 999])
def test_another_file_is_no_backup(empty: Checkout, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(content)
    refused(empty, tmp_path / "x.tar", "is no whole backup")
    refused(empty, tmp_path / "none.tar", "There is no file")


def test_restoring_twice_changes_nothing(empty: Checkout, saved: Path) -> None:
    restore(empty.paths, saved)
    before = {part: digest_folder(empty.paths.home / part) for part in ("runs", "bundles")}

    again = restore(empty.paths, saved)

    assert (again.added, again.rows, again.left, again.replaced) == (0, 0, [], [])
    assert before == {part: digest_folder(empty.paths.home / part) for part in before}


def test_what_was_added_here_since_the_backup_stays(source: Checkout, saved: Path) -> None:
    with (source.paths.home / PASSPORTS).open("ab") as file:
        file.write(b'{"id":"3"}\n')
    rollback(source.paths, "fraud", reason="too eager")
    source.train(1.9)
    sync(source.paths, SITE)
    log = source.paths.release_log("fraud").read_bytes()

    done = restore(source.paths, saved)

    assert (done.added, done.left, done.replaced) == (0, [], [])
    assert source.paths.release_log("fraud").read_bytes() == log
    assert (source.paths.home / PASSPORTS).read_bytes().endswith(b'{"id":"3"}\n')
    back = champion(source.paths, "fraud")
    assert back is not None
    assert read_pointer(source.paths.pointer).pipelines["fraud"]["champion"].release == back.number
    assert len(Ledger(source.paths.ledger_url).rows()) == 3


def test_what_was_lost_or_cut_here_comes_back(source: Checkout, saved: Path) -> None:
    passports, log = source.paths.home / PASSPORTS, source.paths.release_log("fraud")
    whole = {file: file.read_bytes() for file in (passports, log)}
    passports.write_bytes(whole[passports][:11])
    log.unlink()
    first = read_json(source.paths.pointer)["pipelines"]["fraud"]["champion"]["digest"]
    (source.paths.bundles / first / "card.md").write_text("altered")
    (source.paths.home / "ledger.db").unlink()

    done = restore(source.paths, saved)

    assert {file: file.read_bytes() for file in whole} == whole
    assert done.replaced == [f"bundles/{first}/card.md"]
    assert done.rows == 2
    assert sync_registry(source.paths).problems == ()


def test_what_differs_stays_and_is_named_and_with_replace_steps_aside(
    source: Checkout, saved: Path
) -> None:
    passports = source.paths.home / PASSPORTS
    passports.write_bytes(b'{"id":"other"}\n')

    left = restore(source.paths, saved)

    assert (left.left, left.aside) == ([PASSPORTS], None)
    assert passports.read_bytes() == b'{"id":"other"}\n'

    taken = restore(source.paths, saved, replace=True)

    assert taken.left == []
    assert set(taken.replaced) == {PASSPORTS, "ledger.db", "mlflow.db"}
    assert passports.read_bytes() == b'{"id":"1"}\n{"id":"2"}\n'
    assert taken.aside is not None
    assert (taken.aside / PASSPORTS).read_bytes() == b'{"id":"other"}\n'
    with sqlite3.connect(taken.aside / "ledger.db") as base:
        assert base.execute("SELECT count(*) FROM usage").fetchone() == (2,)
    base.close()


def test_a_run_that_was_under_way_ends_as_failed_elsewhere_and_as_it_was_here(
    source: Checkout, empty: Checkout, tmp_path: Path
) -> None:
    run = source.begin(1.9)
    file = backup(source.paths, tmp_path / "running.tar").file
    run.close("finished", window=None)

    restore(source.paths, file)
    restore(empty.paths, file)

    assert read_json(source.paths.runs / run.id / "record.json")["state"] == "finished"
    assert sync(empty.paths, SITE).reaped == 1
    assert read_json(empty.paths.runs / run.id / "record.json")["state"] == "failed"


def test_a_restore_waits_for_no_run_and_disturbs_none(empty: Checkout, saved: Path) -> None:
    with (
        hold(empty.paths.lock("repro"), "`workbench repro` of this checkout"),
        pytest.raises(BusyError, match="repro"),
    ):
        restore(empty.paths, saved)
    assert not empty.paths.runs.exists()


def test_a_release_log_without_its_bundle_says_so_and_serves_nothing(
    empty: Checkout, saved: Path
) -> None:
    def without(members: dict[str, bytes]) -> None:
        for name in [n for n in members if n.startswith("bundles/")]:
            del members[name]
        del members["serving.json"]

    done = restore(empty.paths, rewritten(saved, without))
    assert "its bundle" in done.notes[0]
    assert not empty.paths.pointer.exists()


def test_markup_and_newlines_in_names_come_back_as_they_were(
    source: Checkout, empty: Checkout, tmp_path: Path
) -> None:
    odd = source.paths.predictions / "<b>ü💥'\"\n;" / "2026-11-02.jsonl"
    odd.parent.mkdir()
    odd.write_text("{}\n")
    restore(empty.paths, backup(source.paths, tmp_path / "odd.tar").file)
    assert (empty.paths.predictions / odd.parent.name / odd.name).read_text() == "{}\n"


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgres_url() as url:
        yield url


def test_a_ledger_on_postgresql_travels_and_comes_back(
    source: Checkout,
    empty: Checkout,
    tmp_path: Path,
    postgres: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = Ledger(source.paths.ledger_url).rows()
    copy_rows(source.paths.ledger_url, postgres)
    os.remove(source.paths.home / "ledger.db")
    monkeypatch.setenv("WORKBENCH_LEDGER_URL", postgres)
    file = backup(source.paths, tmp_path / "server.tar").file
    monkeypatch.delenv("WORKBENCH_LEDGER_URL")

    assert restore(empty.paths, file).rows == 2

    found = Ledger(empty.paths.ledger_url).rows()
    assert [{**row, "id": 0} for row in found] == [{**row, "id": 0} for row in rows]
    monkeypatch.setenv("WORKBENCH_LEDGER_URL", postgres)
    assert restore(empty.paths, file).rows == 0


def test_a_release_made_elsewhere_since_is_a_difference_that_is_named(
    source: Checkout, empty: Checkout, saved: Path
) -> None:
    restore(empty.paths, saved)
    other = read_log(empty.paths, "fraud")[0]
    log = empty.paths.release_log("fraud")
    log.unlink()
    append(empty.paths, "fraud", [other])
    write_json(log.with_name("note.json"), {})
    log.write_text(log.read_text().replace('"user":"', '"user":"another '))
    assert restore(empty.paths, saved).left == ["releases/fraud.jsonl"]
