"""Default losses by task, and what a raw output means."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.core.errors import PipelineError
from workbench.data.fitted import Fitted

Loss = Callable[[nn.Module, Mapping[str, Tensor], Tensor | None], Tensor]


def positive_weight(fitted: Fitted, balance: str) -> float:
    """Weight of a positive row in a binary loss: 1, the root of the imbalance, or all of it."""
    if fitted.task != "binary" or balance == "none":
        return 1.0
    odds = (1 - fitted.positive_fraction) / fitted.positive_fraction
    return math.sqrt(odds) if balance == "sqrt" else odds


def default_loss(fitted: Fitted, balance: str) -> Loss:
    """Return the loss of a task: binary and multiclass cross-entropy, squared error."""
    if fitted.task == "binary":
        weight = torch.tensor(positive_weight(fitted, balance))

        def binary(model: nn.Module, columns: Mapping[str, Tensor], target: Tensor | None) -> Tensor:
            output = model(columns)
            return F.binary_cross_entropy_with_logits(
                output, target, pos_weight=weight.to(output.device)
            )

        return binary
    if fitted.task in ("multiclass", "ranking"):
        return lambda model, columns, target: F.cross_entropy(model(columns), target)
    if fitted.task == "regression":
        return lambda model, columns, target: F.mse_loss(model(columns), target)
    raise PipelineError(
        f"Task '{fitted.task}' has no default loss.",
        fix="define `loss(model, columns, target)` in the pipeline",
    )


class Answer(nn.Module):
    """The trained model with its raw output turned into what a person asks for.

    binary: `score`, a probability, with the weight of the positives taken back out of the logit.
    multiclass: `scores` [rows, classes]. regression: `value` in the target's own unit.
    """

    def __init__(self, model: nn.Module, fitted: Fitted, balance: str) -> None:
        super().__init__()
        self.model = model
        self.task = fitted.task
        self.shift = math.log(positive_weight(fitted, balance))
        self.mean, self.std = fitted.target_mean, fitted.target_std

    def forward(self, columns: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the answer of `columns` by output name."""
        raw = self.model(columns)
        if self.task == "binary":
            return {"score": torch.sigmoid(raw - self.shift)}
        if self.task == "multiclass":
            return {"scores": torch.softmax(raw, dim=-1)}
        return {"value": raw * self.std + self.mean}
