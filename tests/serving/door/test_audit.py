"""The audit log: bounded, counted, and without a secret."""

from __future__ import annotations

import json

import pytest

from workbench.serving.door import audit as module
from workbench.serving.door.audit import MAX_KINDS, Audit, note


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    now = [6000.0]
    monkeypatch.setattr(module.time, "time", lambda: now[0])
    return now


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_refusals_of_one_kind_are_one_line_at_once_and_one_when_the_minute_is_over(paths, clock):
    audit = Audit(paths.audit)
    for _ in range(500):
        audit.refused("192.0.2.1", "wrong key", "phone")
    (first,) = lines(paths.audit)
    assert (first["event"], first["address"], first["count"]) == ("refused", "192.0.2.1", 1)
    clock[0] += 60
    audit.turn()
    audit.turn(closing=True)
    assert [line["count"] for line in lines(paths.audit)] == [1, 499]


def test_an_attack_from_many_addresses_does_not_fill_the_disk(paths, clock):
    audit = Audit(paths.audit)
    for n in range(5000):
        audit.refused(f"2001:db8::{n:x}", "no key")
    audit.turn(closing=True)
    found = lines(paths.audit)
    assert len(found) == MAX_KINDS + 2
    assert sum(line["count"] for line in found) == 5000
    assert {line["address"] for line in found[-2:]} == {"others"}


def test_a_key_in_an_address_is_cut_to_its_id(paths):
    secret = "wb_0123abcd_" + "ef" * 32
    Audit(paths.audit).admin("boss", "192.0.2.1", "POST", f"/v2/repository/models/{secret}/load")
    (line,) = lines(paths.audit)
    assert line["path"] == "/v2/repository/models/wb_0123abcd_***/load"


def test_what_a_client_sends_cannot_forge_a_line(paths):
    Audit(paths.audit).admin("boss", "192.0.2.1", "POST", '/x\n{"event":"key added"}')
    (line,) = lines(paths.audit)
    assert line["event"] == "admin"


def test_a_log_that_cannot_be_written_stops_nobody_and_is_said(paths, clock, caplog):
    paths.home.mkdir()
    paths.audit.mkdir()
    audit = Audit(paths.audit)
    audit.refused("192.0.2.1", "no key")
    audit.refused("192.0.2.2", "no key")
    assert "cannot be written: Is a directory" in audit.trouble
    assert len(caplog.records) == 1
    paths.audit.rmdir()
    audit.refused("192.0.2.3", "no key")
    assert audit.trouble == ""
    with pytest.raises(OSError, match="Is a directory"):
        note(paths.home, "key added")
