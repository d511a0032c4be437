"""Training: processor time by sample against a bare loop, and against Lightning as usual."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import ROOT, Row, alternate, show

ROWS, COLUMNS, EPOCHS, BATCH = 200_000, 30, 4, 1024
THREADS = 1  # of torch; with more, waiting threads would count as work on a busy machine
HIDDEN = [64, 64]


def data():
    """Seeded columns, a target, and what is fitted on them."""
    import numpy as np
    import pyarrow as pa
    import torch

    from workbench.data.examples import Spec
    from workbench.data.fitted import fit

    # The first optimiser of a process imports for a second, which belongs to nobody's samples.
    torch.optim.AdamW([torch.zeros(1)])
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(ROWS, COLUMNS)).astype("float32")
    target = (matrix @ rng.normal(size=COLUMNS) + rng.normal(size=ROWS) > 0).astype("float32")
    names = [f"c{i:02d}" for i in range(COLUMNS)]
    table = pa.table({"id": range(ROWS), "y": target, **dict(zip(names, matrix.T, strict=True))})
    spec = Spec(key=("id",), roles=dict.fromkeys(names, "number"), task="binary", targets=("y",))
    return table, fit(table, spec)


def ours() -> None:
    """The workbench's loop with run record, metric series and meter on."""
    import torch

    from workbench.core.params import Train
    from workbench.core.paths import Paths
    from workbench.metering.meter import Meter
    from workbench.metering.runs import open_run
    from workbench.training.batches import Batches, targets, tensors
    from workbench.training.columns import MLP
    from workbench.training.devices import placed
    from workbench.training.loop import train
    from workbench.training.loss import default_loss

    table, fitted = data()
    home = Path(tempfile.mkdtemp())
    settings = Train(epochs=EPOCHS, batch_size=BATCH, patience=EPOCHS, threads=THREADS)
    run = open_run(
        Paths(ROOT, home),
        pipeline="bench",
        stage="train",
        key="",
        fingerprint="",
        notebook="",
        function="",
    )
    with placed("cpu", settings.threads) as place, Meter().window("bench") as metered:
        model = MLP(fitted, HIDDEN)
        rows = Batches.of(tensors(table, fitted), targets(table, fitted), place.device)
        few = Batches.of(
            tensors(table.slice(0, 10), fitted),
            targets(table.slice(0, 10), fitted),
            torch.device("cpu"),
        )
        _clock("start")
        for step in train(model, rows, few, default_loss(fitted, "none"), settings, place, home):
            run.log(step.epoch, {"train_loss": step.train_loss, "rows_per_s": step.rows_per_s})
        _clock("end")
    run.close("finished", window=metered.window)


def bare() -> None:
    """The shortest shuffled loop over the same model and columns."""
    import torch
    import torch.nn.functional as F

    from workbench.training.columns import MLP

    table, fitted = data()
    torch.set_num_threads(THREADS)
    model = MLP(fitted, HIDDEN)
    names = sorted(fitted.columns)
    matrix = torch.stack([torch.tensor(table[n].to_numpy()) for n in names], 1)
    target = torch.tensor(table["y"].to_numpy())
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    _clock("start")
    for _ in range(EPOCHS):
        for index in torch.randperm(ROWS).split(BATCH):
            batch = matrix[index]
            loss = F.binary_cross_entropy_with_logits(
                model(dict(zip(names, batch.unbind(1), strict=True))), target[index]
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    _clock("end")


def lightning() -> None:
    """Lightning with a DataLoader over a TensorDataset, as its documentation shows."""
    import logging
    import warnings

    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    import lightning as L
    import torch
    import torch.nn.functional as F
    from torch.utils.data import DataLoader, TensorDataset

    from workbench.training.columns import MLP

    table, fitted = data()
    torch.set_num_threads(THREADS)
    names = sorted(fitted.columns)
    matrix = torch.stack([torch.tensor(table[n].to_numpy()) for n in names], 1)

    class Module(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = MLP(fitted, HIDDEN)

        def training_step(self, batch, _):
            columns, target = batch
            value = self.model(dict(zip(names, columns.unbind(1), strict=True)))
            return F.binary_cross_entropy_with_logits(value, target)

        def configure_optimizers(self):
            return torch.optim.AdamW(self.parameters())

        def on_train_start(self) -> None:
            _clock("start")

        def on_train_end(self) -> None:
            _clock("end")

    loader = DataLoader(
        TensorDataset(matrix, torch.tensor(table["y"].to_numpy())), batch_size=BATCH, shuffle=True
    )
    L.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(Module(), loader)


_began = (0.0, 0.0)


def _clock(what: str) -> None:
    """Only the loop counts: imports and data are the same for all three."""
    global _began
    now = (time.process_time(), time.perf_counter())
    if what == "start":
        _began = now
    else:
        Path(os.environ["BENCH_OUT"]).write_text(f"{now[0] - _began[0]} {now[1] - _began[1]}")


def main() -> None:
    import statistics

    out = Path(tempfile.mkdtemp()) / "seconds"
    kinds = ("ours", "bare", "lightning")
    cpu: dict[str, list[float]] = {k: [] for k in kinds}
    wall: dict[str, list[float]] = {k: [] for k in kinds}
    for number in range(6):
        for kind in kinds:
            alternate(
                {kind: (sys.executable, "-m", "benchmarks.training", kind)},
                runs=1,
                warm=0,
                env={"BENCH_OUT": str(out)},
            )
            if number:
                c, w = map(float, out.read_text().split())
                cpu[kind].append(c)
                wall[kind].append(w)
    samples = ROWS * EPOCHS
    us = {k: statistics.median(v) / samples * 1e6 for k, v in cpu.items()}
    ratio = statistics.median(a / b for a, b in zip(cpu["ours"], cpu["bare"], strict=True))
    faster = statistics.median(b / a for a, b in zip(wall["ours"], wall["lightning"], strict=True))
    show(
        "Training (MLP, batch 1024, record and meter on)",
        [
            Row(
                "processor time by sample, against a bare shuffled loop",
                f"{us['ours']:.2f} us",
                f"{us['bare']:.2f} us",
                f"{ratio:.2f}",
                "<= 1.15",
                ratio <= 1.15,
            ),
            Row(
                "throughput, against Lightning with its default loader",
                f"{samples / statistics.median(wall['ours']):,.0f} rows/s",
                f"{samples / statistics.median(wall['lightning']):,.0f} rows/s",
                f"{faster:.2f}",
                ">= 1.7",
                faster >= 1.7,
            ),
        ],
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        globals()[sys.argv[1]]()
    else:
        main()
