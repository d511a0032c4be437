from __future__ import annotations

import pytest

from workbench.core.records import Usage, Window
from workbench.metering.site import Site, total_energy, worst_provenance

CPU = Usage("cpu", 0.5, 0.4, 0.7, "modelled")
MEMORY = Usage("memory", 0.1, 0.1, 0.2, "modelled")
GPU = Usage("gpu0", 1.0, 0.95, 1.05, "counter")
UNKNOWN = Usage("gpu1", None, None, None, "default")


def window(*usages: Usage, hours: float = 2.0) -> Window:
    return Window("w", 0.0, hours * 3600, hours * 3600, 1.0, 1, usages)


def test_carbon_and_cost_are_what_the_formulas_say():
    site = Site(grid_g_per_kwh=50, pue=1.5, electricity_usd_per_kwh=0.2, hardware_usd_per_hour=3)
    counted = site.account(window(CPU, MEMORY))
    assert counted.carbon_g == pytest.approx(0.6 * 1.5 * 50)
    assert counted.cost_usd == pytest.approx(0.6 * 1.5 * 0.2 + 2 * 3)
    assert site.unknown == ()


def test_an_unknown_grid_or_price_gives_none_and_never_zero():
    for site in (Site(), Site(electricity_usd_per_kwh=0.2), Site(hardware_usd_per_hour=3)):
        counted = site.account(window(CPU))
        assert counted.carbon_g is None
        assert counted.cost_usd is None
    assert Site().unknown == (
        "grid_g_per_kwh",
        "electricity_usd_per_kwh",
        "hardware_usd_per_hour",
    )


def test_a_price_of_zero_is_a_price():
    site = Site(grid_g_per_kwh=0, electricity_usd_per_kwh=0, hardware_usd_per_hour=0)
    counted = site.account(window(CPU))
    assert (counted.carbon_g, counted.cost_usd) == (0, 0)


def test_a_domain_that_was_not_measured_leaves_the_total_unknown():
    site = Site(grid_g_per_kwh=50, electricity_usd_per_kwh=0.2, hardware_usd_per_hour=3)
    assert total_energy((CPU, UNKNOWN)) == (None, None, None)
    assert total_energy(()) == (None, None, None)
    assert site.account(window(CPU, UNKNOWN)).carbon_g is None


def test_bounds_add_up_and_the_worst_provenance_speaks_for_all():
    assert total_energy((CPU, MEMORY, GPU)) == pytest.approx((1.6, 1.45, 1.95))
    assert worst_provenance((GPU,)) == "counter"
    assert worst_provenance((GPU, CPU)) == "modelled"
    assert worst_provenance((UNKNOWN, GPU)) == "default"
    assert worst_provenance(()) is None
