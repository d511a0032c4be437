"""Rows that the model never saw, as a client would send them, and what turned out to be true."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from workbench.core.errors import MissingError
from workbench.core.files import read_json
from workbench.core.paths import Paths
from workbench.data.examples import WEIGHT, Spec

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 2000
"""That are kept in memory; whoever sends more begins again."""


@dataclass(frozen=True)
class Heldout:
    """One decision of the test side.

    fields: the inputs by name, ready for JSON: times as ISO text, missing values as None. Neither
    label nor key is among them, unless the model takes it. outcome: what turned out to be true;
    None where it is not known.
    """

    fields: dict[str, Any]
    outcome: Any


def heldout(paths: Paths, pipeline: str, inputs: Iterable[str], *, seed: int) -> list[Heldout]:
    """Up to ROWS rows of the test side in an order that `seed` gives.

    inputs: the columns that the model takes. MissingError before the split stage has run, or where
    it left none of them.
    """
    folder = paths.stage("split", pipeline)
    again = f"`workbench repro {pipeline}` brings it back"
    try:
        spec = read_json(folder / "examples.json", Spec)
        table = _some(folder / "test.parquet", seed)
    except FileNotFoundError:
        raise MissingError(f"There is no test side of '{pipeline}' here.", fix=again) from None
    except msgspec.DecodeError as error:
        raise MissingError(
            f"The test side of '{pipeline}' is damaged: {error}.", fix=again
        ) from None
    named = [name for name in inputs if name in table.column_names]
    if not named or not table.num_rows:
        raise MissingError(
            f"The test side of '{pipeline}' has no rows with the inputs of its model.", fix=again
        )
    rows = table.select(named).to_pylist()
    return [
        Heldout({name: sendable(value) for name, value in row.items()}, outcome)
        for row, outcome in zip(rows, _outcomes(table, spec), strict=True)
    ]


def sendable(value: Any) -> Any:
    """A value as JSON has it: times as ISO 8601, decimals as numbers, no NaN."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else None  # neither NaN nor infinite
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    if isinstance(value, bytes):
        import base64

        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {str(name): sendable(part) for name, part in value.items()}
    if isinstance(value, Sequence):
        return [sendable(part) for part in value]
    return float(value)


def _some(path: Any, seed: int) -> pa.Table:
    import numpy as np
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    order = np.random.default_rng(seed).permutation(table.num_rows)[:ROWS]
    return table.take(order)


def _outcomes(table: pa.Table, spec: Spec) -> list[Any]:
    """The main label; a row that does not count is one whose outcome nobody knows yet."""
    if spec.target is None or spec.target not in table.column_names:
        return [None] * table.num_rows
    known = [sendable(value) for value in table[spec.target].to_pylist()]
    if WEIGHT not in table.column_names:
        return known
    weights = table[WEIGHT].to_pylist()
    return [value if weight else None for value, weight in zip(known, weights, strict=True)]
