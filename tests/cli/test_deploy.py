"""Commands that put releases on traffic, on a second model that was really trained."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Mapping
from typing import Any

import pytest

from tests.checkout import CLI, Checkout, ended
from workbench.storage.pointer import Target, Traffic, read_pointer
from workbench.storage.windows import BOUNDS_MS, ServingWindow, append_windows


@pytest.fixture(scope="module")
def second(desk: Checkout) -> Checkout:
    """Another model, trained and judged, that waits beside the champion."""
    desk.set("small.train.seed", 2)
    desk.workbench("repro", "--no-release").ok()
    said = desk.workbench("release", "small", "--challenger").ok()
    assert "release 2" in said.sentence
    assert "is the challenger." in said.sentence
    return desk


def pointed(checkout: Checkout) -> tuple[Mapping[Any, Target], Traffic | None]:
    pointer = read_pointer(checkout.paths.pointer)
    return pointer.pipelines["small"], pointer.traffic.get("small")


def test_a_challenger_gets_traffic_and_is_taken_from_it_again(second: Checkout) -> None:
    said = second.workbench("deploy", "small").ok().text
    assert "release 1 is the champion" in said
    assert "release 2 is the challenger: it waits for traffic" in said
    said = second.workbench("deploy", "small", "--canary", "0.1", "--sticky", "x-customer").ok()
    assert "answers 10% of the requests, by x-customer" in said.text
    assert pointed(second)[1] == Traffic("canary", 0.1, "x-customer")
    said = second.workbench("deploy", "small", "--shadow", "--json").ok()
    assert json.loads(said.text)["traffic"]["mode"] == "shadow"
    assert pointed(second)[1] == Traffic("shadow")
    second.workbench("withdraw", "small", "--reason", "for lunch").ok()
    assert set(pointed(second)[0]) == {"champion"}
    second.workbench("release", "small").failed("was taken back on", "(for lunch)")


def test_what_cannot_be_deployed_is_said_with_what_to_do(second: Checkout) -> None:
    second.workbench("deploy", "small", "--canary", "0.1", "--shadow").failed("either a canary")
    second.workbench("deploy", "small", "--release", "2").failed("--canary 0.1")
    second.workbench("deploy", "small", "--canary", "2").failed("of the requests cannot be")
    second.workbench("deploy", "smal", "--shadow").failed("no champion that could be challenged")
    second.workbench("promote", "small").failed("has no challenger", "--canary 0.1")
    assert "--reason" in second.workbench("withdraw", "small").failed(code=2).text


def test_who_watches_withdraws_a_failing_challenger_says_so_and_ends_when_told(
    second: Checkout,
) -> None:
    second.workbench("deploy", "small", "--release", "2", "--canary", "0.5").ok()
    targets, _ = pointed(second)
    watch = second.start(*CLI, "monitor")
    second.until(second.paths.lock("monitor").exists)
    append_windows(
        second.paths.serving_windows,
        [
            window("champion", targets["champion"], 0),
            window("challenger", targets["challenger"], 40),
        ],
    )
    second.until(lambda: "challenger" not in pointed(second)[0])
    second.workbench("monitor").failed("workbench monitor")
    watch.send_signal(signal.SIGTERM)
    said = ended(watch)
    assert (said.code, "small release 2 was withdrawn after" in said.sentence) == (0, True)
    assert "It fails in 100.00% of 40 requests" in said.sentence
    assert set(pointed(second)[0]) == {"champion"}


def window(alias: str, target: Target, errors: int) -> ServingWindow:
    latency = [0] * (len(BOUNDS_MS) + 1)
    latency[5] = 40
    return ServingWindow(
        start_s=time.time(),
        end_s=time.time() + 1,
        pid=1,
        pipeline="small",
        alias=alias,
        release=target.release,
        digest=target.digest,
        requests=40,
        errors=errors,
        latency=tuple(latency),
    )
