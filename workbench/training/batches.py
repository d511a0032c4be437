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

TEXTS_AT_ONCE = 8192

if TYPE_CHECKING:
    from workbench.core.records import Role
    from workbench.data.tables import Tables


def tensors(rows: Any, fitted: Fitted, data: Tables | None = None) -> dict[str, Tensor]:
    """Turn an Arrow table into the tensors that `forward` takes, by role.

    number float32 [rows], word int64 codes [rows], time int64 [rows], list int64 codes
    [rows, longest], image uint8 [rows, h, w, c], text int64 tokens [rows, longest] by the asset
    `tokenizer.json` of `data`.
    """
    return {name: wide(column) for name, column in _columns(rows, fitted, data)}


def _columns(rows: Any, fitted: Fitted, data: Tables | None) -> Iterator[tuple[str, Tensor]]:
    """Yield the columns by name, each as small as it fits.

    One at a time: words as objects need ten times the memory of their codes.
    """
    roles: dict[str, Role] = {name: fit.role for name, fit in fitted.columns.items()}
    for name in sorted(roles):
        raw = arrays(rows, {name: roles[name]})[name]
        if roles[name] in ("word", "list"):
            yield name, narrow(torch.from_numpy(codes(raw, fitted.columns[name].words)))
        elif roles[name] == "text":
            yield name, _tokens(data, raw)
        else:
            yield name, narrow(torch.from_numpy(raw.copy()))  # Arrow's memory is read-only


def row_weights(rows: Any, mean: float) -> dict[str, Tensor]:
    """The column with how much each row counts, over `mean`, float32 [rows]; none where all do."""
    weight = weights_of(rows)
    return {} if weight is None else {WEIGHT: torch.from_numpy(weight / mean).to(torch.float32)}


def tokens(data: Tables | None, texts: Sequence[str]) -> Tensor:
    """Return token ids of `texts`, int64 [texts, longest], by the asset `tokenizer.json` of `data`.

    The bundle carries that file, so what is served reads text as training did.
    """
    return wide(_tokens(data, texts))


def _tokens(data: Tables | None, texts: Any) -> Tensor:
    """Token ids as small as they fit; some texts at a time, whose encodings need kilobytes each."""
    if data is None or TOKENIZER not in data.assets:
        raise PipelineError(
            f"Text needs a tokenizer, and the data has no asset '{TOKENIZER}'.",
            fix=f"return `wb.Tables(..., assets={{'{TOKENIZER}': path}})` from `collect`",
        )
    tokenizer = read_tokenizer(data.assets[TOKENIZER])
    padding = (tokenizer.padding or {}).get("pad_id", 0)
    parts = [
        narrow(torch.from_numpy(token_ids(tokenizer, list(texts[at : at + TEXTS_AT_ONCE]))))
        for at in range(0, max(len(texts), 1), TEXTS_AT_ONCE)
    ]
    if len(parts) == 1:
        return parts[0]
    kind = max((part.dtype for part in parts), key=lambda dtype: dtype.itemsize)
    longest = max(part.shape[1] for part in parts)
    whole = torch.full((len(texts), longest), padding, dtype=kind)
    for number, part in enumerate(parts):
        at = number * TEXTS_AT_ONCE
        whole[at : at + len(part), : part.shape[1]] = part
    return whole


def narrow(column: Tensor) -> Tensor:
    """`column` in as few bytes as hold every value of it, if it is int64: codes are small."""
    if column.dtype != torch.int64 or not column.numel():
        return column
    low, high = (int(end) for end in torch.aminmax(column))
    for kind in (torch.int16, torch.int32):
        bounds = torch.iinfo(kind)
        if bounds.min <= low and high <= bounds.max:
            return column.to(kind)
    return column


def wide(column: Tensor) -> Tensor:
    """What `narrow` made small as int64 again."""
    return column.to(torch.int64) if column.dtype in (torch.int16, torch.int32) else column


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
    Whole numbers are kept as small as they fit, and are int64 in a batch.
    """

    packed: list[tuple[list[str], Tensor]]
    target: Tensor | None
    rows: int

    @classmethod
    def read(
        cls, rows: Any, fitted: Fitted, data: Tables | None, mean: float, device: torch.device
    ) -> Batches:
        """Pack an Arrow table with its target and its weights over `mean`, column by column."""
        columns = dict(_columns(rows, fitted, data)) | row_weights(rows, mean)
        return cls.of(columns, targets(rows, fitted), device)

    @classmethod
    def of(
        cls, columns: Mapping[str, Tensor], target: Tensor | None, device: torch.device
    ) -> Batches:
        """Pack `columns` (each [rows, ...]) and `target` on `device`."""
        kinds: dict[torch.dtype, list[str]] = {}
        packed: list[tuple[list[str], Tensor]] = []
        small = {name: narrow(column) for name, column in columns.items()}
        for name, column in small.items():
            if column.dim() == 1:
                kinds.setdefault(column.dtype, []).append(name)
            else:
                packed.append(([name], column.to(device)))
        for names in kinds.values():
            packed.append((names, torch.stack([small[n] for n in names], dim=1).to(device)))
        rows = len(next(iter(columns.values())))
        return cls(packed, target.to(device) if target is not None else None, rows)

    def take(self, index: Tensor | slice) -> tuple[dict[str, Tensor], Tensor | None]:
        """Return columns and target of the rows at `index`."""
        columns: dict[str, Tensor] = {}
        for names, block in self.packed:
            part = wide(block[index] if isinstance(index, slice) else block.index_select(0, index))
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
