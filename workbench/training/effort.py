"""How long to train the default model: settings of `train` by the number of training rows."""

from __future__ import annotations

from typing import Any

_VISITS = 600_000
_EPOCHS = 64


def effort(rows: int) -> dict[str, Any]:
    """The `train:` block of params.yaml that suits `wb.Tabular` on `rows` training rows.

    Time is bounded by rows, not by patience: all epochs together visit about 600,000 rows (half
    a minute to a minute of one core for 30 columns), in 3 to 64 epochs, so beyond 200,000 rows
    it grows with three passes over them. Batches grow from 32 to 1,024 so that small tables get
    enough steps and large ones few enough. The learning rate falls to zero over the epochs.
    """
    batch = 32
    while batch < 1024 and rows > batch * (50 if batch < 256 else 500):
        batch *= 2
    epochs = max(2, min(_EPOCHS, _VISITS // max(rows, 1)))
    return {
        "seed": 0,
        "epochs": epochs,
        "batch_size": batch,
        "learning_rate": 0.002,
        "schedule": "cosine",
        "weight_decay": 0.001,
        "patience": max(8, epochs // 2),
        "balance": "none",
        "threads": 1,
    }
