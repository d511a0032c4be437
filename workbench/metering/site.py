"""From energy and time to carbon and cost, by what is known of the place where work runs."""

from __future__ import annotations

import dataclasses
import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.core.records import Provenance, Usage, Window

PROVENANCES: tuple[Provenance, ...] = ("wall", "counter", "sampled", "modelled", "default")
"""How a usage is known, best first."""


@dataclass(frozen=True)
class Site:
    """Grid and prices. None: not known, and then carbon or cost is "not measured", never zero.

    grid_g_per_kwh: location-based grams of CO2 equivalent. pue: what the building adds, 1 for a
    machine of one's own. hardware_usd_per_hour: the machine's rent, or its price spread over its
    life; where the rent includes electricity, the tariff is 0 and must be written so.
    """

    grid_g_per_kwh: float | None = None
    grid_source: str = ""
    grid_year: int | None = None
    pue: float = 1.0
    electricity_usd_per_kwh: float | None = None
    hardware_usd_per_hour: float | None = None
    price_source: str = ""
    price_as_of: dt.date | None = None

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names of the settings without which carbon or cost stays unknown."""
        needed = ("grid_g_per_kwh", "electricity_usd_per_kwh", "hardware_usd_per_hour")
        return tuple(name for name in needed if getattr(self, name) is None)

    def carbon_g(self, energy_kwh: float | None) -> float | None:
        """Operational carbon: energy x PUE x grid."""
        if energy_kwh is None or self.grid_g_per_kwh is None:
            return None
        return energy_kwh * self.pue * self.grid_g_per_kwh

    def cost_usd(self, energy_kwh: float | None, hours: float) -> float | None:
        """Energy x PUE x tariff + hours of the whole machine x its price.

        Overlapping windows each pay the machine: a stage that runs reserves it.
        """
        tariff, hourly = self.electricity_usd_per_kwh, self.hardware_usd_per_hour
        if energy_kwh is None or tariff is None or hourly is None:
            return None
        return energy_kwh * self.pue * tariff + hours * hourly

    def account(self, window: Window) -> Window:
        """Return the window with its carbon and cost."""
        energy_kwh = total_energy(window.usages)[0]
        return dataclasses.replace(
            window,
            carbon_g=self.carbon_g(energy_kwh),
            cost_usd=self.cost_usd(energy_kwh, window.duration_s / 3600),
        )


def total_energy(
    usages: tuple[Usage, ...],
) -> tuple[float | None, float | None, float | None]:
    """Sum of energy_kwh, lo and hi; None for all if any domain was not measured, or none was.

    The bounds add up: what a model gets wrong for one domain it may get wrong for all.
    """
    energy, lo, hi = 0.0, 0.0, 0.0
    for usage in usages:
        if usage.energy_kwh is None or usage.lo is None or usage.hi is None:
            return None, None, None
        energy, lo, hi = energy + usage.energy_kwh, lo + usage.lo, hi + usage.hi
    return (energy, lo, hi) if usages else (None, None, None)


def worst_provenance(usages: tuple[Usage, ...]) -> Provenance | None:
    """How the least known of the domains is known; None without domains."""
    ranks = [PROVENANCES.index(usage.provenance) for usage in usages]
    return PROVENANCES[max(ranks)] if ranks else None
