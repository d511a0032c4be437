"""The command that lists runs; see test_doctor.py for the other that looks."""

from __future__ import annotations

import json

from tests.checkout import Checkout
from workbench.core.paths import STAGES


def test_runs_lists_every_stage_newest_first_with_what_it_used(desk: Checkout) -> None:
    runs = json.loads(desk.workbench("runs", "small", "--json").ok().text)
    assert [r["stage"] for r in runs] == list(reversed(STAGES))
    assert all(r["window"]["duration_s"] > 0 for r in runs)
    one = desk.workbench("runs", "--stage", "train", "--last", "1").ok().text.splitlines()
    assert len(one) == 2
    assert "train@small" in one[1]
    assert "mWh" in one[1] or "not measured" in one[1]
    assert "no such run" in desk.workbench("runs", "other").ok().text
