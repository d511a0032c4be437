from __future__ import annotations

import math
import os
import stat
import subprocess
import sys
import time

import pytest

from tests.storage.predictions.conftest import logged, passport
from workbench.core.errors import DataError, StateError
from workbench.storage.predictions.compaction import compact
from workbench.storage.predictions.outcomes import outcomes, record_outcome
from workbench.storage.predictions.passport import DAY_S


def test_outcomes_join_the_answers_that_they_are_of(paths, opened):
    log = opened()
    old = logged(log, 3)
    log.close()
    compact(paths.predictions, now_s=time.time() + 3700)
    many = old + logged(opened(), 3)
    for one, outcome in ((many[0], True), (many[2], "fraud"), (many[4], 12.5)):
        record_outcome(paths.predictions, one.id, outcome, 7.0)
    known = {found.passport.id: found for found in outcomes(paths, "fraud")}
    assert {id: found.outcome for id, found in known.items()} == {
        many[0].id: True,
        many[2].id: "fraud",
        many[4].id: 12.5,
    }
    assert known[many[0].id].passport == many[0]
    assert known[many[0].id].time_s == 7.0
    assert list(outcomes(paths, "other")) == []
    assert list(outcomes(paths, "fraud", since_s=many[-1].time_s + 1)) == []


def test_of_several_outcomes_the_one_known_last_counts(paths, log):
    one, two = logged(log, 2)
    for outcome, time_s in (("a", 1.0), ("c", 3.0), ("b", 2.0)):
        record_outcome(paths.predictions, one.id, outcome, time_s)
    for outcome in ("first", "again"):
        record_outcome(paths.predictions, two.id, outcome, 5.0)
    found = {known.passport.id: known.outcome for known in outcomes(paths, "fraud")}
    assert found == {one.id: "c", two.id: "again"}


@pytest.mark.parametrize(
    "id", ["", "../x", "0" * 28, "000000000001-000000-00000000", "\x00", "é" * 100_000]
)
def test_an_outcome_of_nothing_on_file_is_refused(paths, log, id):
    logged(log)
    with pytest.raises(DataError, match="is on file here"):
        record_outcome(paths.predictions, id, True, 1.0)


def test_an_id_that_is_near_but_not_there_is_refused(paths, opened):
    log = opened()
    (one,) = logged(log)
    near = one.id[:-1] + ("0" if one.id[-1] != "0" else "1")
    for _ in range(2):  # as lines, then as columns
        with pytest.raises(DataError):
            record_outcome(paths.predictions, near, True, 1.0)
        log.close()
        compact(paths.predictions, now_s=time.time() + 3700)


@pytest.mark.parametrize("outcome", [None, math.nan, math.inf, "x" * 20_000])
def test_what_is_no_outcome_is_refused_and_leaves_nothing(paths, log, outcome):
    (one,) = logged(log)
    with pytest.raises(DataError, match="outcome"):
        record_outcome(paths.predictions, one.id, outcome, 1.0)
    with pytest.raises(DataError, match="time"):
        record_outcome(paths.predictions, one.id, True, math.nan)
    assert list(outcomes(paths, "fraud")) == []


def test_an_outcome_may_come_before_its_answer_is_on_file(paths, log):
    one = passport(log)
    log.append(one)
    log.feedback(one.id, True, 1.0)
    assert [known.outcome for known in outcomes(paths, "fraud")] == [True]
    with pytest.raises(DataError):
        log.feedback(log.next_id(), True, 1.0)


def test_a_late_outcome_stands_with_its_answer_and_goes_with_it(paths, log):
    one = passport(log, at_s=time.time() - 20 * DAY_S)
    log.append(one)
    log.close()
    record_outcome(paths.predictions, one.id, True, time.time())
    assert [known.passport for known in outcomes(paths, "fraud")] == [one]
    compact(paths.predictions, {"fraud": 10})
    assert list(outcomes(paths, "fraud")) == []
    assert not list(paths.predictions.rglob("_outcomes.jsonl"))


def test_a_torn_outcome_costs_itself_and_no_neighbour(paths, log):
    one, two, three = logged(log, 3)
    record_outcome(paths.predictions, one.id, True, 1.0)
    (file,) = paths.predictions.rglob("_outcomes.jsonl")
    with file.open("ab") as torn:
        torn.write(b'\n{"id":"%b","outc' % two.id.encode())
    record_outcome(paths.predictions, three.id, "📦\n", 1.0)
    found = {known.passport.id: known.outcome for known in outcomes(paths, "fraud")}
    assert found == {one.id: True, three.id: "📦\n"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


WRITE = """
import sys
from pathlib import Path
from workbench.storage.predictions.outcomes import record_outcome
for id in sys.argv[2:]:
    record_outcome(Path(sys.argv[1]), id, "x" * 200, 1.0)
assert "pyarrow" not in sys.modules
"""


def test_several_processes_write_outcomes_at_once(paths, log):
    many = [one.id for one in logged(log, 200)]
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITE, str(paths.predictions), *many[at::2]])
        for at in range(2)
    ]
    assert [writer.wait(20) for writer in writers] == [0, 0]
    assert sorted(known.passport.id for known in outcomes(paths, "fraud")) == many


def test_an_outcome_that_cannot_be_written_is_an_error_in_a_sentence(paths, log):
    (one,) = logged(log)
    (hot,) = paths.predictions.glob("day=*/*/_*.jsonl")
    (hot.parent / "_outcomes.jsonl").symlink_to(os.devnull + "/none")
    with pytest.raises(StateError, match="cannot be written"):
        record_outcome(paths.predictions, one.id, True, 1.0)
