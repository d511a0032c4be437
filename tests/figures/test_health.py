from __future__ import annotations

from typing import Any

import pytest

from workbench.figures import evidence, health
from workbench.figures.theme import GREEN, GREY, RED, on_dark

MINUTE = 1_780_000_020


def point(minute: int, **more: Any) -> dict[str, Any]:
    """What `workbench.monitoring.health.Point` holds."""
    return {
        "start_s": MINUTE // 60 * 60 + 60 * minute,
        "alias": "champion",
        "release": 1,
        "rehearsal": False,
        "requests": 10,
        "errors": 0,
        "refused": 0,
        "p50_ms": 1.0,
        "p95_ms": 2.0,
        "p99_ms": 5.0,
        **more,
    }


def bars(figure: Any) -> dict[str, list[int]]:
    return {trace.name: list(trace.y) for trace in figure.data}


def test_requests_are_told_apart_and_minutes_without_any_are_empty() -> None:
    points = [
        point(0, errors=1, refused=2),
        point(0, rehearsal=True, requests=4, refused=1),
        point(0, alias="shadow", requests=99),
        point(2, alias="challenger"),
    ]
    assert bars(health.traffic(points)) == {
        "answered": [7, 0, 10],
        "rehearsal": [3, 0, 0],
        "refused": [3, 0, 0],
        "failed": [1, 0, 0],
    }


def test_latency_is_of_life_and_only_without_it_of_a_rehearsal_in_dashes() -> None:
    life, rehearsal = point(0), point(1, rehearsal=True, p50_ms=9.0)
    both = health.latency([life, rehearsal], 100.0)
    assert [list(trace.y) for trace in both.data] == [[5.0], [2.0], [1.0]]
    assert both.data[0].line.dash == "solid"
    only = health.latency([rehearsal])
    assert list(only.data[2].y) == [9.0]
    assert only.data[2].line.dash == "dash"


def test_times_are_those_of_who_looks() -> None:
    here, there = (health.traffic([point(0)], zone=zone) for zone in ("UTC", "Asia/Tokyo"))
    assert (there.data[0].x[0] - here.data[0].x[0]).total_seconds() == 9 * 3600


@pytest.mark.parametrize(
    ("left", "width", "words"),
    [(0.839, 0.84, "83 % left"), (-0.5, 0, "used up"), (None, 0, "nothing was asked yet")],
)
def test_a_budget_says_what_is_left_and_never_more(
    left: float | None, width: float, words: str
) -> None:
    level = {"name": "latency", "budget_left_fraction": left, "bad": 3, "total": 10}
    figure = health.budgets([level])
    assert list(figure.data[1].x) == [width]
    assert words in figure.layout.annotations[0].text


def drift(column: str, psi: float, verdict: str) -> dict[str, Any]:
    found = {"column": column, "psi": psi, "verdict": verdict, "kind": "input", "rows": 500}
    return {**found, "limit": 0.2, "noise": 0.1}


def test_what_drifted_most_is_on_top_and_a_name_is_no_markup() -> None:
    found = [
        drift("a", 0.1, "steady"),
        drift("<b>x", 0.9, "drifted"),
        drift("c", 3, "too few rows"),
    ]
    figure = evidence.drift(found)
    assert list(figure.layout.yaxis.categoryarray) == ["&lt;b>x", "a", "c"]
    assert {trace.name: trace.marker.color for trace in figure.data}["drifted"] == RED
    assert figure.layout.shapes[0].x0 == 0.2


def test_evidence_is_in_shares_of_what_is_allowed() -> None:
    measures = [
        {"name": "errors", "value": 0.0, "lo": -0.005, "hi": 0.005, "bound": 0.01},
        {"name": "latency", "value": 1.0, "lo": 0.9, "hi": 2.25, "bound": 1.5},
        {"name": "scores", "value": 0.5, "lo": 0.4, "hi": 0.6, "bound": 0.2},
    ]
    found = {trace.name: trace for trace in evidence.evidence(measures).data}
    colours = {name: trace.marker.color for name, trace in found.items()}
    assert colours == {"no worse": GREEN, "not known yet": GREY, "worse": RED}
    ratio = found["not known yet"]
    assert list(ratio.x) == [0.0]  # as long as the champion
    assert list(ratio.error_x.array) == [2.0]  # 2.25 is the square of what is allowed


def test_quality_is_shown_beside_what_it_was_at_release() -> None:
    now = {"metric": "auc", "value": 0.9, "lo": 0.8, "hi": 0.95}
    then = {"released": 0.97, "released_lo": 0.96, "released_hi": 0.98}
    figure = evidence.quality([now | then])
    assert [trace.name for trace in figure.data] == ["now", "at release"]
    assert list(figure.data[0].error_x.arrayminus) == pytest.approx([0.1])


def test_nothing_to_show_is_an_empty_figure() -> None:
    for figure in (
        health.traffic([]),
        health.latency([]),
        health.budgets([]),
        evidence.drift([]),
        evidence.evidence([]),
    ):
        assert figure.layout.title.text


def test_on_a_dark_page_ink_is_light_and_paper_clear() -> None:
    figure = on_dark(health.traffic([point(0)]))
    assert figure.layout.paper_bgcolor == "rgba(0,0,0,0)"
    assert figure.layout.font.color > "#a"
