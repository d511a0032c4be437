from __future__ import annotations

import json
import logging
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from workbench.core.deploy import Alerts
from workbench.monitoring import webhook
from workbench.monitoring.alerts import QUIET_S, Alert, Desk, read_alerts

DRIFT = Alert("fraud", "drift:input:amount", "warning", "It <b>drifted</b> 💥'\n", 100.0, 0.5, 0.2)


class Receiver:
    """A real HTTP server that keeps what is posted; statuses: what it answers, one after another.

    Once they are used up, 200.
    """

    def __init__(self) -> None:
        self.bodies: list[dict] = []
        self.statuses: list[int] = []
        self.some = threading.Semaphore(0)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.bodies.append(json.loads(body))
                status = receiver.statuses.pop(0) if receiver.statuses else 200
                self.send_response(status)
                if status == 302:
                    self.send_header("location", f"{receiver.address}/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()
                receiver.some.release()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def wait(self, count: int) -> list[dict]:
        for _ in range(count):
            assert self.some.acquire(timeout=20)
        return self.bodies


@pytest.fixture
def receiver(monkeypatch) -> Iterator[Receiver]:
    made = Receiver()
    monkeypatch.setenv("ALERTS_TO", made.address)
    monkeypatch.setattr(webhook, "WAITS_S", (0.01, 0.01, 0.01))
    yield made
    made.server.shutdown()
    made.thread.join()
    made.server.server_close()


def desk_at(folder, **settings) -> Desk:
    return Desk(folder, lambda pipeline: Alerts(**settings))


def states(said: list[Alert]) -> list[str]:
    return [alert.state for alert in said]


def test_an_alert_is_said_once_again_after_a_while_and_when_it_is_over(tmp_path):
    desk = desk_at(tmp_path, again_minutes=60)
    assert states(desk.settle([DRIFT], 100)) == ["open"]
    assert desk.settle([DRIFT], 101) == []
    assert desk.settle([DRIFT], 3699) == []
    assert states(desk.settle([DRIFT], 3700)) == ["again"]
    assert desk.settle([], 3701) == []
    (over,) = desk.settle([], 3700 + QUIET_S)
    assert (over.state, over.since_s) == ("ended", 100)
    assert over.sentence.startswith("Over after 61 minutes")
    assert desk.open() == []


def test_what_flickers_is_one_alert(tmp_path):
    desk = desk_at(tmp_path)
    said = [desk.settle([DRIFT] if second % 30 == 0 else [], second) for second in range(300)]
    assert [states(one) for one in said if one] == [["open"]]


def test_what_became_critical_is_said_at_once(tmp_path):
    desk = desk_at(tmp_path)
    desk.settle([DRIFT], 100)
    (worse,) = desk.settle([replace(DRIFT, severity="critical")], 101)
    assert (worse.state, worse.since_s) == ("again", 100)


def test_a_restart_neither_repeats_nor_forgets(tmp_path):
    desk_at(tmp_path).settle([DRIFT], 100)
    again = desk_at(tmp_path)
    assert again.settle([DRIFT], 102) == []
    assert [alert.key for alert in again.open("fraud")] == [DRIFT.key]
    assert states(desk_at(tmp_path).settle([], 102 + QUIET_S)) == ["ended"]


def test_what_could_not_be_looked_at_stays_open(tmp_path):
    desk = desk_at(tmp_path)
    desk.settle([DRIFT], 100)
    assert desk.settle([], 100 + 10 * QUIET_S, unknown=["fraud"]) == []
    assert len(desk.open()) == 1


def test_a_damaged_state_is_said_and_begun_anew(tmp_path, caplog):
    (tmp_path / "alerts-open.json").write_text("{")
    assert states(desk_at(tmp_path).settle([DRIFT], 1)) == ["open"]
    assert "alerts-open.json cannot be read" in caplog.text


def test_each_is_a_line_of_a_file_that_only_its_owner_reads(tmp_path):
    desk = desk_at(tmp_path / "monitoring", file="said.jsonl")
    desk.settle([DRIFT], 100)
    desk.settle([], 100 + QUIET_S)
    file = tmp_path / "monitoring" / "said.jsonl"
    assert len(file.read_text().splitlines()) == 2
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert states(read_alerts(file)) == ["ended", "open"]
    assert read_alerts(file)[1].sentence == DRIFT.sentence
    assert read_alerts(tmp_path / "none") == []


def test_each_is_logged_with_all_that_is_known_of_it(tmp_path, caplog):
    caplog.set_level(logging.INFO, "workbench")
    desk = desk_at(tmp_path)
    desk.settle([DRIFT, replace(DRIFT, what="availability", severity="critical")], 100)
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
    assert caplog.records[0].fields["alert"]["what"] == DRIFT.what


def test_a_full_disk_keeps_no_other_receiver_from_hearing_of_it(tmp_path, receiver, caplog):
    (tmp_path / "alerts.jsonl").mkdir()
    desk = desk_at(tmp_path, webhook_env="ALERTS_TO")
    desk.settle([DRIFT], 100)
    assert receiver.wait(1)[0]["what"] == DRIFT.what
    desk.close()
    assert "alerts cannot be written" in caplog.text


def test_the_webhook_gets_what_is_new_and_what_is_over_as_json(tmp_path, receiver):
    desk = desk_at(tmp_path, webhook_env="ALERTS_TO")
    desk.settle([DRIFT], 100)
    desk.settle([DRIFT], 101)
    desk.settle([], 101 + QUIET_S)
    first, last = receiver.wait(2)
    desk.close()
    assert (first["state"], last["state"]) == ("open", "ended")
    assert first["sentence"] == DRIFT.sentence
    assert (first["value"], first["limit"]) == (0.5, 0.2)


def test_nobody_is_woken_for_a_rehearsal(tmp_path, receiver):
    desk = desk_at(tmp_path, webhook_env="ALERTS_TO")
    desk.settle([replace(DRIFT, rehearsal=True), replace(DRIFT, what="real")], 100)
    desk.close()
    assert [body["what"] for body in receiver.bodies] == ["real"]
    assert len(read_alerts(tmp_path / "alerts.jsonl")) == 2


def test_a_receiver_that_fails_is_tried_again(tmp_path, receiver):
    receiver.statuses = [500, 503]
    desk = desk_at(tmp_path, webhook_env="ALERTS_TO")
    desk.settle([DRIFT], 100)
    assert len(receiver.wait(3)) == 3
    desk.close()


def test_one_that_sends_elsewhere_is_not_followed_and_the_address_is_not_told(
    tmp_path, receiver, caplog
):
    receiver.statuses = [302] * 4
    desk = desk_at(tmp_path, webhook_env="ALERTS_TO")
    desk.settle([DRIFT], 100)
    receiver.wait(4)
    desk.close()
    assert "address in ALERTS_TO: it answered 302" in caplog.text
    assert receiver.address not in caplog.text


@pytest.mark.parametrize("address", ["", "file:///etc/passwd", "http://127.0.0.1:1/secret"])
def test_an_address_that_cannot_be_reached_is_said_without_telling_it(
    tmp_path, monkeypatch, caplog, address
):
    monkeypatch.setenv("ALERTS_TO", address)
    monkeypatch.setattr(webhook, "WAITS_S", ())
    desk = desk_at(tmp_path, webhook_env="ALERTS_TO")
    desk.settle([DRIFT], 100)
    desk.close()
    assert "an alert could not be posted to the address in ALERTS_TO" in caplog.text
    assert "secret" not in caplog.text
    assert "passwd" not in caplog.text
