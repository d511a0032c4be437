from __future__ import annotations

import logging
import stat

import pytest

from workbench.serving import passport as module
from workbench.serving.passport import Passport, PassportLog, find_passport, read_passports


def passport(log: PassportLog, pipeline: str = "fraud") -> Passport:
    id = log.next_id()
    return Passport(
        id=id,
        time_s=int(id[:12], 16) / 1000,
        pipeline=pipeline,
        alias="champion",
        digest="d" * 64,
        release=1,
        run_id="run",
        inputs={"amount": [1.5, None], "country": ["de", "fr"]},
        outputs={"score": [0.25, 0.5]},
        latency_ms=0.1,
    )


@pytest.fixture
def log(paths):
    log = PassportLog(paths.predictions)
    yield log
    log.close()


def test_what_was_appended_before_closing_is_found(paths, log):
    many = [passport(log, name) for name in ("fraud", "shop") for _ in range(100)]
    for one in many:
        log.append(one)
    log.close()
    assert [find_passport(paths, one.id) for one in many] == many
    assert log.dropped == 0


def test_rows_read_as_the_client_sent_them(log):
    assert passport(log).rows == [
        {"amount": 1.5, "country": "de"},
        {"amount": None, "country": "fr"},
    ]


def test_ids_are_unique_and_sort_by_order_even_if_the_clock_goes_back(log, monkeypatch):
    ids = [log.next_id() for _ in range(1000)]
    monkeypatch.setattr(module.time, "time_ns", lambda: 0)
    ids += [log.next_id() for _ in range(1000)]
    assert sorted(set(ids)) == ids


def test_a_torn_line_costs_itself_and_no_neighbour(paths, log):
    first = passport(log)
    log.append(first)
    log.close()
    (file,) = (paths.predictions / "fraud").iterdir()
    with file.open("ab") as torn:
        torn.write(b'{"id":"0000')
    again = PassportLog(paths.predictions)
    second = passport(again)
    again.append(second)
    again.close()
    assert list(read_passports(file)) == [first, second]


def test_too_many_waiting_are_dropped_and_counted(paths, log, monkeypatch):
    monkeypatch.setattr(module, "LIMIT_BYTES", 1000)
    many = [passport(log) for _ in range(20)]
    for one in many:
        log.append(one)
    log.close()
    (file,) = (paths.predictions / "fraud").iterdir()
    kept = list(read_passports(file))
    assert 0 < len(kept) < 20
    assert len(kept) + log.dropped == 20
    assert kept == many[: len(kept)]


def test_what_cannot_be_written_is_said_and_written_when_it_can(paths, log, caplog):
    paths.predictions.mkdir(parents=True)
    (paths.predictions / "fraud").write_text("a file where the folder belongs")
    one = passport(log)
    with caplog.at_level(logging.WARNING):
        log.append(one)
        log._flush()
    assert "passports cannot be written" in log.trouble
    assert "passports cannot be written" in caplog.text
    (paths.predictions / "fraud").unlink()
    log.close()
    assert find_passport(paths, one.id) == one
    assert (log.trouble, log.dropped) == ("", 0)


def test_what_comes_while_the_last_batch_is_written_is_written_too(paths, log, monkeypatch):
    append, late = module._append, passport(log)

    def append_slowly(path, lines) -> None:
        monkeypatch.setattr(module, "_append", append)
        log.append(late)
        log._closing.set()
        append(path, lines)

    monkeypatch.setattr(module, "_append", append_slowly)
    first = passport(log)
    log.append(first)
    log._writer.join(10)
    assert [find_passport(paths, one.id) for one in (first, late)] == [first, late]


def test_only_the_owner_may_read_what_people_asked(paths, log):
    log.append(passport(log))
    log.close()
    (file,) = paths.predictions.glob("*/*.jsonl")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for folder in (file.parent, paths.predictions, paths.home):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
