"""train: fit the columns on the training side, then the model."""

from __future__ import annotations

import torch
from safetensors.torch import save_file

from workbench.core.files import digest_values, write_json
from workbench.core.params import Train
from workbench.core.progress import progress
from workbench.data.examples import WEIGHT, read_columns, read_spec, weights_of
from workbench.data.fitted import fit, known
from workbench.data.tables import read_tables
from workbench.stages.frame import leads, opened
from workbench.training.batches import Batches
from workbench.training.checkpoint import discard
from workbench.training.devices import placed
from workbench.training.loop import outputs, rows_at_once, train
from workbench.training.loss import default_loss, positive_weight
from workbench.training.threshold import best_threshold

SIDES = ("train", "valid")


def run(pipeline: str) -> None:
    """Train the pipeline's `model`; write weights, fitted columns, history and threshold."""
    with opened("train", pipeline, Train, after=("clean", "split")) as stage:
        settings = stage.params
        folder = stage.input("split")
        spec = read_spec(folder)
        columns = [*spec.roles, *spec.targets, WEIGHT]
        rows = {side: read_columns(folder / f"{side}.parquet", columns) for side in SIDES}
        fitted = fit(rows["train"], spec)
        start = stage.function("start")
        counts = weights_of(rows["train"])
        mean = 1.0 if counts is None else float(counts.mean())
        needs_data = start or "text" in spec.roles.values()
        data = read_tables(stage.input("clean"), stage.backend) if needs_data else None
        loss = stage.function("loss") or default_loss(fitted, settings.balance)
        with placed(settings.device, settings.threads) as place:
            torch.manual_seed(settings.seed)
            model = stage.notebook.model(fitted, settings)
            if start:
                start(model, data, settings)
            rows["valid"] = known(rows["valid"], fitted)
            weights = weights_of(rows["valid"])
            # What is packed is not needed as a table: of millions of rows, that is gigabytes.
            sides = {
                side: Batches.read(rows.pop(side), fitted, data, mean, place.device)
                for side in SIDES
            }
            key = digest_values(stage.run.key, place.world)
            checkpoints = stage.paths.checkpoints(pipeline, key)
            history: list[dict[str, float]] = []
            steps = train(model, sides["train"], sides["valid"], loss, settings, place, checkpoints)
            for step in progress(steps, f"train {pipeline}", settings.epochs):
                history.append(
                    {
                        "epoch": step.epoch,
                        "train_loss": step.train_loss,
                        "valid_loss": step.valid_loss,
                    }
                )
                stage.run.log(
                    step.epoch,
                    {
                        "train_loss": step.train_loss,
                        "valid_loss": step.valid_loss,
                        "rows_per_s": step.rows_per_s,
                        "seconds_per_epoch": step.seconds,
                    },
                )
            threshold = None
            if fitted.task == "binary":
                raw = outputs(model, sides["valid"], rows_at_once(settings.batch_size))
                shift = torch.log(torch.tensor(positive_weight(fitted, settings.balance)))
                target = sides["valid"].target
                assert target is not None  # a binary task has a target
                threshold = best_threshold(
                    target.cpu().numpy(),
                    torch.sigmoid(raw - shift).numpy(),
                    weights,
                )
        best = min(history, key=lambda entry: entry["valid_loss"])
        weights = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
        save_file(weights, stage.out / "model.safetensors")
        write_json(stage.out / "fitted.json", fitted)
        parameters = sum(p.numel() for p in model.parameters())
        summary = {
            "epochs": len(history),
            "best_epoch": int(best["epoch"]),
            "valid_loss": best["valid_loss"],
            "train_loss": best["train_loss"],
            "parameters": parameters,
            "rows": fitted.rows,
            "threshold": threshold,
        }
        write_json(stage.out / "summary.json", summary)
        stage.report = summary
        stage.plots["loss"] = [
            {"x": int(entry["epoch"]), "y": entry[side], "side": side.removesuffix("_loss")}
            for entry in history
            for side in ("train_loss", "valid_loss")
        ]
    if leads():
        discard(checkpoints)
