"""What the workbench believes of a person's table, and what the person says instead."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from workbench.core.errors import DataError, did_you_mean
from workbench.core.records import Task
from workbench.data.kinds import Kind

Use = Literal["feature", "target", "key", "group", "time", "left out"]
TASKS = ("binary", "multiclass", "regression")


@dataclass(frozen=True)
class Belief:
    """What one column is believed to be.

    kind: None where none fits (a list, bytes). why: a sentence for people. missing_fraction: with
    the spellings of missing that `kind` names. distinct: on the sample. unparsed_fraction: of the
    values that are there, those that `kind` cannot read. examples: up to three, cut short.
    """

    name: str
    kind: Kind | None
    use: Use
    why: str
    missing_fraction: float
    distinct: int
    examples: tuple[str, ...] = ()
    unparsed_fraction: float = 0.0


@dataclass(frozen=True)
class Suspicion:
    """A column that may give the answer away.

    strength: of the column alone: area under the curve (binary), accuracy (multiclass), absolute
    rank correlation (regression); None where the suspicion rests on something else. certain: it
    is left out unless a person keeps it.
    """

    column: str
    why: str
    strength: float | None = None
    certain: bool = False


@dataclass(frozen=True)
class Class:
    """One value of the target and the rows that have it."""

    value: str
    rows: int


@dataclass(frozen=True)
class Look:
    """What one look at a table found: enough to write a pipeline from.

    positive: the target's value that counts as 1, as `wb.word` reads it. classes: by falling
    count; empty for regression. rare: classes with too few rows to learn from, whose rows leave.
    rows_learnt: rows that stay. key: columns that name a row, empty when none do: `wb.keyed`.
    target_kind: how the target is read. later: date columns that are not known at `time`.
    """

    rows: int
    sampled_rows: int
    columns: tuple[Belief, ...]
    target: str
    target_kind: Kind
    task: Task
    why_task: str
    positive: str | None
    classes: tuple[Class, ...]
    rare: tuple[Class, ...]
    rows_learnt: int
    key: tuple[str, ...]
    time: str | None
    group: str | None
    warnings: tuple[str, ...]
    leaks: tuple[Suspicion, ...]

    @property
    def features(self) -> dict[str, Kind]:
        """Kinds of the columns that the model sees: features, and the calendar of `time`."""
        certain = {leak.column for leak in self.leaks if leak.certain}
        return {
            belief.name: belief.kind
            for belief in self.columns
            if belief.kind is not None
            and (belief.use == "feature" or (belief.use == "time" and belief.name not in certain))
        }


@dataclass(frozen=True)
class Corrections:
    """A person's word, which wins. key, time and group: "" says that there is none.

    drop: columns that are left out; keep: columns that are features whatever is believed; only:
    the columns that may be features, where not all of them. Names of these three may be patterns,
    such as `gene_*`.
    """

    kinds: Mapping[str, Kind] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    task: Task | None = None
    positive: str | None = None
    key: str | tuple[str, ...] | None = None
    time: str | None = None
    group: str | None = None

    @property
    def keys(self) -> tuple[str, ...] | None:
        """The columns of `key`, () for none, None where the person said nothing."""
        if isinstance(self.key, str):
            return (self.key,) if self.key else ()
        return self.key

    def among(self, columns: Iterable[str]) -> Corrections:
        """Return the same with names in place of patterns; what is no column's name stays."""
        known = list(columns)

        def named(words: tuple[str, ...]) -> tuple[str, ...]:
            found = [
                [word] if word in known else fnmatch.filter(known, word) or [word] for word in words
            ]
            return tuple(dict.fromkeys(name for names in found for name in names))

        return replace(self, **{p: named(getattr(self, p)) for p in ("drop", "keep", "only")})

    def leaves_out(self, name: str) -> bool:
        """Whether a person does not want the column as a feature."""
        return name in self.drop or bool(self.only and name not in (*self.only, *self.keep))

    def check(self, columns: Iterable[str], target: str) -> None:
        """Raise DataError for a column that does not exist, or for words that contradict."""
        known = list(columns)
        named = {"kinds": self.kinds, "drop": self.drop, "keep": self.keep, "only": self.only}
        named |= {"key": self.keys or ()}
        named |= {"time": filter(None, [self.time]), "group": filter(None, [self.group])}
        for what, names in named.items():
            for name in names:
                if name not in known:
                    raise _no_column(what, name, known)
        for name in self.keep:
            if name in self.drop:
                raise DataError(f"Column '{name}' is both kept and dropped.", fix="say one of them")
        if target in (
            *self.drop,
            *self.keep,
            *self.only,
            *(self.keys or ()),
            self.time,
            self.group,
        ):
            raise DataError(
                f"'{target}' is the target, and a correction gives it another use.",
                fix="take it out of the corrections, or name another target",
            )
        if self.task is not None and self.task not in TASKS:
            raise DataError(f"No task '{self.task}' here.{did_you_mean(self.task, TASKS)}")


def _no_column(what: str, name: str, known: list[str]) -> DataError:
    """The sentence for a name that is none; other letter case and blanks are the usual reasons."""
    lower = name.lower()
    same = next((one for one in known if one.lower() == lower), None)
    longer = next((one for one in known if " " in one and lower in one.lower().split()), None)
    hint = f" Did you mean '{same or longer}'?" if same or longer else did_you_mean(name, known)
    blanks = longer is not None and same is None
    return DataError(
        f"The correction `{what}` names column '{name}', which the table does not have.{hint}",
        fix=f'put a name with blanks into quotes: "{longer}"' if blanks else None,
    )
