import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Small orders")

with app.setup:
    import datetime as dt
    import time
    from pathlib import Path

    import ibis
    from torch.nn import functional as F

    import workbench as wb

    STAGES = ("collect", "clean", "label", "model", "loss")

    COLOURS = ("red", "green", "blue")


@app.function
def pause(stage):
    """Say that a stage is here, and wait while a file `hold-<stage>` stands in the checkout."""
    while Path(f"hold-{stage}").exists():
        Path(f"at-{stage}").touch()
        time.sleep(0.02)


@app.function
def collect(params):
    """Orders at shops, some without a colour, some sent twice."""
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng(params.seed)
    pause("collect")
    n = params.orders
    end = dt.datetime.combine(params.as_of, dt.time())
    seconds = np.sort(rng.integers(0, 90 * 86_400, n))[::-1]
    amount = np.round(rng.gamma(2.0, 20.0, n), 2)
    colour = rng.integers(0, 3, n)
    shop = rng.integers(0, 20, n)
    returned = rng.random(n) < 1 / (1 + np.exp(2.5 - amount / 25 - (colour == 2)))
    again = np.r_[np.arange(n), rng.integers(0, n, n // 50)]
    orders = {
        "order": [f"o{i}" for i in again],
        "time": [end - dt.timedelta(seconds=int(s)) for s in seconds[again]],
        "shop": [f"s{i}" for i in shop[again]],
        "amount": [a if a > 5 else None for a in amount[again]],
        "colour": [
            COLOURS[c] if a > 8 else None for c, a in zip(colour[again], amount[again], strict=True)
        ],
        "returned": returned[again],
    }
    shops = {"shop": [f"s{i}" for i in range(20)], "town": [f"t{i % 4}" for i in range(20)]}
    return wb.Tables(
        {"orders": ibis.memtable(pa.table(orders)), "shops": ibis.memtable(pa.table(shops))},
        facts={"*": wb.Facts(origin="made by a seed", licence="free to use", version="1")},
    )


@app.function
def clean(data, params):
    """An order once, and none above the limit."""
    pause("clean")
    data.drop("orders", "outlier amount", lambda t: t.amount > params.max_amount)
    data.unique("orders", by="order", first="time", rule="duplicate order")
    return data


@app.function
def label(data, params):
    """A row an order; what it costs, where, and in which colour."""
    rows = data["orders"].left_join(data["shops"], "shop").drop("shop_right")
    rows = rows.mutate(ordered_at=rows.time)
    pause("label")
    return wb.Examples(
        rows,
        key="order",
        time="time",
        group="shop",
        target="returned",
        task="binary",
        origin="the shop",
        slices=("town",),
        roles={"amount": "number", "ordered_at": "time", "colour": "word", "town": "word"},
    )


@app.function
def model(fitted, params):
    """As small as it gets."""
    pause("model")
    return wb.MLP(fitted, [params.width])


@app.function
def loss(model, columns, target):
    """Cross entropy; a file `slow` makes it last (checkpoints come due), `poison` spoils it."""
    pause("train")
    if Path("slow").exists():
        time.sleep(0.3)
    value = F.binary_cross_entropy_with_logits(model(columns), target)
    return value * float("nan") if Path("poison").exists() else value


if __name__ == "__main__":
    app.run()
