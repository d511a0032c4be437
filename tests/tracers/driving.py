import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Keep the car on the road")

with app.setup:
    import datetime as dt
    import io

    import ibis
    import torch
    from torch import nn

    import workbench as wb

    STAGES = ("collect", "clean", "label", "model", "evaluate")

    OUTPUTS = ("steer", "offset", "heading")
    START_STEPS = 50  # the camera comes closer meanwhile
    SPEED = 25


@app.function
def collect(params):
    """Frames of a car that a rule steers along the road, pushed off its line now and then."""
    import gymnasium
    import numpy as np
    import pyarrow as pa
    from PIL import Image

    rng = np.random.default_rng(params.seed)
    start = dt.datetime.combine(params.as_of, dt.time())
    rows = []
    road = gymnasium.make("CarRacing-v3").unwrapped
    for track in range(params.tracks):
        road.reset(seed=params.seed + track)
        push = 0.0
        for step in range(START_STEPS + 2 * params.frames):
            state = where(road)
            push = 0.9 * push + rng.normal(0, params.wander / 2)
            frame = drive(road, state["steer"] + push)
            if step >= START_STEPS and step % 2:
                file = io.BytesIO()
                Image.fromarray(frame).save(file, "PNG")
                time = start - dt.timedelta(seconds=params.tracks * params.frames - len(rows))
                rows.append({"track": track, "time": time, "frame": file.getvalue(), **where(road)})
    road.close()
    return wb.Tables(
        {"frames": ibis.memtable(pa.Table.from_pylist(rows))},
        facts={"*": wb.Facts(origin="Gymnasium CarRacing-v3", licence="MIT", version="1.4.0")},
    )


@app.function
def where(road):
    """Distance to the middle of the road (right is positive), angle to it, and how to steer."""
    import numpy as np

    track, hull = np.array(road.track), road.car.hull
    here = np.array(hull.position)
    near = int(((track[:, 2:] - here) ** 2).sum(1).argmin())
    angle = track[near, 1]
    ahead = track[(near + 4) % len(track), 2:] - here
    turn = wrapped(np.arctan2(-ahead[0], ahead[1]) - hull.angle)
    return {
        "offset": float((here - track[near, 2:]) @ [np.cos(angle), np.sin(angle)]),
        "heading": wrapped(hull.angle - angle),
        "steer": float(np.clip(-2 * turn, -1, 1)),
    }


@app.function
def wrapped(angle):
    """An angle within half a turn, in radians."""
    import math

    return float((angle + math.pi) % (2 * math.pi) - math.pi)


@app.function
def drive(road, steer):
    """One step at an even speed; returns the frame, uint8 [96, 96, 3]."""
    import numpy as np

    gas = 0.3 * (np.hypot(*road.car.hull.linearVelocity) < SPEED)
    return road.step(np.array([np.clip(steer, -1, 1), gas, 0.0]))[0]


@app.function
def clean(data, params):
    """Frames in which the car has left the road for good teach nothing."""
    data.drop("frames", "outlier off the road", lambda t: t.offset.abs() > params.max_offset)
    data.unique("frames", by="time")
    return data


@app.function
def label(data, params):
    return wb.Examples(
        data["frames"],
        key="time",
        time="time",
        target=OUTPUTS,
        task="regression",
        origin="pose of the car in the simulator",
        roles={"frame": "image"},
        slices=("track",),
    )


@app.class_definition
class Eye(nn.Module):
    """A small convolutional network over the frame, without the instruments below it."""

    def __init__(self, outputs):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 5, stride=2),
            nn.SiLU(),
            nn.Conv2d(16, 32, 3, stride=2),
            nn.SiLU(),
            nn.Conv2d(32, 32, 3, stride=2),
            nn.SiLU(),
            nn.Flatten(),
            nn.LazyLinear(64),
            nn.SiLU(),
            nn.Linear(64, outputs),
        )

    def forward(self, columns):
        """Return the standardised outputs, [rows, outputs]."""
        road = columns["frame"][:, :84].permute(0, 3, 1, 2).to(torch.float32) / 255
        return self.layers(nn.functional.avg_pool2d(road, 2))


@app.function
def model(fitted, params):
    height, width, channels = fitted.columns["frame"].shape
    eye = Eye(len(fitted.targets))
    eye({"frame": torch.zeros(1, height, width, channels, dtype=torch.uint8)})
    return eye


@app.function
def evaluate(predict, examples, data, params):
    """Let the bundle steer on a road it never saw, against a driver who holds the wheel still."""
    ours = ride(params, lambda frame: predict({"frame": [frame]})["steer"][0])
    return wb.Report(
        metrics=ours,
        baselines={"straight": ride(params, lambda frame: 0.0)},
        main="ride_offset",
        higher_is_better=False,
    )


@app.function
def ride(params, steer):
    """Distance to the middle of the road in each step, and how many tiles were passed."""
    import gymnasium

    road = gymnasium.make("CarRacing-v3").unwrapped
    frame, _ = road.reset(seed=params.track_seed)
    offsets = []
    for step in range(START_STEPS + params.steps):
        frame = drive(road, steer(frame) if step >= START_STEPS else where(road)["steer"])
        offsets.append(abs(where(road)["offset"]))
    tiles = road.tile_visited_count
    road.close()
    return {"ride_offset": offsets[START_STEPS:], "ride_tiles": tiles}


if __name__ == "__main__":
    app.run()
