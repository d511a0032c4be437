"""Rates and budgets: exact over processes, kept over restarts, and by the month."""

from __future__ import annotations

import calendar
import subprocess
import sys
import time

import pytest

from workbench.core.errors import StateError
from workbench.serving.door.keys import Allowance, Key, add_key, read_keys
from workbench.serving.door.uses import Meter, Over, Uses, meter_of, read_uses

NOON = calendar.timegm((2026, 11, 24, 12, 0, 0))
NEXT_MONTH = calendar.timegm((2026, 12, 1, 0, 0, 0))


@pytest.fixture
def uses(paths):
    opened = Uses(paths.key_uses, 2)
    yield opened
    opened.close()


def meter(place: int = 0, id: int = 7, **allowance) -> Meter:
    return Meter(place * 64, id, Allowance(**allowance))


def test_a_rate_allows_its_number_at_once_then_one_by_one(uses):
    one = meter(rate_per_minute=30)
    taken = [uses.take(one, NOON) for _ in range(31)]
    assert taken == [None] * 30 + [Over("30 requests a minute", 2.0)]
    assert uses.take(one, NOON + 1.9) is not None
    assert uses.take(one, NOON + 2.0) is None
    assert uses.take(one, NOON + 2.0) is not None
    assert [uses.take(one, NOON + 600) for _ in range(31)].count(None) == 30


def test_who_waits_as_long_as_told_is_let_in(uses):
    for rate in (1, 7, 60, 999):
        one = meter(id=rate, rate_per_minute=rate)
        now = NOON + 0.123
        while (over := uses.take(one, now)) is None:
            pass
        assert uses.take(one, now + max(1, -(-over.wait_s // 1))) is None


def test_a_clock_that_is_put_back_gives_nothing_and_locks_nobody_out(uses):
    one = meter(rate_per_minute=2)
    assert [uses.take(one, NOON) for _ in range(3)][:2] == [None, None]
    assert uses.take(one, NOON - 3600) is not None
    assert uses.take(one, NOON + 30) is None


def test_a_monthly_number_of_requests_holds_until_the_next_month(uses):
    one = meter(requests_per_month=3)
    assert [uses.take(one, NOON) for _ in range(3)] == [None] * 3
    assert uses.take(one, NOON) == Over("3 requests of this month", NEXT_MONTH - NOON)
    assert uses.take(one, NEXT_MONTH - 1) == Over("3 requests of this month", 1)
    assert [uses.take(one, NEXT_MONTH) for _ in range(4)].count(None) == 3
    new_year = calendar.timegm((2027, 1, 1, 0, 0, 0))
    assert uses.take(one, new_year - 1) == Over("3 requests of this month", 1)
    assert uses.take(one, new_year) is None


def test_what_was_refused_is_not_counted(uses, paths):
    one = meter(rate_per_minute=1, requests_per_month=2)
    now = time.time()
    assert uses.take(one, now) is None
    assert uses.take(one, now) is not None
    assert uses.take(one, now + 60) is None
    assert uses.take(one, now + 120) == Over(
        "2 requests of this month", pytest.approx(1.6e6, abs=2e6)
    )


def test_costs_are_counted_against_the_budget_of_the_month(uses):
    one = meter(usd_per_month=0.01)
    now = time.time()
    assert uses.take(one, now) is None
    for _ in range(10):
        uses.charge(one, 0.001)
    uses.add()
    over = uses.take(one, now)
    assert over is not None
    assert over.limit == "0.01 USD of this month"
    assert uses.take(one, now + 32 * 86400) is None


def test_a_key_without_limits_is_counted_all_the_same(uses, paths):
    key, _ = add_key(paths, "phone")
    one = meter_of(key, 0)
    now = time.time()
    for _ in range(1000):
        assert uses.take(one, now) is None
    uses.charge(one, 0.25)
    uses.charge(one, 0.25)
    uses.add()
    uses.add()
    (use,) = read_uses(paths.key_uses, (key,), now)
    assert use is not None
    assert (use.requests, use.usd, use.last_s) == (1000, 0.5, now)


def test_counts_survive_a_restart(paths):
    key, _ = add_key(paths, "phone", allowance=Allowance(requests_per_month=5, rate_per_minute=9))
    for _ in range(2):
        uses = Uses(paths.key_uses, 1)
        assert [uses.take(meter_of(key, 0), time.time()) for _ in range(2)] == [None, None]
        uses.close()
    (use,) = read_uses(paths.key_uses, (key,), time.time())
    assert use is not None
    assert use.requests == 4
    assert use.tokens == pytest.approx(5, abs=0.5)


def test_places_are_apart_and_another_key_begins_anew(uses, paths):
    first, second, other = meter(0, 1, requests_per_month=1), meter(1, 2, requests_per_month=1), 3
    assert uses.take(first, NOON) is None
    assert uses.take(second, NOON) is None
    assert uses.take(first, NOON) is not None
    assert uses.take(meter(0, other, requests_per_month=1), NOON) is None


def test_it_grows_with_the_keys_and_keeps_what_it_has(uses):
    one, far = meter(0, 1, requests_per_month=1), meter(500, 2, requests_per_month=1)
    assert uses.take(one, NOON) is None
    uses.grow(501)
    assert uses.take(far, NOON) is None
    assert uses.take(one, NOON) is not None


def test_a_place_that_cannot_be_written_is_said(paths):
    paths.home.mkdir()
    paths.key_uses.mkdir()
    with pytest.raises(StateError, match="Is a directory"):
        Uses(paths.key_uses, 1)


ASK = """
import sys, time
from pathlib import Path
from workbench.serving.door.keys import read_keys
from workbench.serving.door.uses import Uses, meter_of

keys = read_keys(Path(sys.argv[1]))
uses = Uses(Path(sys.argv[2]), 1)
one = meter_of(keys.keys[0], 0)
print("ready", flush=True)
sys.stdin.readline()
print(sum(uses.take(one, time.time()) is None for _ in range(3000)), flush=True)
"""


@pytest.mark.parametrize("limit", ["requests_per_month", "rate_per_minute"])
def test_two_processes_share_one_limit_to_the_request(paths, limit):
    add_key(paths, "phone", allowance=Allowance(**{limit: 4000}))
    command = [sys.executable, "-c", ASK, str(paths.keys), str(paths.key_uses)]
    asking = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in asking:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    begun = time.time()
    for process in asking:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    let_in = [int(process.communicate(timeout=60)[0]) for process in asking]
    refilled = 0 if limit == "requests_per_month" else (time.time() - begun) * 4000 / 60
    assert 4000 <= sum(let_in) <= 4000 + refilled
    keys = read_keys(paths.keys)
    assert keys is not None
    (use,) = read_uses(paths.key_uses, keys.keys, time.time())
    assert use is not None
    assert use.requests == sum(let_in)


def test_a_process_that_is_killed_loses_no_counted_request_and_holds_no_lock(paths):
    key, _ = add_key(paths, "phone", allowance=Allowance(requests_per_month=10**6))
    killed = ASK.replace("for _ in range(3000))", "for _ in iter(int, 1))")
    process = subprocess.Popen(
        [sys.executable, "-c", killed, str(paths.keys), str(paths.key_uses)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()
    while not (before := _requests(paths, key)):
        time.sleep(0.01)
    process.kill()
    process.communicate()
    after = _requests(paths, key)
    assert after >= before
    uses = Uses(paths.key_uses, 1)
    assert uses.take(meter_of(key, 0), time.time()) is None
    uses.close()
    assert _requests(paths, key) == after + 1


def _requests(paths, key: Key) -> int:
    (use,) = read_uses(paths.key_uses, (key,), time.time())
    return use.requests if use else 0
