"""Two models compared on rows that do not all count the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.tracking.checkout import Checkout
from workbench.data.examples import WEIGHT
from workbench.registry import contender
from workbench.registry.comparison import Comparison, compare


def compared(checkout: Checkout, weight: np.ndarray | None) -> Comparison:
    """One model is right on the first half of the rows only, the other on all of them."""
    checkout.trained(1.5)
    base = contender.candidate(checkout.paths, "fraud")
    rng = np.random.default_rng(1)
    label = rng.random(600) < 0.3
    right = np.where(label, 0.9, 0.1)
    half = np.where(np.arange(600) < 300, right, 0.5)
    sides = []
    for who, score in (("candidate", half), ("champion", right)):
        columns = {"payment": np.arange(600), "label": label, "model": score}
        path = checkout.paths.root / f"{who}.parquet"
        pq.write_table(pa.table(columns | ({} if weight is None else {WEIGHT: weight})), path)
        sides.append(replace(base, predictions=path))
    found = compare(sides[0], sides[1], "brier")
    assert isinstance(found, Comparison)
    return found


def test_rows_that_count_nothing_make_no_difference(checkout: Checkout) -> None:
    without = compared(checkout, None)
    assert without.difference == pytest.approx(-0.12)
    assert without.hi < 0
    first = compared(checkout, np.where(np.arange(600) < 300, 1.0, 0.0))
    assert (first.lo, first.difference, first.hi) == (0, 0, 0)


def test_a_row_counts_as_much_as_it_weighs(checkout: Checkout) -> None:
    weight = np.where(np.arange(600) < 300, 1.0, 3.0)
    assert compared(checkout, weight).difference == pytest.approx(-0.18)
