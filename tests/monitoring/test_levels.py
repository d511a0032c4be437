from __future__ import annotations

import pytest

from workbench.core.deploy import Levels
from workbench.monitoring.levels import levels_of
from workbench.monitoring.rollups import Tally
from workbench.storage.windows import BOUNDS_MS, bin_of

SETTINGS = Levels(available_fraction=0.999, latency_ms=100, latency_fraction=0.99)


def tally(requests, errors=0, refused=0, slow=0):
    latency = [0] * (len(BOUNDS_MS) + 1)
    latency[bin_of(1)] = requests - slow
    latency[bin_of(5000)] = slow
    return Tally(requests=requests, errors=errors, refused=refused, latency=tuple(latency))


def judged(whole, recent=None, short=None):
    recent = recent or whole

    def last(seconds):
        if seconds > 6 * 3600:
            return whole
        return (short or recent) if seconds <= 1800 else recent

    return levels_of(SETTINGS, last)


def test_the_budget_is_what_may_still_go_wrong():
    availability, latency = judged(tally(100_000, errors=25, slow=250))
    assert availability.good_fraction == pytest.approx(0.99975)
    assert availability.budget_left_fraction == pytest.approx(0.75)
    assert latency.budget_left_fraction == pytest.approx(0.75)


def test_a_budget_can_be_overdrawn():
    availability, _ = judged(tally(1000, errors=3))
    assert availability.budget_left_fraction == pytest.approx(-2)


def test_the_clients_own_mistakes_are_nobodys_budget():
    availability, latency = judged(tally(2000, errors=1, refused=1000))
    assert availability.total == 1000
    assert availability.bad == 1
    assert latency.bad == 0


def test_where_nothing_was_asked_nothing_is_said():
    availability, latency = judged(Tally())
    assert availability.budget_left_fraction is None
    assert latency.good_fraction is None
    assert not any(burn.burns for burn in (*availability.burns, *latency.burns))


@pytest.mark.parametrize(
    ("errors", "burning"), [(0, []), (50, []), (70, ["slow"]), (150, ["fast", "slow"])]
)
def test_a_burn_rate_of_six_is_slow_and_of_fourteen_fast(errors, burning):
    availability, _ = judged(tally(10_000, errors=errors))
    assert [burn.name for burn in availability.burns if burn.burns] == burning


def test_what_is_over_in_the_short_window_burns_no_more():
    calm = tally(1000)
    availability, _ = judged(tally(10_000, errors=500), short=calm)
    assert availability.burns[0].rate_long == pytest.approx(50)
    assert not any(burn.burns for burn in availability.burns)


def test_one_failure_among_ten_requests_wakes_nobody():
    availability, _ = judged(tally(10, errors=1))
    assert availability.burns[0].rate_long > 14.4
    assert not availability.burns[0].burns


def test_slow_answers_burn_the_budget_for_latency_only():
    availability, latency = judged(tally(1000, slow=300))
    assert latency.burns[0].burns
    assert not availability.burns[0].burns
