from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.tracking.checkout import Checkout
from workbench.core.errors import ParamsError
from workbench.core.params import Gates
from workbench.registry import contender, store
from workbench.registry.contender import Contender
from workbench.registry.gates import Gate, judge

GATES = Gates(worse_by=0.02, model_mb=1)


def named(gates: list[Gate], name: str) -> Gate:
    return next(gate for gate in gates if gate.name == name)


@pytest.fixture
def champion(checkout: Checkout) -> Callable[..., Contender]:
    def make(weight: float, **how: int) -> Contender:
        digest = checkout.trained(weight, **how)
        store.keep(checkout.paths, contender.candidate(checkout.paths, "fraud"), "fraud", "run")
        found = contender.released(checkout.paths, digest)
        assert found
        return found

    return make


def candidate(checkout: Checkout, weight: float, **how: int) -> Contender:
    checkout.trained(weight, **how)
    return contender.candidate(checkout.paths, "fraud")


def test_without_a_champion_quality_is_the_first_of_its_kind(checkout: Checkout) -> None:
    gates = judge(candidate(checkout, 1.5), None, GATES)
    assert named(gates, "quality").verdict == "first"
    assert all(gate.holds for gate in gates)


def test_a_better_model_passes_on_the_same_rows(
    checkout: Checkout, champion: Callable[..., Contender]
) -> None:
    worse = champion(0.2)
    gate = named(judge(candidate(checkout, 1.5), worse, GATES), "quality")
    assert gate.verdict == "pass"
    assert gate.measured is not None
    assert gate.measured > 0
    assert "on the same test rows (600 rows)" in gate.sentence


def test_a_clearly_worse_model_fails_with_its_interval(
    checkout: Checkout, champion: Callable[..., Contender]
) -> None:
    better = champion(1.5)
    gate = named(judge(candidate(checkout, -1.0), better, GATES), "quality")
    assert gate.verdict == "fail"
    assert gate.lo is not None
    assert gate.hi is not None
    assert gate.lo <= gate.hi < -0.02


def test_what_cannot_be_told_from_chance_does_not_fail(
    checkout: Checkout, champion: Callable[..., Contender]
) -> None:
    better = champion(1.5, rows=150)
    worse = candidate(checkout, 1.0, rows=150)
    gate = named(judge(worse, better, Gates(worse_by=0)), "quality")
    assert gate.measured is not None
    assert gate.hi is not None
    assert gate.measured < 0 < gate.hi
    assert gate.verdict == "pass"
    assert "cannot be told from chance" in gate.sentence


def test_on_another_test_side_the_champion_is_asked_again(
    checkout: Checkout, champion: Callable[..., Contender]
) -> None:
    old = champion(1.5)
    new = candidate(checkout, 1.5001, first_row=5000)
    gate = named(judge(new, old, GATES), "quality")
    assert gate.verdict == "pass"
    assert gate.measured == pytest.approx(0, abs=1e-3)  # the same model, on the same rows
    assert "asked again" in gate.sentence
    assert "(600 rows)" in gate.sentence


def test_a_champion_that_cannot_be_asked_is_compared_on_shared_rows(
    checkout: Checkout, champion: Callable[..., Contender]
) -> None:
    old = champion(1.5)
    new = replace(candidate(checkout, 1.6, first_row=200), test=None)
    gate = named(judge(new, old, GATES), "quality")
    assert gate.verdict == "pass"
    assert "that both answered, of 600 (400 rows)" in gate.sentence


def test_too_few_shared_rows_are_refused_and_hold_the_release_back(
    checkout: Checkout, champion: Callable[..., Contender]
) -> None:
    old = champion(1.5)
    new = replace(candidate(checkout, 1.6, first_row=550), test=None)
    gate = named(judge(new, old, GATES), "quality")
    assert gate.verdict == "not comparable"
    assert "only 50 test rows" in gate.sentence
    assert not gate.holds


def test_numbers_that_a_pipeline_keeps_by_row_are_paired(checkout: Checkout) -> None:
    base = candidate(checkout, 1.5)
    rng = np.random.default_rng(0)
    hard = rng.normal(size=600)  # what both find hard cancels
    sides = []
    for who, shift in (("new", 0.0), ("old", 0.1)):
        path = checkout.paths.root / f"{who}.parquet"
        pq.write_table(pa.table({"payment": range(600), "ndcg": hard + shift}), path)
        content = base.candidate | {"main": "ndcg", "metrics": {"ndcg": {"value": 0.0}}}
        signature = replace(base.signature, task="none")
        sides.append(replace(base, candidate=content, predictions=path, signature=signature))
    gate = named(judge(sides[0], sides[1], GATES), "quality")
    assert gate.verdict == "fail"
    assert gate.measured == pytest.approx(-0.1)
    assert gate.hi == pytest.approx(gate.lo)


def test_metrics_without_rows_are_compared_by_their_intervals_and_it_is_said(
    checkout: Checkout,
) -> None:
    base = candidate(checkout, 1.5)

    def side(value: float) -> Contender:
        metric = {"value": value, "lo": value - 0.05, "hi": value + 0.05}
        content = base.candidate | {"main": "mrr", "metrics": {"mrr": metric}}
        return replace(base, candidate=content, predictions=None)

    near = named(judge(side(0.5), side(0.58), GATES), "quality")
    far = named(judge(side(0.5), side(0.7), GATES), "quality")
    assert (near.verdict, far.verdict) == ("pass", "fail")
    assert "not paired" in near.sentence


def test_less_may_be_better(checkout: Checkout, champion: Callable[..., Contender]) -> None:
    good = champion(1.5)
    bad = candidate(checkout, -1.0)
    content = bad.candidate | {"main": "log_loss", "higher_is_better": False}
    gate = named(judge(replace(bad, candidate=content), good, GATES), "quality")
    assert gate.verdict == "fail"


def test_a_metric_that_nobody_measured_is_an_error_with_a_suggestion(checkout: Checkout) -> None:
    with pytest.raises(ParamsError, match="Did you mean 'auc'"):
        judge(candidate(checkout, 1.5), None, Gates(metric="auk"))


def test_a_large_difference_of_the_export_fails(checkout: Checkout) -> None:
    new = candidate(checkout, 1.5)
    worse = replace(new, candidate=new.candidate | {"parity_max_difference": 0.01})
    unknown = replace(new, candidate=new.candidate | {"parity_max_difference": None})
    assert named(judge(worse, None, GATES), "parity").verdict == "fail"
    assert named(judge(unknown, None, GATES), "parity").verdict == "warn"


def test_a_model_over_its_size_fails(checkout: Checkout) -> None:
    new = candidate(checkout, 1.5)
    heavy = replace(new, candidate=new.candidate | {"bytes": 1_000_001})
    assert named(judge(heavy, None, GATES), "size").verdict == "fail"


def test_a_better_baseline_warns_but_does_not_hold_back(checkout: Checkout) -> None:
    gates = judge(candidate(checkout, -1.0), None, GATES)
    gate = named(gates, "baseline linear")
    assert gate.verdict == "warn"
    assert gate.hi is not None
    assert gate.hi < 0
    assert all(gate.holds for gate in gates)


def test_a_leak_or_an_unchecked_split_fails(checkout: Checkout) -> None:
    new = candidate(checkout, 1.5)
    for leaks in ({"shared_keys": 1, "future_rows": 0}, {"shared_keys": 0}, {}):
        leaky = replace(new, candidate=new.candidate | {"leaks": leaks})
        assert named(judge(leaky, None, GATES), "leaks").verdict == "fail"


def test_a_licence_that_nobody_stated_is_warned_of_and_never_passes(checkout: Checkout) -> None:
    new = candidate(checkout, 1.5)
    facts = {"rows": {"licence": "not stated"}, "terminals": {"licence": "MIT"}}
    told = judge(replace(new, candidate=new.candidate | {"facts": facts}), None, GATES)
    gate = named(told, "licences")
    assert (gate.verdict, gate.measured, gate.holds) == ("warn", 1, True)
    assert "No licence is stated for rows" in gate.sentence


def test_a_table_without_a_licence_fails_by_name(checkout: Checkout) -> None:
    new = candidate(checkout, 1.5)
    facts = {"payments": {"licence": ""}, "terminals": {"licence": "MIT"}}
    gate = named(judge(replace(new, candidate=new.candidate | {"facts": facts}), None, GATES),
                 "licences")  # fmt: skip
    assert gate.verdict == "fail"
    assert "payments" in gate.sentence
    assert "terminals" not in gate.sentence
