"""Default losses by task, and what a raw output means."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.core.errors import PipelineError
from workbench.data.examples import WEIGHT
from workbench.data.fitted import Fitted

Loss = Callable[[nn.Module, Mapping[str, Tensor], Any], Tensor]
"""From model, columns and target (as `targets` gives it; None without any) to a scalar.

Where rows do not all count the same, `columns["label_weight"]` says how much each does; it is no
column of the model. Over the training side its mean is 1.
"""


def positive_weight(fitted: Fitted, balance: str) -> float:
    """Weight of a positive row in a binary loss: 1, the root of the imbalance, or all of it."""
    if fitted.task != "binary" or balance == "none":
        return 1.0
    odds = (1 - fitted.positive_fraction) / fitted.positive_fraction
    return math.sqrt(odds) if balance == "sqrt" else odds


def default_loss(fitted: Fitted, balance: str) -> Loss:
    """Return the loss of a task: cross-entropy, or the squared error over all targets.

    A model may answer as several members, along an axis in front of the rows: each member is
    judged by itself, and the loss is their mean.
    """
    if fitted.task == "binary":
        weight = torch.tensor(positive_weight(fitted, balance))

        def binary(model: nn.Module, columns: Mapping[str, Tensor], target: Tensor) -> Tensor:
            output, counts = model(columns), columns.get(WEIGHT)
            return F.binary_cross_entropy_with_logits(
                output,
                target.expand_as(output),
                None if counts is None else counts.expand_as(output),
                pos_weight=weight.to(output.device),
            )

        return binary
    if fitted.task == "multiclass":
        return _multiclass
    if fitted.task == "ranking":
        return _ranking
    if fitted.task == "regression":
        return _regression
    raise PipelineError(
        f"Task '{fitted.task}' has no default loss.",
        fix="define `loss(model, columns, target)` in the pipeline",
    )


def _multiclass(model: nn.Module, columns: Mapping[str, Tensor], target: Tensor) -> Tensor:
    output = model(columns)
    each = target.expand(output.shape[:-1])
    losses = F.cross_entropy(output.flatten(0, -2), each.flatten(), reduction="none")
    return _mean(losses.reshape(each.shape), columns)


def _regression(model: nn.Module, columns: Mapping[str, Tensor], target: Tensor) -> Tensor:
    output = model(columns)
    losses = F.mse_loss(output, target.expand_as(output), reduction="none")
    return _mean(losses.mean(-1) if target.dim() > 1 else losses, columns)


def _mean(losses: Tensor, columns: Mapping[str, Tensor]) -> Tensor:
    """Mean of `losses` ([rows], or [members, rows]), each row counting as much as it weighs."""
    counts = columns.get(WEIGHT)
    return (losses if counts is None else losses * counts).mean()


def _ranking(model: nn.Module, columns: Mapping[str, Tensor], target: Tensor) -> Tensor:
    """Cross-entropy of the next item; `model` gives [rows, 1 + items], place 0 being no item.

    Rows whose item training never saw cannot be answered rightly and are left out.
    """
    known = (target > 0).sum().clamp(min=1)
    losses = F.cross_entropy(model(columns), target, ignore_index=0, reduction="none")
    counts = columns.get(WEIGHT)
    return (losses if counts is None else losses * counts).sum() / known


class Answer(nn.Module):
    """The trained model with its raw output turned into what a person asks for.

    binary: `score`, a probability, with the weight of the positives taken back out of the logit.
    multiclass: `scores` [rows, classes]. regression: `value` in the target's own unit, or each of
    several targets under its own name.
    """

    def __init__(self, model: nn.Module, fitted: Fitted, balance: str) -> None:
        super().__init__()
        self.model = model
        self.task = fitted.task
        self.shift = math.log(positive_weight(fitted, balance))
        self.names = output_names(fitted)
        self.means, self.stds = fitted.target_means, fitted.target_stds

    def forward(self, columns: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the answer of `columns` by output name."""
        raw = self.model(columns)
        if self.task == "binary":
            return {"score": torch.sigmoid(raw - self.shift)}
        if self.task == "multiclass":
            return {"scores": torch.softmax(raw, dim=-1)}
        values = raw.unbind(1) if len(self.names) > 1 else (raw,)
        return {
            name: value * std + mean
            for name, value, mean, std in zip(
                self.names, values, self.means, self.stds, strict=True
            )
        }


def output_names(fitted: Fitted) -> tuple[str, ...]:
    """Names of the outputs of what is served by default."""
    if fitted.task == "regression" and len(fitted.targets) > 1:
        return fitted.targets
    return ({"binary": "score", "multiclass": "scores"}.get(fitted.task, "value"),)
