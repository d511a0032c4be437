"""The default model of any table: members that share weights, over numbers seen in bins.

Ideas: quantile bins from Gorishniy et al. 2022 (arXiv 2203.05556), members that share their
matrices from Wen et al. 2020 (arXiv 2002.06715) and Gorishniy et al. 2024 (arXiv 2410.24210).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.core.errors import PipelineError
from workbench.data.fitted import Fitted
from workbench.training.columns import DAY_S, Columns

_BIN_FEATURES = 6_000
_BUCKETS, _TEXT_WIDTH = 4_096, 16


class Bins(nn.Module):
    """Numbers and times as places between quantiles, float32 [rows, `width`], all 0..1.

    The feature of a bin rises from 0 to 1 across it, so a linear layer on all of them is any
    piecewise linear function: thresholds, as trees have them, cost one weight each. A missing
    number is the median here; a missing time raises a flag.
    """

    start: Tensor
    scale: Tensor
    median: Tensor

    def __init__(self, fitted: Fitted, bins: int) -> None:
        super().__init__()
        columns = fitted.columns
        self.numbers = [n for n, f in columns.items() if f.role == "number"]
        self.times = [n for n, f in columns.items() if f.role == "time"]
        self.origin = [int(columns[n].low) for n in self.times]
        self.flagged = [n for n in self.times if columns[n].missing_fraction > 0]
        count = len(self.numbers) + len(self.times)
        self.bins = min(bins, max(4, _BIN_FEATURES // max(count, 1)))
        borders = [_borders(columns[n].quantiles, self.bins) for n in self.numbers]
        borders += [
            _borders(tuple((q - low) / DAY_S for q in columns[n].quantiles), self.bins)
            for n, low in zip(self.times, self.origin, strict=True)
        ]
        start, scale = torch.zeros(count, self.bins), torch.zeros(count, self.bins)
        for i, border in enumerate(borders):
            start[i, : len(border) - 1] = border[:-1]
            scale[i, : len(border) - 1] = 1 / border.diff()
        self.register_buffer("start", start)
        self.register_buffer("scale", scale)
        self.register_buffer("median", torch.tensor([columns[n].median for n in self.numbers]))
        self.width = count * self.bins + len(self.flagged)

    def forward(self, columns: Mapping[str, Tensor]) -> Tensor:
        """Return the features of `columns`: float32 [rows] for numbers, int64 [rows] for times."""
        parts: list[Tensor] = []
        if self.numbers:
            raw = torch.stack([columns[name] for name in self.numbers], dim=1)
            parts.append(torch.where(torch.isnan(raw), self.median, raw))
        for name, low in zip(self.times, self.origin, strict=True):
            # Subtracted as integers: a float32 knows seconds since 1970 to two minutes only.
            parts.append(((columns[name] - low).to(torch.float32) / DAY_S).unsqueeze(1))
        value = torch.cat(parts, dim=1).unsqueeze(2)
        places = ((value - self.start) * self.scale).clamp(0, 1).flatten(1)
        flags = [(columns[name] == 0).to(places.dtype).unsqueeze(1) for name in self.flagged]
        return torch.cat([places, *flags], dim=1) if flags else places


def _borders(quantiles: tuple[float, ...], bins: int) -> Tensor:
    """At most `bins` + 1 rising borders out of `quantiles`, float32, or a single one."""
    every = torch.unique(torch.tensor(quantiles or (0.0,), dtype=torch.float32))
    some = torch.linspace(0, len(every) - 1, min(bins + 1, len(every))).round().long()
    return every[some]


class Texts(nn.Module):
    """Mean over a text of the embeddings of three tokens in a row, hashed, [rows, 16 a column].

    With a tokenizer by bytes these are parts of words in any language, and no vocabulary is
    learnt. Token 0 is padding.
    """

    def __init__(self, fitted: Fitted) -> None:
        super().__init__()
        self.texts = [n for n, f in fitted.columns.items() if f.role == "text"]
        self.embeddings = nn.ModuleList(nn.Embedding(_BUCKETS, _TEXT_WIDTH) for _ in self.texts)
        self.width = _TEXT_WIDTH * len(self.texts)

    def forward(self, columns: Mapping[str, Tensor]) -> Tensor:
        """Return the features of `columns` (int64 [rows, tokens] each)."""
        parts: list[Tensor] = []
        for name, embedding in zip(self.texts, self.embeddings, strict=True):
            token = columns[name]
            before = F.pad(token, (2, 0))
            bucket = (token * 31 + before[:, 1:-1] * 1_009 + before[:, :-2] * 7_919) % _BUCKETS
            there = (token > 0).to(torch.float32).unsqueeze(2)
            count = there.sum(1).clamp(min=1)
            # By the root of their number: a mean of many would start close to nothing.
            parts.append((embedding(bucket) * there).sum(1) / count.sqrt())
        return torch.cat(parts, dim=1)


class Shared(nn.Module):
    """A linear layer of several members: one matrix, with each member's own scales and bias.

    The scales are put on the matrix rather than on the rows, of which there are many more.
    """

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs).uniform_(-1, 1) * inputs**-0.5)
        self.before = nn.Parameter(torch.ones(members, inputs, 1))
        self.after = nn.Parameter(torch.ones(members, 1, outputs))
        self.bias = nn.Parameter(torch.empty(members, 1, outputs).uniform_(-1, 1) * inputs**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """From [members, rows, inputs] to [members, rows, outputs]."""
        return torch.baddbmm(self.bias, x, self.weight * self.before * self.after)


class Tabular(nn.Module):
    """The plain very good choice for tables: as good as gradient boosting, in one ONNX file.

    Numbers are seen standardised and in quantile bins, words by embeddings in which rare ones
    are one, times by calendar and position, texts by hashed parts of words; columns of other
    roles are not read. On top, `members`
    networks of `layers` hidden layers of `width` share their matrices and differ by scales: the
    answer is their mean, at little more than the price of one.

    While it trains, it answers with every member, [members, rows] or [members, rows, outputs],
    and the default loss judges each by itself; else with the mean, [rows] or [rows, outputs].
    outputs: by default the number of classes or of targets. PipelineError if no column of
    `fitted` can be read.
    """

    def __init__(
        self,
        fitted: Fitted,
        *,
        width: int = 96,
        layers: int = 2,
        members: int = 8,
        bins: int = 32,
        dropout: float = 0.1,
        outputs: int | None = None,
    ) -> None:
        super().__init__()
        columns, binned, texts = Columns(fitted, rare=True), Bins(fitted, bins), Texts(fitted)
        self.parts = nn.ModuleList(part for part in (columns, binned, texts) if part.width)
        if not self.parts:
            raise PipelineError(
                "A model of a table has no number, word, time or text to read.",
                fix="give the examples a column with such a role",
            )
        inputs = sum(part.width for part in (columns, binned, texts))
        count = outputs or len(fitted.classes) or max(len(fitted.target_means), 1)
        self.single = count == 1  # ONNX refuses to squeeze what torch leaves alone
        self.dropout = dropout
        self.enter = nn.Linear(inputs, width, bias=False)
        # Random signs make the members differ from the first step on.
        self.sign = nn.Parameter(torch.randint(0, 2, (members, 1, width)) * 2.0 - 1)
        self.shift = nn.Parameter(torch.empty(members, 1, width).uniform_(-1, 1) * 0.1)
        self.hidden = nn.ModuleList(Shared(members, width, width) for _ in range(layers - 1))
        self.head = nn.Parameter(torch.empty(members, width, count).uniform_(-1, 1) * width**-0.5)
        self.level = nn.Parameter(torch.zeros(members, 1, count))

    def forward(self, columns: Mapping[str, Tensor]) -> Tensor:
        """Return logits (or standardised values) of `columns`."""
        x = self.enter(torch.cat([part(columns) for part in self.parts], dim=1))
        x = self._drop(F.relu(torch.addcmul(self.shift, x, self.sign)))
        for layer in self.hidden:
            x = self._drop(F.relu(layer(x)))
        answer = torch.baddbmm(self.level, x, self.head)
        answer = answer if self.training else answer.mean(0)
        return answer.squeeze(-1) if self.single else answer

    def _drop(self, x: Tensor) -> Tensor:
        """Dropout with one draw for all members: drawing for each costs as much as the layer."""
        if not self.training or not self.dropout:
            return x
        return x * F.dropout(torch.ones_like(x[0]), self.dropout)
