"""What is exported: by default the trained model, or whatever a pipeline's `serve` returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from workbench.core.errors import PipelineError
from workbench.core.records import Column
from workbench.data.fitted import Fitted
from workbench.training.loss import Answer, output_names


@dataclass
class Served:
    """The module that answers, and everything that it needs beside itself.

    module: `forward(columns: dict[str, Tensor]) -> dict[str, Tensor]`. inputs: columns that a
    client sends; in an input's shape, dimensions of size -1 vary. outputs: what comes back; an
    output with `lookup` holds row numbers of that table. lookups: name to list of strings or of
    rows (dicts). files: copied into the bundle; the dataset's `tokenizer.json` goes by itself
    where an input is text. example: tensors of two rows or more to export with; needed only for
    an input that is no column of the examples. sample: a row to show; a test row when empty.
    """

    module: nn.Module
    inputs: tuple[Column, ...]
    outputs: tuple[Column, ...]
    interface: Literal["tabular", "image", "ranking", "chat"] = "tabular"
    lookups: Mapping[str, list[Any]] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    example: Mapping[str, Tensor] = field(default_factory=dict)
    sample: Mapping[str, Any] = field(default_factory=dict)


def columns_of(fitted: Fitted, *names: str) -> tuple[Column, ...]:
    """Inputs as a client sees them, from what the training side says: of all columns or `names`."""
    return tuple(
        Column(
            name=name,
            role=fit.role,
            shape={"list": (-1,), "text": (-1,)}.get(fit.role, fit.shape),
            low=fit.low if fit.role in ("number", "time") else None,
            high=fit.high if fit.role in ("number", "time") else None,
            missing_fraction=round(fit.missing_fraction, 6),
            words=fit.words if fit.role == "word" and len(fit.words) <= 200 else (),
        )
        for name, fit in sorted(fitted.columns.items())
        if not names or name in names
    )


def default_served(model: nn.Module, fitted: Fitted, balance: str) -> Served:
    """Serve what was trained: a score, scores by class, or a value for each target."""
    if fitted.task in ("ranking", "none"):
        raise PipelineError(
            f"Task '{fitted.task}' does not say what is answered.",
            kept="the trained weights",
            fix="define `serve(model, fitted, data, params)` in the pipeline",
        )
    shape = (len(fitted.classes),) if fitted.task == "multiclass" else ()
    return Served(
        module=Answer(model, fitted, balance),
        inputs=columns_of(fitted),
        outputs=tuple(Column(name=n, role="number", shape=shape) for n in output_names(fitted)),
        interface="image" if any(f.role == "image" for f in fitted.columns.values()) else "tabular",
    )
