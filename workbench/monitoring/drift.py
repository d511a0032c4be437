"""Whether what is asked and what is answered still looks like training.

The measure is the population stability index (PSI) over the reference's bins, missing values being
one more bin; of numbers also the Kolmogorov-Smirnov distance at the bins' borders. Libraries for
this (evidently, nannyml) bring hundreds of megabytes for two formulas, and none of them asks what
its number would be without any drift. That is what decides here: PSI over `limit` counts only
where chance alone would not get there, and with so few rows that chance would, nothing is said.
It must be over it against the test side too: by how far that differed from training is known since
the release was judged on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from workbench.core.records import Role
from workbench.data.distributions import IMAGES, counted, seen
from workbench.storage.reference import Distribution

CHANCE = 1e-5
"""Of crying wolf over one column at one look, without drift: there are dozens of columns, and
hundreds of independent looks a day."""

LONG_TAILS = 1.5
"""By how much bins with few rows exceed what is true of many, found by simulation."""

Verdict = Literal["steady", "drifted", "too few rows"]


@dataclass(frozen=True)
class Drift:
    """How one column of one release differs from its reference.

    kind: `input` or `answer`. psi: population stability index against the training side;
    psi_tested: against the test side; None without one. noise: what they stay below by chance.
    ks: distance of the distribution functions from training; None for words. missing_fraction:
    now; reference_missing_fraction: then.
    """

    kind: Literal["input", "answer"]
    column: str
    role: Role
    verdict: Verdict
    rows: int
    psi: float
    noise: float
    limit: float
    psi_tested: float | None
    ks: float | None
    missing_fraction: float
    reference_missing_fraction: float

    @property
    def sentence(self) -> str:
        """What was found, for people."""
        what = f"{self.kind} '{self.column}'"
        if self.verdict == "too few rows":
            return f"Too few rows ({self.rows:,}) to judge {what}."
        if self.verdict == "steady":
            return f"The {what} looks like training (PSI {self.psi:.3f} of {self.limit:g})."
        gap = self.missing_fraction - self.reference_missing_fraction
        more = f"; {self.missing_fraction:.0%} are missing" if gap > 0.05 else ""
        return (
            f"The {what} no longer looks like training: PSI {self.psi:.2f} over "
            f"{self.limit:g} in the newest {self.rows:,} rows{more}."
        )


def drift_of(
    kind: Literal["input", "answer"],
    column: str,
    reference: Distribution,
    values: Sequence[Any],
    limit: float,
) -> Drift:
    """Compare raw values of one column, one a row, with its reference."""
    if reference.role == "image":
        values = values[:IMAGES]  # they take long to be looked at
    now = counted(reference, seen(reference.role, values))
    rows = round(float(now.sum()))
    sides = [(np.array(reference.trained), reference.rows)]
    if reference.tested_rows:
        sides.append((np.array(reference.tested), reference.tested_rows))
    psis = [psi_of(before, now, rows_before) for before, rows_before in sides]
    noises = [noise_of(len(now), rows, rows_before) for _, rows_before in sides]
    verdict: Verdict = "steady"
    if all(psi > max(limit, noise) for psi, noise in zip(psis, noises, strict=True)):
        verdict = "drifted"
    elif max(noises) > limit:
        verdict = "too few rows"
    return Drift(
        kind=kind,
        column=column,
        role=reference.role,
        verdict=verdict,
        rows=rows,
        psi=psis[0],
        noise=max(noises),
        limit=limit,
        psi_tested=psis[1] if len(psis) > 1 else None,
        ks=_ks(np.array(reference.shares), now[:-1]) if reference.borders else None,
        missing_fraction=float(now[-1]) / max(rows, 1),
        reference_missing_fraction=reference.missing_fraction,
    )


def psi_of(before: NDArray[Any], now: NDArray[Any], rows_before: int) -> float:
    """Population stability index of counts `now` against shares `before`, bin by bin.

    A bin that one side lacks would make it infinite: training counts half a row more in each, and
    what is new one row more, spread like training.
    """
    old = (before * rows_before + 0.5) / (rows_before + 0.5 * len(before))
    new = (now + old) / (now.sum() + 1)
    return float(((new - old) * np.log(new / old)).sum())


def noise_of(bins: int, rows: int, rows_before: int) -> float:
    """What the PSI of `rows` rows without any drift exceeds with probability CHANCE.

    It is near a chi-squared variable with `bins` - 1 degrees of freedom over the rows; both sides
    are samples.
    """
    from scipy.special import chdtri

    if not rows or not rows_before:
        return float("inf")
    return LONG_TAILS * float(chdtri(bins - 1, CHANCE)) * (1 / rows + 1 / rows_before)


def drifts_of(
    references: Mapping[str, Distribution],
    columns: Mapping[str, Sequence[Any]],
    kind: Literal["input", "answer"],
    limit: float,
) -> list[Drift]:
    """Compare all columns that have a reference and values; the worst first."""
    found = [
        drift_of(kind, name, reference, columns[name], limit)
        for name, reference in references.items()
        if name in columns
    ]
    return sorted(found, key=lambda drift: (drift.verdict != "drifted", -drift.psi))


def _ks(before: NDArray[Any], now: NDArray[Any]) -> float:
    """The largest distance of the distribution functions at the borders."""
    if not now.sum() or not before.sum():
        return 0.0
    return float(np.abs(np.cumsum(before / before.sum()) - np.cumsum(now / now.sum())).max())
