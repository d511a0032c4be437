from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from workbench.data.distributions import counted, seen, spread
from workbench.monitoring.drift import drift_of, drifts_of

LETTERS = [*"abcdefghij"]


@pytest.fixture(scope="module")
def rng():
    return np.random.default_rng(7)


@pytest.fixture(scope="module")
def amounts():
    values = np.random.default_rng(1).lognormal(size=20_000).tolist()
    return spread("number", seen("number", values))


@pytest.fixture(scope="module")
def letters():
    values = np.random.default_rng(2).choice(LETTERS, size=20_000).tolist()
    return spread("word", seen("word", values))


def test_without_drift_no_column_cries_wolf_in_a_thousand_looks(rng, amounts, letters):
    verdicts = set()
    for rows in (120, 500, 2000):
        for _ in range(170):
            numbers = rng.lognormal(size=rows).tolist()
            words = rng.choice(LETTERS, size=rows).tolist()
            # A limit of nearly nothing: what is left is the judgement of chance.
            verdicts.add(drift_of("input", "x", amounts, numbers, 1e-9).verdict)
            verdicts.add(drift_of("input", "x", letters, words, 1e-9).verdict)
    assert verdicts == {"too few rows"}


def test_numbers_that_moved_have_drifted(rng, amounts):
    found = drift_of("input", "amount", amounts, (rng.lognormal(size=2000) * 3).tolist(), 0.2)
    assert found.verdict == "drifted"
    assert found.psi > found.limit > found.noise
    assert found.ks is not None
    assert found.ks > 0.3
    assert "input 'amount' no longer looks like training" in found.sentence


def test_missing_values_alone_are_drift(rng, amounts):
    values = [None if i % 2 else v for i, v in enumerate(rng.lognormal(size=1000).tolist())]
    found = drift_of("input", "amount", amounts, values, 0.2)
    assert (found.verdict, found.missing_fraction) == ("drifted", 0.5)
    assert found.ks == pytest.approx(0, abs=0.08)
    assert "50% are missing" in found.sentence


def test_a_new_word_is_drift(rng, letters):
    values = ["new" if i % 5 == 0 else w for i, w in enumerate(rng.choice(LETTERS, size=1000))]
    found = drift_of("input", "letter", letters, values, 0.2)
    assert (found.verdict, found.ks) == ("drifted", None)


def test_few_rows_are_not_judged_unless_they_are_beyond_all_chance(rng, amounts):
    few = drift_of("input", "amount", amounts, rng.lognormal(size=50).tolist(), 0.2)
    assert few.verdict == "too few rows"
    assert "50" in few.sentence
    far = drift_of("input", "amount", amounts, [1e6] * 50, 0.2)
    assert far.verdict == "drifted"
    assert drift_of("input", "amount", amounts, [], 0.2).verdict == "too few rows"


def test_what_the_test_side_showed_at_release_is_no_news(rng, amounts):
    moved = rng.lognormal(size=4000) * 3
    counts = counted(amounts, seen("number", moved[:2000].tolist()))
    tested = replace(amounts, tested=tuple((counts / counts.sum()).tolist()), tested_rows=2000)
    now = moved[2000:].tolist()
    assert drift_of("input", "amount", amounts, now, 0.2).verdict == "drifted"
    same = drift_of("input", "amount", tested, now, 0.2)
    assert same.verdict == "steady"
    assert same.psi_tested is not None
    assert same.psi_tested < 0.05 < same.psi


def test_the_worst_column_stands_first(rng, amounts, letters):
    found = drifts_of(
        {"amount": amounts, "letter": letters, "gone": letters},
        {"letter": rng.choice(LETTERS, size=1000).tolist(), "amount": [9e9] * 1000},
        "input",
        0.2,
    )
    assert [(one.column, one.verdict) for one in found] == [
        ("amount", "drifted"),
        ("letter", "steady"),
    ]


def test_hostile_words_are_words(letters):
    found = drift_of("input", "<b>'\"\n", letters, ["💥';--\n<script>"] * 500, 0.2)
    assert found.verdict == "drifted"
