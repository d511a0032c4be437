"""Preprocessing as a torch module, so that it is trained, exported and served as one thing."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from workbench.data.fitted import ColumnFit, Fitted

_CLIP = 10.0
_HIDDEN_WORDS = 0.03


DAY_S, YEAR_S = 86_400, 31_556_952


def calendar(seconds: Tensor, *, year: bool = True) -> Tensor:
    """Calendar parts of `seconds` since 1970-01-01 UTC (int64 [rows]), float [rows, 4 or 6].

    Sine and cosine of the hour of the day, of the day of the week and, with `year`, of the day of
    the year (of 365.2425 days). ONNX has no dates; integer arithmetic in the graph needs no rule
    outside it.
    """
    parts = [
        torch.remainder(seconds, DAY_S).to(torch.float32) / DAY_S,
        torch.remainder(seconds + 3 * DAY_S, 7 * DAY_S).to(torch.float32) / (7 * DAY_S),
    ]
    if year:
        parts.append(torch.remainder(seconds, YEAR_S).to(torch.float32) / YEAR_S)
    angle = torch.stack(parts, dim=1) * (2 * torch.pi)
    return torch.cat([torch.sin(angle), torch.cos(angle)], dim=1)


def spans_a_year(fit: ColumnFit) -> bool:
    """Whether the training side saw every season: else the season only says which part it was."""
    return fit.high - fit.low > YEAR_S


class Columns(nn.Module):
    """Turn raw named columns into one feature matrix, float32 [rows, `width`].

    Numbers: a missing one becomes the median of the training side and raises a flag of its own;
    heavy tails are seen through the signed logarithm; all are standardised and clipped at ten
    deviations. Words: an embedding of the code. Times: their calendar parts. Columns of other
    roles are left to the model.

    rare: whether words that training saw fewer than OFTEN times count as unknown, and a few of
    the others as well while training, so that an unknown word has learnt what to mean.
    """

    median: Tensor
    mean: Tensor
    std: Tensor
    log: Tensor
    flag_at: Tensor

    def __init__(
        self, fitted: Fitted, *, only: tuple[str, ...] | None = None, rare: bool = False
    ) -> None:
        super().__init__()
        chosen = {n: f for n, f in fitted.columns.items() if only is None or n in only}
        self.numbers = [n for n, f in chosen.items() if f.role == "number"]
        self.words = [n for n, f in chosen.items() if f.role == "word"]
        self.times = [n for n, f in chosen.items() if f.role == "time"]
        self.seasons = [spans_a_year(chosen[n]) for n in self.times]
        fits = [chosen[n] for n in self.numbers]
        self.register_buffer("median", torch.tensor([f.median for f in fits]))
        self.register_buffer("mean", torch.tensor([f.mean for f in fits]))
        self.register_buffer("std", torch.tensor([f.std for f in fits]))
        self.register_buffer("log", torch.tensor([f.log for f in fits]))
        self.flagged = [i for i, f in enumerate(fits) if f.missing_fraction > 0]
        self.register_buffer("flag_at", torch.tensor(self.flagged, dtype=torch.int64))
        self.rare = rare
        counts = [chosen[n].often if rare else len(chosen[n].words) for n in self.words]
        self.embeddings = nn.ModuleList(
            nn.Embedding(count + 1, embedding_width(count)) for count in counts
        )
        self.width = (
            len(self.numbers)
            + len(self.flagged)
            + sum(embedding_width(count) for count in counts)
            + sum(6 if season else 4 for season in self.seasons)
        )

    def forward(self, columns: Mapping[str, Tensor]) -> Tensor:
        """Return the feature matrix of `columns` (float or int64 [rows] each)."""
        parts: list[Tensor] = []
        if self.numbers:
            raw = torch.stack([columns[name] for name in self.numbers], dim=1)
            missing = torch.isnan(raw)
            value = torch.where(missing, self.median, raw)
            value = torch.where(self.log, torch.sign(value) * torch.log1p(torch.abs(value)), value)
            parts.append(((value - self.mean) / self.std).clamp(-_CLIP, _CLIP))
            if self.flagged:
                parts.append(missing.index_select(1, self.flag_at).to(value.dtype))
        for name, embedding in zip(self.words, self.embeddings, strict=True):
            code = columns[name]
            parts.append(embedding(self._known(code, embedding) if self.rare else code))
        for name, season in zip(self.times, self.seasons, strict=True):
            parts.append(calendar(columns[name], year=season))
        return torch.cat(parts, dim=1)

    def _known(self, code: Tensor, embedding: nn.Module) -> Tensor:
        """`code`, or 0 where the word is rare or, in training, hidden."""
        assert isinstance(embedding, nn.Embedding)  # made so above
        code = torch.where(code < embedding.num_embeddings, code, 0)
        if self.training:
            code = torch.where(torch.rand(code.shape, device=code.device) < _HIDDEN_WORDS, 0, code)
        return code


def embedding_width(words: int) -> int:
    """Width of a word's embedding: grows slowly with the number of words, at most 32."""
    return max(1, min(32, round(1.6 * (words + 1) ** 0.4)))


class MLP(nn.Module):
    """Columns followed by a multilayer perceptron; the plain good choice for tables.

    hidden: widths of the hidden layers. outputs: 1 for binary and regression (then the result is
    [rows]), else the number of classes ([rows, classes]).
    """

    def __init__(
        self, fitted: Fitted, hidden: list[int], *, dropout: float = 0.0, outputs: int | None = None
    ) -> None:
        super().__init__()
        self.columns = Columns(fitted)
        count = outputs or len(fitted.classes) or 1
        self.single = count == 1  # ONNX refuses to squeeze what torch leaves alone
        layers: list[nn.Module] = []
        width = self.columns.width
        for size in hidden:
            layers += [nn.Linear(width, size), nn.SiLU()]
            if dropout:
                layers.append(nn.Dropout(dropout))
            width = size
        self.layers = nn.Sequential(*layers, nn.Linear(width, count))

    def forward(self, columns: Mapping[str, Tensor]) -> Tensor:
        """Return logits (or the standardised value), [rows] or [rows, classes]."""
        answer = self.layers(self.columns(columns))
        return answer.squeeze(-1) if self.single else answer
