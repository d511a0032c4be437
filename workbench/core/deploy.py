"""Settings of a deployment: `PIPELINE.deploy` in params.yaml. No stage depends on them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Log(_Settings):
    """The prediction log. fraction: of answers logged in full; the rest without their values.

    private: inputs whose values are never stored in clear. keep_days: then files are removed.
    """

    fraction: float = Field(ge=0, le=1, default=1.0)
    private: tuple[str, ...] = ()
    keep_days: int = Field(ge=1, default=90)


class Levels(_Settings):
    """Service levels: what is promised over `window_days`.

    available_fraction: of the requests that are not the client's fault. latency_ms: within which
    `latency_fraction` of them are answered.
    """

    available_fraction: float = Field(gt=0, lt=1, default=0.999)
    latency_ms: float = Field(gt=0, default=100.0)
    latency_fraction: float = Field(gt=0, lt=1, default=0.99)
    window_days: float = Field(gt=0, default=28)


class Rollout(_Settings):
    """When a challenger has proved itself, and when it has failed.

    min_requests: before it is promoted; it is withdrawn as soon as the evidence allows.
    error_margin_fraction: by which its rate of errors, and of answers slower than the levels say,
    may be higher. latency_ratio: its typical latency (geometric mean) over the champion's.
    score_shift: the largest distance of its scores' distribution from the champion's
    (Kolmogorov-Smirnov). quality_margin: by which its loss on true outcomes may be higher. alpha:
    chance of a wrong verdict.
    """

    min_requests: int = Field(ge=1, default=500)
    error_margin_fraction: float = Field(ge=0, lt=1, default=0.01)
    latency_ratio: float = Field(gt=1, default=1.5)
    score_shift: float = Field(gt=0, le=1, default=0.2)
    quality_margin: float = Field(ge=0, default=0.01)
    alpha: float = Field(gt=0, lt=0.5, default=0.05)


class Drift(_Settings):
    """When inputs or answers are said to have drifted: population stability index over `limit`.

    rows: the newest that are compared with training.
    """

    limit: float = Field(gt=0, default=0.2)
    rows: int = Field(ge=100, default=2000)


class Alerts(_Settings):
    """Where alerts go beside the log. file: below `.workbench`. again_minutes: until said again.

    webhook_env: name of the environment variable that holds the address, which is a secret.
    """

    file: str = "alerts.jsonl"
    webhook_env: str = ""
    again_minutes: float = Field(gt=0, default=60)


class Deploy(_Settings):
    """How a pipeline is deployed and watched."""

    log: Log = Log()
    levels: Levels = Levels()
    rollout: Rollout = Rollout()
    drift: Drift = Drift()
    alerts: Alerts = Alerts()
