"""Rollouts on a real server under load, judged as `workbench monitor` judges them."""

from __future__ import annotations

import sys
import time

import pytest

from tests.serving import contenders
from tests.serving.contenders import Load, released
from workbench.core.errors import ReleaseError
from workbench.monitoring.verdicts import read_standing
from workbench.registry import history, rollout
from workbench.registry.log import read_log
from workbench.stages.monitor import Judge
from workbench.storage.predictions.reading import scan
from workbench.storage.windows import read_windows

PATIENCE_S = 60


@pytest.fixture
def served(paths, serve):
    """A server of the releases that a test makes, once it is loaded."""

    def start(*folders):
        digests = released(paths, *folders)
        server = serve(paths)
        server.until_loaded()
        return server, digests

    return start


def port_of(server) -> int:
    return server.client.base_url.port


def decided(paths, load):
    """Judge twice a second until something is done; say in how many seconds and requests."""
    judge, begun_s = Judge(paths), time.monotonic()
    while time.monotonic() - begun_s < PATIENCE_S:
        for found in judge.step(time.time()):
            took_s = time.monotonic() - begun_s
            sys.stdout.write(
                f"\n{found.what} in {took_s:.1f} s, {load.requests} requests: {found.reason}\n"
            )
            return found
        time.sleep(0.5)
    raise AssertionError(f"nothing was decided: {read_standing(paths, 'fraud')}, {load}")


def until(holds) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "what was waited for did not come"
        time.sleep(0.05)


def test_a_canary_that_is_as_good_becomes_champion_by_itself(paths, served, tmp_path):
    server, _ = served(
        contenders.good(tmp_path / "a"), contenders.good(tmp_path / "b", threshold=0.6)
    )
    rollout.begin(paths, "fraud", 2, "canary", 0.5)
    with Load(port_of(server)).running() as load:
        until(lambda: load.of("challenger"))
        found = decided(paths, load)
        before = load.of("challenger")
        until(lambda: load.answered["2", "champion"])
    assert (found.what, found.release) == ("promoted", 2)
    assert found.requests >= 300
    assert before > 100
    assert not load.wrong
    stand = history.aliases(read_log(paths, "fraud"))
    assert (stand["champion"].release, "challenger" in stand) == (2, False)
    assert stand["champion"].user == rollout.WATCHER
    assert stand["champion"].evidence["errors"]["hi"] <= 0.01
    assert stand["champion"].evidence["scores"]["hi"] <= 0.2
    assert "is allowed" in (stand["champion"].reason or "")


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (contenders.unsure, "fails"),
        (lambda folder: contenders.looping(folder, 3000), "takes"),
    ],
    ids=["NaN", "slow"],
)
def test_a_bad_canary_leaves_by_itself_and_no_client_saw_an_error(
    paths, served, tmp_path, make, word
):
    server, digests = served(contenders.good(tmp_path / "a"), make(tmp_path / "b"))
    rollout.begin(paths, "fraud", 2, "canary", 0.3)
    with Load(port_of(server), amounts=(20.0, 150.0)).running() as load:
        found = decided(paths, load)
        until(lambda: not _is_loaded(server))
        seen = load.requests
        until(lambda: load.requests > seen + 50)
    assert (found.what, found.release) == ("withdrawn", 2)
    assert word in found.reason
    assert not load.wrong
    # Judged about once a second; a fast machine asks some hundred times within one.
    assert found.requests < 3000
    taken = history.rolled_back(read_log(paths, "fraud"), digests[1])
    assert taken is not None
    assert taken.reason == found.reason


def test_a_canary_that_answers_otherwise_is_not_promoted_however_well_it_does_so(
    paths, served, tmp_path
):
    server, _ = served(contenders.good(tmp_path / "a"), contenders.good(tmp_path / "b", shift=2.0))
    rollout.begin(paths, "fraud", 2, "canary", 0.5)
    with Load(port_of(server), shifts={"2": 2.0}).running() as load:
        found = decided(paths, load)
    assert (found.what, "distributed otherwise" in found.reason) == ("withdrawn", True)
    assert not load.wrong


def _is_loaded(server) -> bool:
    return server.client.get("/v2/models/fraud/versions/2").status_code == 200


def test_a_new_champion_that_breaks_the_levels_is_rolled_back_once(paths, served, tmp_path):
    slow = contenders.looping(tmp_path / "b", 20000)
    server, digests = served(contenders.good(tmp_path / "a"), slow)
    with Load(port_of(server)).running() as load:
        until(lambda: load.answered["1", "champion"] > 100)
        contenders.promoted(paths, digests[1], 2)
        until(lambda: load.answered["2", "champion"])
        found = decided(paths, load)
        seen = load.answered["1", "champion"]
        until(lambda: load.answered["1", "champion"] > seen + 50)
        assert Judge(paths).step(time.time()) == []
    assert (found.what, found.release) == ("rolled back", 2)
    assert "longer than 50 ms" in found.reason
    assert not load.wrong
    with pytest.raises(ReleaseError, match="had no champion before it"):
        rollout.roll_back_champion(paths, "fraud", "once more")


def test_what_cannot_be_judged_is_said_once_and_tried_again(paths, tmp_path, caplog):
    released(paths, contenders.good(tmp_path / "a"), contenders.good(tmp_path / "b", threshold=0.6))
    rollout.begin(paths, "fraud", 2, "canary", 0.5)
    pointer, log = paths.pointer.read_bytes(), paths.release_log("fraud").read_bytes()
    judge = Judge(paths)
    paths.pointer.write_bytes(b"{torn")
    assert judge.step(time.time()) == judge.step(time.time()) == []
    paths.pointer.write_bytes(pointer)
    paths.release_log("fraud").write_bytes(b"torn\n" + log)
    assert judge.step(time.time()) == judge.step(time.time()) == []
    assert [r.message.split(" cannot")[0] for r in caplog.records] == ["rollouts", "fraud"]
    paths.release_log("fraud").write_bytes(log)
    assert judge.step(time.time()) == []
    standing = read_standing(paths, "fraud")
    assert standing is not None
    assert (standing.challenger, standing.verdict.decision) == (2, "wait")


def test_a_shadow_answers_copies_that_nobody_sees(paths, served, tmp_path):
    server, digests = served(
        contenders.good(tmp_path / "a"), contenders.good(tmp_path / "b", shift=1.0)
    )
    rollout.begin(paths, "fraud", 2, "shadow")
    until(lambda: _is_loaded(server))
    with Load(port_of(server), pause_s=0.01).running(1) as load:
        until(lambda: load.requests >= 60)
    assert not load.wrong
    assert set(load.answered) == {("1", "champion")}
    server.stop()
    logged = [p for p in scan(paths, "fraud") if p.alias == "shadow"]
    assert len(logged) == load.requests
    assert {passport.digest for passport in logged} == {digests[1]}
    counted = sum(w.requests for w in read_windows(paths.serving_windows) if w.alias == "shadow")
    assert counted == load.requests


def test_no_request_fails_and_none_is_misattributed_while_aliases_move_two_hundred_times(
    paths, served, tmp_path
):
    shifts = {"1": 0.0, "2": 0.5, "3": 1.0}
    server, digests = served(
        *(contenders.good(tmp_path / n, shift=shift) for n, shift in shifts.items())
    )
    with Load(port_of(server), shifts=shifts).running() as load:
        for turn in range(200):
            if turn % 4 == 0:
                rollout.begin(paths, "fraud", _other(paths), "canary", 0.5)
            elif turn % 4 == 1:
                rollout.promote(paths, "fraud", "its turn")
            elif turn % 4 == 2:
                number = _other(paths)
                rollout.begin(paths, "fraud", number, "canary", 0.3)
            else:
                contenders.promoted(paths, digests[turn % 3], turn % 3 + 1)
            time.sleep(0.02)
        seen = load.requests
        until(lambda: load.requests > seen + 100)
    assert not load.wrong
    assert {alias for _, alias in load.answered} == {"champion", "challenger"}
    assert {number for number, _ in load.answered} == {"1", "2", "3"}


def _other(paths) -> int:
    """A release that is not champion."""
    champion = rollout.standing(paths, "fraud").champion
    assert champion is not None
    return (champion.release or 0) % 3 + 1
