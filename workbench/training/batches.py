"""Rows as tensors, and shuffled batches gathered at once: no per-row loader, no copy by column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from workbench.core.errors import PipelineError
from workbench.data.examples import WEIGHT, weights_of
from workbench.data.fitted import Fitted, arrays, codes, numbers
from workbench.data.tokens import TOKENIZER, read_tokenizer, token_ids

if TYPE_CHECKING:
    from workbench.core.records import Role
    from workbench.data.tables import Tables


def tensors(rows: Any, fitted: Fitted, data: Tables | None = None) -> dict[str, Tensor]:
    """Turn an Arrow table into the tensors that `forward` takes, by role.

    number float32 [rows], word int64 codes [rows], time int64 [rows], list int64 codes
    [rows, longest], image uint8 [rows, h, w, c], text int64 tokens [rows, longest] by the asset
    `tokenizer.json` of `data`.
    """
    roles: dict[str, Role] = {name: fit.role for name, fit in fitted.columns.items()}
    found: dict[str, Tensor] = {}
    for name in sorted(roles):
        # One column at a time: words as objects need ten times the memory of their codes.
        raw = arrays(rows, {name: roles[name]})[name]
        if roles[name] in ("word", "list"):
            found[name] = torch.from_numpy(codes(raw, fitted.columns[name].words))
        elif roles[name] == "text":
            found[name] = tokens(data, raw.tolist())
        else:
            found[name] = torch.from_numpy(raw.copy())  # Arrow's memory is read-only
    return {name: found[name] for name in sorted(found)}


def row_weights(rows: Any, mean: float) -> dict[str, Tensor]:
    """The column with how much each row counts, over `mean`, float32 [rows]; none where all do."""
    weight = weights_of(rows)
    return {} if weight is None else {WEIGHT: torch.from_numpy(weight / mean).to(torch.float32)}


def tokens(data: Tables | None, texts: Sequence[str]) -> Tensor:
    """Return token ids of `texts`, int64 [texts, longest], by the asset `tokenizer.json` of `data`.

    The bundle carries that file, so what is served reads text as training did.
    """
    if data is None or TOKENIZER not in data.assets:
        raise PipelineError(
            f"Text needs a tokenizer, and the data has no asset '{TOKENIZER}'.",
            fix=f"return `wb.Tables(..., assets={{'{TOKENIZER}': path}})` from `collect`",
        )
    return torch.from_numpy(token_ids(read_tokenizer(data.assets[TOKENIZER]), texts))


def targets(rows: Any, fitted: Fitted) -> Tensor | None:
    """Return the target of `rows` as `loss` gets it.

    binary float32 0/1 [rows]; multiclass int64 class numbers [rows]; ranking int64 item codes
    [rows], 0 where training never saw the item; regression float32 standardised, [rows], or
    [rows, targets] when there are several; none the same, not standardised, or None without any.
    """
    if not fitted.targets:
        return None
    if fitted.task == "multiclass":
        place = {name: i for i, name in enumerate(fitted.classes)}
        return torch.tensor([place.get(str(v), 0) for v in rows[fitted.target].to_pylist()])
    if fitted.task == "ranking":
        words = rows[fitted.target].cast("string").to_numpy(zero_copy_only=False)
        return torch.from_numpy(codes(words, fitted.classes))
    columns = [torch.from_numpy(numbers(rows[target]).copy()) for target in fitted.targets]
    value = torch.stack(columns, dim=1)
    if fitted.task == "regression":
        value = (value - torch.tensor(fitted.target_means)) / torch.tensor(fitted.target_stds)
    return value.to(torch.float32).squeeze(1)


@dataclass
class Batches:
    """All rows on one device, packed by kind, so that a batch is one gather for each kind.

    Columns of one element a row and equal type stand in one matrix and come back as its views.
    """

    packed: list[tuple[list[str], Tensor]]
    target: Tensor | None
    rows: int

    @classmethod
    def of(
        cls, columns: Mapping[str, Tensor], target: Tensor | None, device: torch.device
    ) -> Batches:
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
