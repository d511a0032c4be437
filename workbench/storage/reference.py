"""What a release was fitted on and how well it did: what its life is compared with.

It stands with the evidence of its bundle, `bundles/<digest>.evidence/reference.json`: the machine
that watches a server need not have the data, and a backup takes it along. A few kilobytes: shares,
never rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from workbench.core.files import read_kept, write_json
from workbench.core.records import VERSION, Role

REFERENCE = "reference.json"


@dataclass(frozen=True)
class Distribution:
    """How the values of one column are spread.

    role: how values are looked at (`workbench.data.distributions`). rows: that were counted;
    missing_fraction: of them. Of numbers, `borders` are the rising upper ends of all bins but the
    last, and belong to their bin; of words, each of `words` is a bin and the last holds all
    others. shares: of the rows with a value, one for each bin. tested: of `tested_rows` rows of the
    test side, by the same bins and, last, missing; empty without one.
    """

    role: Role
    rows: int
    missing_fraction: float
    shares: tuple[float, ...]
    borders: tuple[float, ...] = ()
    words: tuple[str, ...] = ()
    tested: tuple[float, ...] = ()
    tested_rows: int = 0

    @property
    def trained(self) -> tuple[float, ...]:
        """Of the rows of the training side, by bin and, last, missing."""
        there = 1 - self.missing_fraction
        return (*(share * there for share in self.shares), self.missing_fraction)


@dataclass(frozen=True)
class Reference:
    """Of one bundle: its training side by input, its answers on the test side by output.

    metrics: measured on the test side, {name: {value[, lo, hi]}}.
    """

    digest: str
    columns: dict[str, Distribution] = field(default_factory=dict)
    answers: dict[str, Distribution] = field(default_factory=dict)
    metrics: Mapping[str, dict[str, float]] = field(default_factory=dict)
    version: int = VERSION


def reference_path(bundles: Path, digest: str) -> Path:
    """Where the reference of a bundle stands."""
    return bundles / f"{digest}.evidence" / REFERENCE


def write_reference(bundles: Path, reference: Reference) -> None:
    """Write it beside the evidence of its bundle."""
    write_json(reference_path(bundles, reference.digest), reference)


def read_reference(bundles: Path, digest: str) -> Reference | None:
    """Read a bundle's reference; None when none was written, StateError when it is damaged."""
    return read_kept(
        reference_path(bundles, digest),
        Reference,
        f"The reference of bundle {digest[:12]}",
        kept="the bundle and all that it answered",
        fix="remove that file, then run `workbench release` where its data are",
    )
