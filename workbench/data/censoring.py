"""Outcomes that nobody waited for: rows that stay stand in for those that were lost from sight.

Inverse-probability-of-censoring weights (Robins and Rotnitzky 1992). A row whose outcome is known
weighs one over the chance that it was not lost before; the others weigh nothing. The chance is the
Kaplan-Meier estimate of *leaving*, made on the training side alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.core.errors import DataError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Censored:
    """How long each row was followed, and whether that was long enough.

    followed: column with the time, in any unit, until the outcome was known or the row was lost.
    known: boolean column, false where it was lost; its target then counts for nothing. by: columns
    by whose values rows are lost more or less often; each combination gets a chance of its own.
    """

    followed: str
    known: str
    by: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that it names."""
        return (self.followed, self.known, *self.by)


def weights(table: Any, censored: Censored, training: np.ndarray) -> np.ndarray:
    """Weight of each row of an Arrow table, float64 [rows]; 0 where the outcome is not known.

    training: boolean [rows], the rows to estimate chances from. Over these the weights sum to
    their number, and weighted rates are the Aalen-Johansen estimates. DataError where a row was
    followed for longer than anybody like it on the training side.
    """
    import numpy as np

    followed = _numbers(table[censored.followed], censored.followed)
    known = table[censored.known].fill_null(False).to_numpy(zero_copy_only=False)
    like = _strata(table, censored.by)
    found = np.zeros(len(followed))
    for stratum in np.unique(like):
        here = like == stratum
        fitted = here & training
        stays = chance_of_staying(followed[fitted], known[fitted])
        told = here & known
        chance = stays(followed[told])
        if np.any(chance <= 0) or not fitted.any():
            raise DataError(
                f"Some rows{_named(stratum, censored.by)} were followed for longer than any such "
                "row of the training side: nobody can stand in for those that were lost.",
                fix="use a nearer horizon in `label`, or fewer columns in `by` of wb.Censored",
            )
        found[told] = 1 / chance
    return found


def chance_of_staying(
    followed: np.ndarray, known: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """Kaplan-Meier estimate of not being lost *before* a time, as a function of times.

    Who leaves at the same time as another's outcome becomes known leaves after it.
    """
    import numpy as np

    times, place = np.unique(followed, return_inverse=True)
    told = np.bincount(place, known, len(times))
    lost = np.bincount(place, ~known, len(times))
    still = (told + lost)[::-1].cumsum()[::-1] - told
    stays = 1 - np.divide(lost, still, out=np.zeros(len(times)), where=lost > 0)
    chance = np.r_[1.0, np.cumprod(stays)]
    return lambda at: chance[np.searchsorted(times, at, side="left")]


def _numbers(values: Any, name: str) -> np.ndarray:
    import numpy as np

    found = values.cast("float64").to_numpy(zero_copy_only=False)
    if not np.isfinite(found).all():
        raise DataError(
            f"Column '{name}' does not say of every row how long it was followed.",
            fix="drop rows without follow-up in `clean`",
        )
    return found


def _strata(table: Any, by: tuple[str, ...]) -> np.ndarray:
    """A word a row that names its combination of values."""
    import numpy as np

    words = np.full(table.num_rows, "", dtype=object)
    for column in by:
        words = words + "\x1f" + table[column].cast("string").fill_null("").to_numpy()
    return words.astype(str)


def _named(stratum: str, by: tuple[str, ...]) -> str:
    pairs = zip(by, stratum.split("\x1f")[1:], strict=True)
    said = ", ".join(f"{column} {value!r}" for column, value in pairs)
    return f" ({said})" if said else ""
