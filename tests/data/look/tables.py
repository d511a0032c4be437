"""Small tables as a person has them: text in every cell, in any spelling."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import ibis
import pyarrow as pa

from workbench.data.look.beliefs import Belief, Corrections, Look
from workbench.data.look.looking import look

ROWS = 400


def spread(make: Callable[[random.Random], Any], rows: int = ROWS, seed: int = 1) -> list[Any]:
    """A column: `make` with a seeded chance, once a row."""
    chance = random.Random(seed)
    return [make(chance) for _ in range(rows)]


def outcome(rows: int = ROWS) -> list[str]:
    """A target that nothing tells: a third says yes."""
    return spread(lambda chance: "yes" if chance.random() < 0.33 else "no", rows, seed=99)


def table_of(columns: dict[str, Sequence[Any]]) -> Any:
    """An Ibis table; columns of text unless they say otherwise."""
    return ibis.memtable(pa.table({name: pa.array(values) for name, values in columns.items()}))


def seen(
    columns: dict[str, Sequence[Any]], target: str = "bought", said: Corrections | None = None
) -> Look:
    """Look at `columns`, with a target of two words unless they hold it."""
    if target == "bought" and target not in columns:
        columns = columns | {target: outcome(len(next(iter(columns.values()))))}
    return look(table_of(columns), target, said or Corrections())


def belief(values: Sequence[Any], name: str = "thing") -> Belief:
    """What is believed of one column beside a target."""
    return of(seen({name: values}), name)


def of(found: Look, name: str) -> Belief:
    """The belief about one column."""
    return next(one for one in found.columns if one.name == name)
