"""Checkpoints that can be trusted: tensors only, whole or absent, outside of DVC's outputs.

They are keyed by what went into the run, so a changed run never resumes from another's weights.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from workbench.core.files import folder_aside, read_json, write_json


@dataclass
class Progress:
    """How far a run is: `epoch` epochs are done; `history` holds their metrics.

    best: lowest validation loss so far, met in epoch `best_epoch`.
    """

    epoch: int = 0
    best: float = float("inf")
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


def save(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    best: dict[str, Tensor],
    progress: Progress,
) -> None:
    """Write one checkpoint in place of the one before."""
    with folder_aside(folder / "last") as aside:
        tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
        tensors.update({f"best.{k}": v for k, v in best.items()})
        for index, state in optimizer.state_dict()["state"].items():
            tensors.update({f"optimizer.{index}.{k}": v for k, v in state.items()})
        save_file(
            {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()},
            aside / "tensors.safetensors",
        )
        write_json(aside / "progress.json", progress)


def load(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[dict[str, Tensor], Progress] | None:
    """Restore model and optimizer; return best weights and progress, or None."""
    last = folder / "last"
    if not (last / "progress.json").is_file():
        return None
    tensors = load_file(last / "tensors.safetensors")
    by_kind: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        kind, rest = name.split(".", 1)
        by_kind[kind][rest] = tensor
    model.load_state_dict(by_kind["model"])
    state = optimizer.state_dict()
    for name, tensor in by_kind["optimizer"].items():
        index, key = name.split(".", 1)
        state["state"].setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict(state)
    return by_kind["best"], read_json(last / "progress.json", Progress)


def discard(folder: Path) -> None:
    """Remove the checkpoints of a run that has ended well."""
    shutil.rmtree(folder, ignore_errors=True)
