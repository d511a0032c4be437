"""The training loop: yields its epochs, so that whoever wants to watch, log or stop it can."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from workbench.core.errors import TrainingError
from workbench.core.params import Train
from workbench.training import checkpoint
from workbench.training.batches import Batches
from workbench.training.checkpoint import Progress
from workbench.training.devices import Place
from workbench.training.loss import Loss

CHECKPOINT_EVERY_S = 0.5
EVAL_ROWS = 8192


def rows_at_once(batch_size: int) -> int:
    """Rows to answer at once without gradients: four batches need no more memory than training."""
    return min(EVAL_ROWS, 4 * batch_size)


@dataclass(frozen=True)
class Step:
    """One finished epoch. train_loss is its mean by row; valid_loss after it, lower is better."""

    epoch: int
    train_loss: float
    valid_loss: float
    seconds: float
    rows_per_s: float
    best: bool


def train(
    model: nn.Module,
    train_rows: Batches,
    valid_rows: Batches,
    loss: Loss,
    settings: Train,
    place: Place,
    checkpoints: Path,
) -> Iterator[Step]:
    """Train `model` in place, yielding each epoch; at the end it holds its best weights.

    Resumes from `checkpoints` where an undisturbed run would be: each epoch is seeded by its
    number, so a resumed run ends in the same weights. Raises TrainingError when the loss is not
    a number; the last checkpoint is kept.
    """
    model.to(place.device)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=place.device.type in ("cpu", "cuda", "xpu"),
    )
    best = _copy(model)
    progress = Progress()
    if restored := checkpoint.load(checkpoints, model, optimizer):
        best, progress = restored
        yield from (_step(entry, progress) for entry in progress.history)
    stepping = _distributed(model, place)
    saved, saved_at = progress.epoch, time.monotonic()
    while not _done(progress, settings):
        began = time.monotonic()
        train_loss = _epoch(stepping, train_rows, loss, optimizer, settings, place, progress.epoch)
        valid_loss = _validate(model, valid_rows, loss, place, rows_at_once(settings.batch_size))
        if not (math.isfinite(train_loss) and math.isfinite(valid_loss)):
            raise TrainingError(
                f"The loss is not a number in epoch {progress.epoch + 1}.",
                kept=f"the checkpoint after epoch {saved}" if saved else None,
                fix="lower `learning_rate`, or look for infinite values in the features",
            )
        seconds = time.monotonic() - began
        progress.epoch += 1
        if valid_loss < progress.best:
            progress.best, progress.best_epoch = valid_loss, progress.epoch
            best = _copy(model)
        progress.history.append(
            {
                "epoch": progress.epoch,
                "train_loss": train_loss,
                "valid_loss": valid_loss,
                "seconds": seconds,
                "rows_per_s": train_rows.rows / max(seconds, 1e-9),
            }
        )
        if place.rank == 0 and time.monotonic() - saved_at > CHECKPOINT_EVERY_S:
            checkpoint.save(checkpoints, model, optimizer, best, progress)
            saved, saved_at = progress.epoch, time.monotonic()
        yield _step(progress.history[-1], progress)
    model.load_state_dict(best)
    model.eval()


def _done(progress: Progress, settings: Train) -> bool:
    return (
        progress.epoch >= settings.epochs
        or progress.epoch - progress.best_epoch >= settings.patience
    )


def _step(entry: dict[str, float], progress: Progress) -> Step:
    epoch = int(entry["epoch"])
    return Step(
        epoch,
        entry["train_loss"],
        entry["valid_loss"],
        entry["seconds"],
        entry["rows_per_s"],
        best=epoch == progress.best_epoch,
    )


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {k: v.detach().clone() for k, v in model.state_dict().items()}


def _distributed(model: nn.Module, place: Place) -> nn.Module:
    """Average gradients over processes when there are several."""
    if place.world == 1:
        return model
    from torch.nn.parallel import DistributedDataParallel

    return DistributedDataParallel(model)


def _epoch(
    model: nn.Module,
    rows: Batches,
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    settings: Train,
    place: Place,
    epoch: int,
) -> float:
    """One pass over the shuffled rows; returns the mean loss by row.

    Everything random depends on the number of the epoch alone, so that a resumed run is the same.
    """
    seed = settings.seed * 1_000_003 + epoch
    torch.manual_seed(seed + place.rank)
    model.train()
    total = torch.zeros((), device=place.device)
    seen = 0
    steps = math.ceil(rows.rows / settings.batch_size)
    batches = rows.shuffled(settings.batch_size, seed, place.rank, place.world)
    for number, index in enumerate(batches):
        if settings.schedule == "cosine":
            done = (epoch + number / steps) / settings.epochs
            optimizer.param_groups[0]["lr"] = (
                settings.learning_rate * (1 + math.cos(math.pi * done)) / 2
            )
        columns, target = rows.take(index)
        with place.autocast():
            value = loss(model, columns, target)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()
        # Summed on the device: asking for the number each step would wait for it.
        total += value.detach() * len(index)
        seen += len(index)
    if place.world > 1:
        import torch.distributed as dist

        both = torch.stack([total, torch.tensor(float(seen), device=place.device)])
        dist.all_reduce(both)
        return float(both[0] / both[1])
    return float(total) / max(seen, 1)


@torch.no_grad()
def _validate(model: nn.Module, rows: Batches, loss: Loss, place: Place, size: int) -> float:
    """Mean loss by row over the validation side, the same on every process."""
    model.eval()
    total = 0.0
    for part in rows.in_order(size):
        columns, target = rows.take(part)
        with place.autocast():
            total += float(loss(model, columns, target)) * (part.stop - part.start)
    return total / max(rows.rows, 1)


@torch.no_grad()
def outputs(model: nn.Module, rows: Batches, size: int) -> Tensor:
    """Raw outputs of all rows, in order, `size` at a time, on the CPU."""
    model.eval()
    return torch.cat([model(rows.take(part)[0]).float().cpu() for part in rows.in_order(size)])
