"""Figures say what the points say."""

from __future__ import annotations

from workbench.figures import quality
from workbench.figures.answers import pictures
from workbench.figures.theme import CLEAR, blank

POINTS = [
    {"x": x, "y": y, "who": who}
    for who, ys in {"model": (0.05, 0.02), "act on all": (0.05, -3.0)}.items()
    for x, y in zip((0.1, 0.2), ys, strict=True)
]


def test_a_decision_curve_has_a_line_for_each_way_and_cuts_off_what_falls_without_end() -> None:
    figure = quality.decision_curve(POINTS)
    assert [line.name for line in figure.data] == ["model", "act on all"]
    assert list(figure.data[1].y) == [0.05, -3.0]
    low, high = figure.layout.yaxis.range
    assert -0.05 < low < 0 < 0.05 < high


def test_shares_by_time_are_steps_from_nothing_on() -> None:
    figure = quality.by_time(POINTS[:2], "What happened", "years", "share")
    assert figure.data[0].line.shape == "hv"
    assert figure.layout.yaxis.rangemode == "tozero"


def test_slices_show_their_interval_where_they_have_one() -> None:
    entry = {"rows": 10, "auc": 0.7}
    report = {"main": "auc", "metrics": {"auc": {"value": 0.75}}}
    plain = quality.slices(report | {"slices": {"age_band=18 to 39": entry}})
    assert plain.data[0].error_x.array is None
    assert list(plain.data[0].y) == ["age band: 18 to 39"]
    known = entry | {"auc_lo": 0.6, "auc_hi": 0.9}
    bars = quality.slices(report | {"slices": {"a=b": known}}).data[0].error_x
    assert (round(bars.array[0], 6), round(bars.arrayminus[0], 6)) == (0.2, 0.1)


def test_rules_that_took_no_row_are_said_in_words_and_not_by_empty_axes() -> None:
    figure = quality.dropped([])
    assert [note.text for note in figure.layout.annotations] == ["No row broke a rule."]
    assert figure.layout.xaxis.visible is False
    assert not quality.dropped([{"x": "invalid age", "y": 3}]).layout.annotations


def test_a_figure_lets_the_page_shine_through_and_has_no_tools_on_its_title() -> None:
    layout = blank("t", "x", "y").layout
    assert (layout.paper_bgcolor, layout.plot_bgcolor) == (CLEAR, CLEAR)
    assert "zoom" in layout.modebar.remove


def test_a_model_of_two_answers_is_shown_in_the_words_of_its_data() -> None:
    points = [{"x": 0.2, "y": 0.3}, {"x": 0.6, "y": 0.7}]
    curve, calibration = pictures(lambda _: points, yes="left = 1")
    assert "share of left = 1 found" in curve.layout.xaxis.title.text
    assert "left = 1" in calibration.layout.yaxis.title.text


def test_only_what_is_rare_is_calibrated_on_log_axes_and_zeros_are_shown_else() -> None:
    often = quality.calibration([{"x": 0.01, "y": 0.0}, {"x": 0.7, "y": 0.6}])
    assert often.layout.xaxis.type is None
    assert list(often.data[1].y) == [0.0, 0.6]
    rare = quality.calibration([{"x": 0.001, "y": 0.0}, {"x": 0.1, "y": 0.12}])
    assert rare.layout.xaxis.type == rare.layout.yaxis.type == "log"
    assert list(rare.data[1].y) == [0.12]
