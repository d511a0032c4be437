"""What one answer took: its share of what its server measured in the second of the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.core.paths import Paths
from workbench.storage.predictions.passport import DAY_S, Passport
from workbench.storage.windows import ServingWindow, read_windows


@dataclass(frozen=True)
class Share:
    """An equal share of what `requests` of one release took between `start_s` and `end_s`.

    Times in seconds since 1970-01-01 UTC. cpu_s, energy_j: of one answer; energy is modelled, lo
    and hi its interval; None: not measured. No single answer is measured: that would cost more
    than most answers do.
    """

    start_s: float
    end_s: float
    requests: int
    cpu_s: float
    energy_j: float | None
    energy_lo_j: float | None
    energy_hi_j: float | None

    @property
    def sentence(self) -> str:
        """The share, for people."""
        energy = "energy not measured"
        if self.energy_j is not None:
            energy = f"{_mj(self.energy_j)} mJ (modelled"
            if self.energy_lo_j is not None and self.energy_hi_j is not None:
                energy += f", {_mj(self.energy_lo_j)} to {_mj(self.energy_hi_j)}"
            energy += ")"
        whose = "the only request"
        if self.requests > 1:
            whose = f"an equal share of {self.requests:,} requests"
        return (
            f"{self.cpu_s * 1000:.3g} ms of processor time and {energy}: {whose} to its release "
            f"within {self.end_s - self.start_s:.1f} s"
        )


def share_of(paths: Paths, passport: Passport) -> Share | None:
    """The share of an answer; None where no window of a server holds it.

    Where several server processes answered in that second, it is the mean over them: a passport
    does not say which one it was.
    """
    found: list[ServingWindow] = []
    for window in read_windows(paths.serving_windows, passport.time_s, passport.pipeline):
        if window.start_s > passport.time_s + 2 * DAY_S:
            break  # files come by day: what follows is later still
        if _holds(window, passport):
            found.append(window)
    requests = sum(window.requests for window in found)
    if not requests:
        return None
    return Share(
        start_s=min(window.start_s for window in found),
        end_s=max(window.end_s for window in found),
        requests=requests,
        cpu_s=sum(window.cpu_s for window in found) / requests,
        energy_j=_mean([window.energy_j for window in found], requests),
        energy_lo_j=_mean([window.energy_lo_j for window in found], requests),
        energy_hi_j=_mean([window.energy_hi_j for window in found], requests),
    )


def _holds(window: ServingWindow, passport: Passport) -> bool:
    whose = window.digest, window.release, window.alias, window.rehearsal
    ours = passport.digest, passport.release, passport.alias, passport.rehearsal
    return whose == ours and window.start_s <= passport.time_s < window.end_s


def _mean(values: Sequence[float | None], requests: int) -> float | None:
    """Of one request; None where one of the windows was not measured."""
    known = [value for value in values if value is not None]
    return sum(known) / requests if len(known) == len(values) else None


def _mj(joules: float) -> str:
    return f"{joules * 1000:.3g}"
