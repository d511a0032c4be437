"""The one table that learning sees: a row per decision, as known at that time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from workbench.core.errors import DataError, did_you_mean
from workbench.core.files import read_json, write_json
from workbench.core.records import Role, Task
from workbench.data.censoring import Censored
from workbench.data.engine import write_parquet

if TYPE_CHECKING:
    import numpy as np

SIDES = ("train", "valid", "test")
WEIGHT = "label_weight"
"""Column with how much a row counts, where rows do not all count the same."""
CONFIDENCE = "label_confidence"
ANSWERS = ("label", "model", "constant", "linear", "boosting")
"""What stands beside the key in the answers to the test side: no column of the key is called so."""


@dataclass(frozen=True)
class Spec:
    """What the columns of an example table mean; `examples.json` beside the data.

    targets: label columns, the main one first; several only for regression and for task none.
    known_at: column with the time at which the label was known, when labels arrive late.
    slices: columns by whose values the evaluation is broken down. censored: where outcomes may
    not be known yet, what the split stage makes the rows' weights from.
    """

    key: tuple[str, ...]
    roles: dict[str, Role]
    task: Task = "none"
    targets: tuple[str, ...] = ()
    time: str | None = None
    group: str | None = None
    known_at: str | None = None
    origin: str = ""
    slices: tuple[str, ...] = ()
    censored: Censored | None = None

    @property
    def target(self) -> str | None:
        """The main label column."""
        return self.targets[0] if self.targets else None


@dataclass
class Examples:
    """What `label` returns: an Ibis table and the meaning of its columns.

    key: column or columns that name a decision. time: when it was taken. group: what must not be
    torn apart by a split. target: the label, or several to learn at once; origin: who gave it;
    confidence: column with a number in 0..1, all 1 when not given. weight: column with how much a
    row counts (0 or more) in loss, baselines and metrics; or censored, where outcomes may not be
    known yet and the weights follow from that. roles: the features, and only they reach the model.
    """

    table: Any
    key: str | Sequence[str]
    roles: dict[str, Role]
    target: str | Sequence[str] | None = None
    task: Task = "none"
    time: str | None = None
    group: str | None = None
    known_at: str | None = None
    origin: str = ""
    confidence: str | None = None
    weight: str | None = None
    censored: Censored | None = None
    slices: Sequence[str] = field(default_factory=tuple)

    def spec(self) -> Spec:
        """Return the checked meaning of the columns; DataError names a column that is not there."""
        keys = (self.key,) if isinstance(self.key, str) else tuple(self.key)
        targets = (self.target,) if isinstance(self.target, str) else tuple(self.target or ())
        named = [*keys, *targets, *self.roles, *self.slices]
        named += [c for c in (self.time, self.group, self.known_at, self.weight) if c]
        named += self.censored.columns if self.censored else ()
        for column in named:
            if column not in self.table.columns:
                raise DataError(
                    f"`label` names column '{column}', which its table does not have."
                    f"{did_you_mean(column, self.table.columns)}"
                )
        given = {*named} - ({WEIGHT} if self.weight == WEIGHT else set())
        for column, why in ((WEIGHT, given), (CONFIDENCE, given), *((n, keys) for n in ANSWERS)):
            if column in why:
                raise DataError(
                    f"`label` has a column '{column}' of its own, and stages write one so called.",
                    fix="rename it in `clean`",
                )
        if self.weight and self.censored:
            raise DataError(
                "`weight` and `censored` of wb.Examples both say how much a row counts.",
                fix="give one of them",
            )
        if self.censored and {self.censored.followed, self.censored.known} & set(self.roles):
            raise DataError(
                "How long a row was followed is also a feature: the model would see the future.",
                fix="take the columns of wb.Censored out of the roles",
            )
        for target in targets:
            if target in self.roles:
                raise DataError(f"The target '{target}' is also a feature: the model would see it.")
        if self.task != "none" and not targets:
            raise DataError(f"Task {self.task} needs a `target` column.")
        if self.task in ("binary", "multiclass", "ranking") and len(targets) > 1:
            raise DataError(
                f"Task {self.task} has one `target`, not {len(targets)}.",
                fix="use task regression, or task none with an own `loss`",
            )
        return Spec(
            key=keys,
            roles=dict(self.roles),
            task=self.task,
            targets=targets,
            time=self.time,
            group=self.group,
            known_at=self.known_at,
            origin=self.origin,
            slices=tuple(self.slices),
            censored=self.censored,
        )

    def write(self, folder: Path) -> Spec:
        """Write `examples.parquet` and `examples.json` to `folder`."""
        import ibis

        spec = self.spec()
        sure = self.table[self.confidence] if self.confidence else ibis.literal(1.0)
        names = dict.fromkeys(
            [
                *spec.key,
                *(c for c in (spec.time, spec.group, *spec.targets, spec.known_at) if c),
                *spec.roles,
                *spec.slices,
                *(spec.censored.columns if spec.censored else ()),
            ]
        )
        more = {WEIGHT: self.table[self.weight].cast("float64")} if self.weight else {}
        table = self.table.select(*names, **{CONFIDENCE: sure.cast("float32")}, **more)
        order = [c for c in (spec.time,) if c] + [k for k in spec.key if k != spec.time]
        write_parquet(table, folder / "examples.parquet", order)
        write_json(folder / "examples.json", spec)
        return spec


def read_spec(folder: Path) -> Spec:
    """Read `examples.json`."""
    try:
        return read_json(folder / "examples.json", Spec)
    except msgspec.ValidationError as error:
        raise DataError(f"{folder / 'examples.json'} is damaged: {error}.") from None


def weights_of(rows: Any) -> np.ndarray | None:
    """How much each row of a side (Arrow) counts, float64 [rows]; None where all count the same."""
    if WEIGHT not in rows.column_names:
        return None
    return rows[WEIGHT].to_numpy(zero_copy_only=False)


def read_columns(path: Path, names: Iterable[str]) -> Any:
    """Those columns of a side that it has, as an Arrow table."""
    import pyarrow.parquet as pq

    there = set(pq.read_schema(path).names)
    return pq.read_table(path, columns=[name for name in dict.fromkeys(names) if name in there])


@dataclass(frozen=True)
class Sides:
    """Examples after the split: Ibis tables `train`, `valid` and `test`, and their meaning."""

    spec: Spec
    train: Any
    valid: Any
    test: Any


def read_sides(folder: Path, backend: Any) -> Sides:
    """Open what the split stage left."""
    tables = {side: backend.read_parquet(folder / f"{side}.parquet") for side in SIDES}
    return Sides(spec=read_spec(folder), **tables)
