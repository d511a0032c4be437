"""What is exported: by default the trained model, or whatever a pipeline's `serve` returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from workbench.core.records import Column
from workbench.data.fitted import Fitted
from workbench.training.loss import Answer


@dataclass
class Served:
    """The module that answers, and everything that it needs beside itself.

    module: `forward(columns: dict[str, Tensor]) -> dict[str, Tensor]`. example: one row of its
    inputs, tensors of the shapes that it takes; dimensions of size -1 in an input's shape vary.
    inputs: columns that a client sends. outputs: what comes back; an output with `lookup` holds
    row numbers of that table. lookups: name to list of strings or of rows (dicts). files: copied
    into the bundle, for example `tokenizer.json` for text columns.
    """

    module: nn.Module
    inputs: tuple[Column, ...]
    outputs: tuple[Column, ...]
    example: Mapping[str, Tensor]
    interface: Literal["tabular", "image", "ranking", "chat"] = "tabular"
    lookups: Mapping[str, list[Any]] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    sample: Mapping[str, Any] = field(default_factory=dict)


def served(
    module: nn.Module, fitted: Fitted, *, outputs: tuple[Column, ...],
    example: Mapping[str, Tensor], inputs: tuple[Column, ...] | None = None, **more: Any,
) -> Served:
    """Return a Served whose inputs are, unless given, the fitted columns."""
    return Served(module, inputs or columns_of(fitted), outputs, example, **more)


def columns_of(fitted: Fitted) -> tuple[Column, ...]:
    """Inputs as a client sees them, from what the training side says of each column."""
    return tuple(
        Column(
            name=name, role=fit.role,
            shape={"list": (-1,), "text": (-1,)}.get(fit.role, fit.shape),
            low=fit.low if fit.role in ("number", "time") else None,
            high=fit.high if fit.role in ("number", "time") else None,
            missing_fraction=round(fit.missing_fraction, 6),
            words=fit.words if fit.role == "word" and len(fit.words) <= 200 else (),
        )
        for name, fit in sorted(fitted.columns.items())
    )


def default_served(model: nn.Module, fitted: Fitted, balance: str, example: Mapping[str, Tensor]) -> Served:
    """Serve what was trained: a score, scores by class, or a value."""
    name = {"binary": "score", "multiclass": "scores"}.get(fitted.task, "value")
    shape = (len(fitted.classes),) if fitted.task == "multiclass" else ()
    return Served(
        module=Answer(model, fitted, balance),
        inputs=columns_of(fitted),
        outputs=(Column(name=name, role="number", shape=shape),),
        example=example,
        interface="image" if any(f.role == "image" for f in fitted.columns.values()) else "tabular",
    )
