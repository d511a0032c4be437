from __future__ import annotations

import logging
import os
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest

from tests.storage.predictions.conftest import logged, passport
from workbench.core.deploy import Log
from workbench.core.errors import StateError
from workbench.storage.predictions import log as module
from workbench.storage.predictions import places, writer
from workbench.storage.predictions.passport import date_of
from workbench.storage.predictions.places import Partition, segments
from workbench.storage.predictions.reading import find_passport, read_passports, scan


def hot(paths, pipeline="fraud"):
    return sorted(paths.predictions.glob(f"day=*/pipeline={pipeline}/_*.jsonl"))


def test_what_was_appended_before_closing_is_found(paths, log):
    many = [passport(log, name) for name in ("fraud", "shop") for _ in range(100)]
    for one in many:
        log.append(one)
    log.close()
    assert [find_passport(paths, one.id) for one in many] == many
    assert log.dropped == 0


def test_a_server_that_only_writes_loads_no_library_of_columns(paths):
    code = (
        "import sys; import workbench.storage.predictions.log; "
        "print(*({'pyarrow', 'duckdb', 'pandas', 'torch', 'mlflow'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_hostile_values_come_back_as_they_were(paths, log):
    words = ["<script>alert(1)</script>", "'; drop table x; --", '\n{"id":"', "🦊\u2028", "\0"]
    (one,) = logged(log, inputs={words[2]: [words]}, caller=words[0], warnings=tuple(words))
    assert find_passport(paths, one.id) == one


def test_one_process_after_another_adds_to_the_same_file(paths, opened):
    first = opened()
    one = logged(first)
    first.close()
    second = opened()
    two = logged(second)
    (file,) = hot(paths)
    assert list(read_passports(file)) == one + two


def test_two_processes_at_once_write_two_files_and_all_is_found(paths, opened):
    logs = opened(), opened()
    many = [one for _ in range(5) for log in logs for one in logged(log)]
    assert len(hot(paths)) == 2
    assert [find_passport(paths, one.id) for one in many] == many
    assert sorted(one.id for one in scan(paths, "fraud")) == sorted(one.id for one in many)


def test_a_torn_line_costs_itself_and_no_neighbour(paths, opened):
    log = opened()
    first = logged(log)
    log.close()
    (file,) = hot(paths)
    with file.open("ab") as torn:
        torn.write(b'{"id":"0000')
    second = logged(opened())
    assert hot(paths) == [file]
    assert list(read_passports(file)) == first + second
    assert [find_passport(paths, one.id) for one in first + second] == first + second


def test_a_full_segment_is_left_and_another_one_begun(paths, log, monkeypatch):
    monkeypatch.setattr(places, "LIMIT_BYTES", 1000)
    many = [one for _ in range(6) for one in logged(log)]
    assert 1 < len(hot(paths)) <= 6
    assert [one.id for one in scan(paths, "fraud")] == [one.id for one in many]


def test_an_old_segment_is_left_though_nobody_asks_any_more(paths, log, monkeypatch):
    logged(log)
    assert not _is_free(hot(paths)[0])
    monkeypatch.setattr(places, "AGE_S", 0.0)
    log.flush()
    assert _is_free(hot(paths)[0])


def _is_free(file) -> bool:
    descriptor = os.open(file, os.O_RDWR)
    try:
        return writer.lock(descriptor)
    finally:
        os.close(descriptor)


def test_midnight_begins_a_new_day(paths, log):
    many = [passport(log, at_s=1_795_564_799.9 + s) for s in range(2)]
    for one in many:
        log.append(one)
    log.close()
    assert [file.parent.parent.name for file in hot(paths)] == [
        "day=2026-11-24",
        "day=2026-11-25",
    ]
    assert [find_passport(paths, one.id) for one in many] == many


def test_lines_ascend_by_id_whatever_order_they_come_in(paths, log):
    many = [passport(log) for _ in range(6)]
    for batch in (many[4:], many[2:4][::-1], many[:2]):
        for one in batch:
            log.append(one)
        log.flush()
    for file in hot(paths):
        ids = [one.id for one in read_passports(file)]
        assert ids == sorted(ids)
    assert [find_passport(paths, one.id) for one in many] == many


def test_too_many_waiting_are_dropped_and_counted(paths, log, monkeypatch):
    monkeypatch.setattr(module, "LIMIT_BYTES", 1000)
    with log._writing:
        many = [passport(log) for _ in range(20)]
        for one in many:
            log.append(one)
    log.close()
    kept = list(scan(paths, "fraud"))
    assert 0 < len(kept) < 20
    assert len(kept) + log.dropped == 20
    assert kept == many[: len(kept)]


def test_what_cannot_be_written_is_said_and_written_when_it_can(paths, log, caplog):
    paths.predictions.mkdir(parents=True)
    one = passport(log)
    day = paths.predictions / f"day={date_of(one.time_s)}"
    day.write_text("a file where the folder belongs")
    with caplog.at_level(logging.WARNING):
        log.append(one)
        log.flush()
    assert "passports cannot be written" in log.trouble
    assert "passports cannot be written" in caplog.text
    with pytest.raises(StateError):
        find_passport(paths, one.id)
    day.unlink()
    log.close()
    assert find_passport(paths, one.id) == one
    assert (log.trouble, log.dropped) == ("", 0)


def test_a_disk_that_fills_up_in_the_middle_of_a_batch_doubles_nothing(paths, log, monkeypatch):
    first = logged(log)
    write, room = os.write, [700]

    def short(descriptor, content):
        """As a disk with `room` bytes left does it."""
        if not room[0]:
            raise OSError(28, os.strerror(28))
        written = write(descriptor, content[: room[0]])
        room[0] -= written
        return written

    many = [passport(log) for _ in range(5)]
    monkeypatch.setattr(writer.os, "write", short)
    for one in many:
        log.append(one)
    log.flush()
    assert os.strerror(28) in log.trouble
    assert list(scan(paths, "fraud")) == first
    monkeypatch.setattr(writer.os, "write", write)
    log.flush()
    assert log.trouble == ""
    assert list(scan(paths, "fraud")) == first + many


def test_a_log_that_somebody_deletes_is_begun_again(paths, log):
    logged(log)
    hot(paths)[0].unlink()
    later = logged(log)
    assert list(scan(paths, "fraud")) == later


def test_what_comes_while_the_last_batch_is_written_is_written_too(paths, log, monkeypatch):
    write, late = log._write, passport(log)

    def write_slowly(file, lines) -> None:
        monkeypatch.setattr(log, "_write", write)
        log.append(late)
        log._closing.set()
        write(file, lines)

    monkeypatch.setattr(log, "_write", write_slowly)
    early = passport(log)
    log.append(early)
    log._writer.join(10)
    assert sorted(one.id for one in scan(paths, "fraud")) == sorted((early.id, late.id))


def test_only_the_owner_may_read_what_people_asked(paths, opened):
    log = opened(lambda _: Log(private=("amount",)))
    logged(log)
    files = [file for file in paths.predictions.rglob("*") if file.is_file()]
    assert len(files) == 2  # the segment and the key
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for folder in (files[0].parent, paths.predictions, paths.home):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


WRITER = """
import sys, time
from pathlib import Path
from tests.storage.predictions.conftest import passport
from workbench.storage.predictions.log import PassportLog
log = PassportLog(Path(sys.argv[1]))
while True:
    one = passport(log)
    log.append(one)
    print(one.id, time.time(), flush=True)
    time.sleep(0.002)
"""


def test_a_killed_process_loses_at_most_its_last_half_second(paths, opened):
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(paths.predictions)], stdout=subprocess.PIPE, text=True
    ) as process:
        killer = threading.Timer(2.5, process.send_signal, [signal.SIGKILL])
        killer.start()
        said = [line.split() for line in process.stdout]
    killed_s = float(said[-1][1])
    kept = {one.id for one in scan(paths, "fraud")}
    # A second is the promise to people; the half that the writer takes is on top of a busy machine.
    early = [id for id, at in said if float(at) < killed_s - 1.0]
    assert early
    assert kept >= set(early)
    later = logged(opened())
    (file,) = hot(paths)
    ids = [one.id for one in read_passports(file)]
    assert sorted({*ids}) == ids
    assert ids[-1] == later[-1].id
    assert time.time() > killed_s


def test_segments_are_held_by_one_process_only(paths, opened):
    logged(opened())
    partition = Partition(date_of(time.time()), "fraud", paths.predictions)
    (there,) = segments(partition)
    assert writer._adopted(partition, there) is None
