"""Rows as tensors, and shuffled batches gathered at once: no per-row loader, no copy by column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workbench.core.errors import PipelineError
from workbench.data.fitted import Fitted, arrays, codes

Encode = Callable[[Any, Fitted, Any], Mapping[str, Any]]


def tensors(rows: Any, fitted: Fitted, encode: Encode | None = None, data: Any = None) -> dict[str, Tensor]:
    """Turn an Arrow table into the tensors that `forward` takes, by role.

    number float32 [rows], word int64 codes [rows], time int64 [rows], list int64 codes
    [rows, longest], image uint8 [rows, h, w, c]. A pipeline's `encode` gives text columns (and
    overrides others).
    """
    roles = {name: fit.role for name, fit in fitted.columns.items()}
    encoded = dict(encode(rows, fitted, data)) if encode else {}
    found: dict[str, Tensor] = {}
    for name, raw in arrays(rows, {n: r for n, r in roles.items() if n not in encoded}).items():
        if roles[name] in ("word", "list"):
            coded = codes(raw, fitted.columns[name].words)
            # Padding of a list is the empty word: code 0, like an unknown one.
            found[name] = torch.from_numpy(coded)
        elif roles[name] == "text":
            raise PipelineError(
                f"Column '{name}' is text, and the pipeline has no `encode` that turns it into tokens.",
                fix="define `encode(rows, fitted, data)`, or give the column another role",
            )
        else:
            found[name] = torch.from_numpy(raw.copy())  # Arrow's memory is read-only
    found.update({name: torch.as_tensor(value) for name, value in encoded.items()})
    return {name: found[name] for name in sorted(found)}


def targets(rows: Any, fitted: Fitted) -> Tensor | None:
    """Return the target: float32 for binary and (standardised) regression, int64 classes."""
    if not fitted.target or fitted.task in ("none",):
        return None
    column = rows[fitted.target]
    if fitted.task == "multiclass":
        place = {name: i for i, name in enumerate(fitted.classes)}
        return torch.tensor([place.get(str(v), 0) for v in column.to_pylist()])
    if fitted.task == "ranking":
        return torch.from_numpy(codes(column.cast("string").to_numpy(zero_copy_only=False),
                                      _words_of_target(fitted)))
    value = torch.from_numpy(column.cast("float64").to_numpy(zero_copy_only=False).copy())
    if fitted.task == "regression":
        value = (value - fitted.target_mean) / fitted.target_std
    return value.to(torch.float32)


def _words_of_target(fitted: Fitted) -> tuple[str, ...]:
    """A ranking's target is an item: its code is that of the list column that it extends."""
    for fit in fitted.columns.values():
        if fit.role == "list":
            return fit.words
    raise PipelineError("Task ranking needs a column with role `list`, a history of items.")


@dataclass
class Batches:
    """All rows on one device, packed by kind, so that a batch is one gather for each kind.

    Columns of one element a row and equal type stand in one matrix and come back as its views.
    """

    packed: list[tuple[list[str], Tensor]]
    target: Tensor | None
    rows: int

    @classmethod
    def of(cls, columns: Mapping[str, Tensor], target: Tensor | None, device: torch.device) -> Batches:
        """Pack `columns` (each [rows, ...]) and `target` on `device`."""
        kinds: dict[torch.dtype, list[str]] = {}
        packed: list[tuple[list[str], Tensor]] = []
        for name, column in columns.items():
            if column.dim() == 1:
                kinds.setdefault(column.dtype, []).append(name)
            else:
                packed.append(([name], column.to(device)))
        for names in kinds.values():
            packed.append((names, torch.stack([columns[n] for n in names], dim=1).to(device)))
        rows = len(next(iter(columns.values())))
        return cls(packed, target.to(device) if target is not None else None, rows)

    def take(self, index: Tensor | slice) -> tuple[dict[str, Tensor], Tensor | None]:
        """Return columns and target of the rows at `index`."""
        columns: dict[str, Tensor] = {}
        for names, block in self.packed:
            part = block[index] if isinstance(index, slice) else block.index_select(0, index)
            if len(names) == 1 and block.dim() > 1 and block.shape[1:] != (1,):
                columns[names[0]] = part
            else:
                columns.update(zip(names, part.unbind(1), strict=True))
        return columns, None if self.target is None else self.target[index]

    def shuffled(self, size: int, seed: int, rank: int = 0, world: int = 1) -> Iterator[Tensor]:
        """Yield this process's row numbers of each shuffled batch of `size` rows (all processes).

        The order depends on `seed` alone, not on the device or the number of processes.
        """
        order = torch.randperm(self.rows, generator=torch.Generator().manual_seed(seed))
        device = self.packed[0][1].device
        for start in range(0, self.rows, size):
            batch = order[start : start + size]
            # Every process has the same number of rows: collective operations must match.
            share = batch[: len(batch) // world * world] if world > 1 else batch
            if len(share):
                yield share[rank::world].to(device)

    def in_order(self, size: int) -> Iterator[slice]:
        """Yield slices over all rows."""
        for start in range(0, self.rows, size):
            yield slice(start, min(start + size, self.rows))
