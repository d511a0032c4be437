from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
import time

import duckdb
import pyarrow.parquet as pq
import pytest

from tests.storage.predictions.conftest import logged, passport
from workbench.core.deploy import Log
from workbench.core.errors import StateError
from workbench.storage.predictions import caretaker, compaction, places
from workbench.storage.predictions.compaction import compact
from workbench.storage.predictions.passport import DAY_S, date_of
from workbench.storage.predictions.reading import find_passport, scan

HOUR_S = 3700.0


def later(paths, **how) -> int:
    """Compact an hour later, when every segment is due."""
    return compact(paths.predictions, now_s=time.time() + HOUR_S, **how)


def names(paths) -> list[str]:
    """Files of partitions by their ending."""
    return sorted(f.suffix for f in paths.predictions.glob("day=*/*/*") if f.is_file())


def test_closed_segments_become_parquet_and_say_the_same(paths, log):
    many = logged(log, 50) + logged(log, 50, pipeline="shop", warnings=("'age' is new",))
    before = [find_passport(paths, one.id) for one in many]
    log.close()
    assert later(paths) == 2
    assert names(paths) == [".ids", ".ids", ".parquet", ".parquet"]
    assert [find_passport(paths, one.id) for one in many] == before == many
    assert list(scan(paths, "fraud")) == many[:50]


def test_duckdb_reads_the_log_by_day_and_pipeline(paths, log):
    many = logged(log, 3) + logged(log, 2, pipeline="shop", logged="sampled out")
    log.close()
    later(paths)
    with duckdb.connect() as connection:
        rows = connection.execute(
            "select day::varchar, pipeline, release, caller, rows, logged, "
            "json_extract(inputs, '$.amount[0]')::double, epoch_ms(time), id "
            "from read_parquet($1, hive_partitioning = true) order by id",
            [f"{paths.predictions}/day=*/pipeline=*/*.parquet"],
        ).fetchall()
    day = date_of(many[0].time_s)
    assert rows[0] == (day, "fraud", 1, "local", 2, "full", 1.5, rows[0][7], many[0].id)
    assert rows[0][7] == round(many[0].time_s * 1000)
    assert [row[1] for row in rows] == ["fraud"] * 3 + ["shop"] * 2
    assert rows[-1][5] == "sampled out"


def test_a_reader_of_the_whole_folder_meets_parquet_only(paths, log):
    logged(log, 3)
    log.close()
    later(paths)
    assert pq.read_table(paths.predictions).num_rows == 3


def test_a_segment_that_is_written_to_is_left_alone(paths, log):
    many = logged(log, 3)
    assert later(paths) == 0
    assert names(paths) == [".jsonl"]
    log.close()
    assert compact(paths.predictions) == 0  # not due either: the next process goes on with it
    assert list(scan(paths, "fraud")) == many


def test_a_segment_of_yesterday_is_due(paths, log):
    (one,) = logged(log)
    log.close()
    midnight_s = (one.time_s // DAY_S + 1) * DAY_S
    assert compact(paths.predictions, now_s=midnight_s + 1) == 1


def test_torn_lines_stay_behind_and_a_segment_of_nothing_else_goes(paths, opened):
    log = opened()
    many = logged(log, 2)
    logged(log, pipeline="shop")
    log.close()
    for file in paths.predictions.glob("day=*/*/_*.jsonl"):
        if "shop" in str(file):
            file.write_bytes(b'{"id":"01')
        else:
            file.write_bytes(file.read_bytes() + b'{"id":"01')
    later(paths)
    assert names(paths) == [".ids", ".parquet"]
    assert list(scan(paths, "fraud")) == many


def test_what_is_compacted_is_private_to_its_owner(paths, log):
    logged(log)
    log.close()
    later(paths)
    for file in paths.predictions.rglob("*"):
        assert stat.S_IMODE(file.stat().st_mode) == (0o700 if file.is_dir() else 0o600)


def test_two_at_once_do_not_do_the_work_twice(paths, log):
    logged(log)
    log.close()
    with compaction._alone(paths.predictions) as alone:
        assert alone
        assert later(paths) == 0
    assert later(paths) == 1


def test_a_copy_of_the_log_may_be_made_without_files_moving_under_it(paths, log):
    logged(log)
    log.close()
    with compaction.paused(paths.predictions):
        assert later(paths) == 0
        assert names(paths) == [".jsonl"]
    assert later(paths) == 1
    with compaction.paused(paths.home / "none"):
        assert not (paths.home / "none").exists()


KILLED = """
import os, shutil, sys, time
from pathlib import Path
import pyarrow.compute, pyarrow.parquet
from workbench.storage.predictions.compaction import compact

folder, now_s = Path(sys.argv[1]), float(sys.argv[2])
STEPS = {"open", "os.rename", "os.remove", "os.rmdir", "fcntl.flock", "shutil.rmtree"}
for step in range(1, 1000):
    case = folder.with_name(f"case-{step}")
    shutil.copytree(folder, case)
    child = os.fork()
    if child == 0:
        seen = [0]
        def watch(event, arguments):
            ours = event == "fcntl.flock" or str(case) in str(arguments[0] if arguments else "")
            if event in STEPS and ours:
                seen[0] += 1
                if seen[0] == step:
                    os.kill(os.getpid(), 9)
        sys.addaudithook(watch)
        compact(case, {}, now_s)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        print(step)
        break
"""


def test_a_kill_at_any_step_loses_and_doubles_nothing(paths, log, tmp_path):
    many = logged(log, 3)
    log.close()
    now_s = time.time() + HOUR_S
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(paths.predictions), str(now_s)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    steps = int(done.stdout)
    assert steps > 12
    for step in range(1, steps + 1):
        case = type(paths)(tmp_path, tmp_path / f"home-{step}")
        case.home.mkdir()
        paths.predictions.with_name(f"case-{step}").rename(case.predictions)
        for _ in range(2):  # as it was left, and after the next compaction
            assert list(scan(case, "fraud")) == many, f"killed at step {step}"
            assert [find_passport(case, one.id) for one in many] == many
            compact(case.predictions, now_s=now_s)
        assert names(case) == [".ids", ".parquet"]
        assert not list(case.predictions.glob("day=*/*/.*"))


def test_a_writer_never_goes_on_with_a_segment_that_is_parquet_already(paths, opened):
    log = opened()
    one = logged(log)
    log.close()
    (hot,) = paths.predictions.glob("day=*/*/_*.jsonl")
    content = hot.read_bytes()
    later(paths)
    hot.write_bytes(content)  # as a kill leaves it, and as a backup brings it back
    two = logged(opened())
    assert sorted(scan(paths, "fraud"), key=lambda p: p.id) == one + two
    assert hot.read_bytes() == content


def test_old_lines_that_a_backup_brings_back_do_not_replace_their_parquet(paths, log):
    many = logged(log, 3)
    log.close()
    (hot,) = paths.predictions.glob("day=*/*/_*.jsonl")
    early = hot.read_bytes().splitlines(keepends=True)[0]
    later(paths)
    hot.write_bytes(early)
    assert list(scan(paths, "fraud")) == many
    compact(paths.predictions)
    assert names(paths) == [".ids", ".parquet"]
    assert list(scan(paths, "fraud")) == many


def test_a_disk_that_is_full_leaves_lines_and_says_so(paths, log, monkeypatch):
    many = logged(log, 3)
    log.close()

    def full(_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(compaction.os, "fsync", full)
    with pytest.raises(StateError, match="No space left"):
        later(paths)
    assert names(paths) == [".jsonl"]
    assert list(scan(paths, "fraud")) == many
    monkeypatch.undo()
    assert later(paths) == 1


def test_what_is_older_than_its_pipeline_keeps_is_removed(paths, log):
    many = {}
    for pipeline in ("fraud", "shop"):
        for days in (1, 10, 100):
            at_s = time.time() - days * DAY_S
            many[pipeline, days] = passport(log, pipeline, at_s=at_s)
            log.append(many[pipeline, days])
    log.close()
    old = paths.predictions / "fraud" / f"{date_of(time.time() - 50 * DAY_S)}.jsonl"
    old.parent.mkdir()
    old.write_bytes(b"{}\n")
    compact(paths.predictions, {"fraud": 5, "shop": 30})
    kept = {key for key in many if list(scan(paths, key[0])).count(many[key])}
    assert kept == {("fraud", 1), ("shop", 1), ("shop", 10)}
    assert not old.parent.exists()
    assert not (paths.predictions / f"day={date_of(time.time() - 100 * DAY_S)}").exists()


def until(holds) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_open_log_has_closed_segments_compacted_beside_it(paths, opened, monkeypatch):
    monkeypatch.setattr(caretaker, "FIRST_S", 0.0)
    monkeypatch.setattr(caretaker, "PAUSE_S", 0.0)
    monkeypatch.setattr(places, "AGE_S", -HOUR_S)  # in the writer; the child sees real ones
    log = opened(lambda _: Log(keep_days=5), compacting=True)
    old = passport(log, at_s=time.time() - 2 * DAY_S)
    log.append(old)
    until(lambda: ".parquet" in names(paths))
    assert find_passport(paths, old.id) == old
    assert log.trouble == ""


def test_a_compaction_that_fails_is_said_until_one_goes_well(paths, opened, monkeypatch, caplog):
    monkeypatch.setattr(caretaker, "FIRST_S", 0.0)
    monkeypatch.setattr(caretaker.sys, "executable", "/nowhere/python")
    log = opened(compacting=True)
    with caplog.at_level(logging.WARNING):
        log.append(passport(log))
        until(lambda: log.trouble)
    assert "stay lines of JSON" in log.trouble
    assert "stay lines of JSON" in caplog.text


def test_the_program_says_in_a_sentence_what_failed(paths, log):
    logged(log)
    log.close()
    (hot,) = paths.predictions.glob("day=*/*/_*.jsonl")
    stem = f"{int((time.time() - 2 * HOUR_S) * 1000):012x}-000000-00000000"
    hot = hot.rename(hot.with_name(f"_{stem}.jsonl"))
    (hot.parent / f".{stem}.parquet.part").mkdir()
    (hot.parent / f".{stem}.parquet.part" / "in the way").touch()
    done = subprocess.run(
        [sys.executable, "-m", compaction.__name__, str(paths.predictions)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("The prediction log is not all compact: fraud, 2")
    assert done.stderr.count("\n") == 1
