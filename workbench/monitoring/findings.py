"""What of a pipeline's health somebody should know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from workbench.monitoring.alerts import Alert
from workbench.monitoring.drift import Drift
from workbench.monitoring.health import Health, Watched
from workbench.monitoring.levels import Burn, Level
from workbench.monitoring.quality import Quality

_SEVERITY: dict[str, Literal["critical", "warning"]] = {"fast": "critical", "slow": "warning"}


def findings(health: Health) -> list[Alert]:
    """Alerts for one look: budgets that burn, what drifted, answers that became worse."""
    return [*_burning(health), *_drifted(health), *_worse(health)]


def _burning(health: Health) -> Iterator[Alert]:
    for level in health.levels:
        burning = next((burn for burn in level.burns if burn.burns), None)
        if burning is not None:
            yield Alert(
                pipeline=health.pipeline,
                what=level.name,
                severity=_SEVERITY[burning.name],
                sentence=_burn_sentence(health.pipeline, level, burning),
                since_s=health.at_s,
                value=burning.rate_long,
                limit=burning.limit,
            )


def _burn_sentence(pipeline: str, level: Level, burn: Burn) -> str:
    long = f"{burn.long_s // 3600} h"
    share = burn.rate_long * burn.long_s / (level.window_days * 86_400)
    left = level.budget_left_fraction
    rest = f"; {left:.0%} of it is left" if left is not None and left > 0 else "; it is used up"
    what = {"availability": "failed", "latency": "were too slow"}[level.name]
    return (
        f"'{pipeline}' uses up its error budget for {level.name} {burn.rate_long:.0f} times too "
        f"fast: {burn.bad_long:,.0f} requests {what} in the last {long}, {share:.1%} of the "
        f"budget of {level.window_days:g} days{rest}."
    )


def _drifted(health: Health) -> Iterator[Alert]:
    """One alert for each column of what is deployed now, of the worst release.

    A release that is gone is no longer anybody's concern.
    """
    worst: dict[tuple[str, bool], tuple[Drift, Watched]] = {}
    for watched in _deployed(health):
        for drift in watched.drift:
            key = f"drift:{drift.kind}:{drift.column}", watched.rehearsal
            if drift.verdict == "drifted" and (key not in worst or drift.psi > worst[key][0].psi):
                worst[key] = drift, watched
    for (what, rehearsal), (drift, watched) in worst.items():
        yield Alert(
            pipeline=health.pipeline,
            what=what,
            severity="warning",
            sentence=f"'{health.pipeline}' release {watched.release}: {drift.sentence}",
            since_s=health.at_s,
            value=drift.psi,
            limit=max(drift.limit, drift.noise),
            rehearsal=rehearsal,
        )


def _worse(health: Health) -> Iterator[Alert]:
    for watched in _deployed(health):
        for quality in watched.quality:
            if quality.decides and quality.verdict == "worse":
                yield Alert(
                    pipeline=health.pipeline,
                    what=f"quality:{quality.metric}:{watched.alias}",
                    severity="warning",
                    sentence=_worse_sentence(health.pipeline, watched, quality),
                    since_s=health.at_s,
                    value=quality.value,
                    limit=quality.released,
                    rehearsal=watched.rehearsal,
                )


def _worse_sentence(pipeline: str, watched: Watched, quality: Quality) -> str:
    return f"'{pipeline}' release {watched.release}: {quality.sentence}"


def _deployed(health: Health) -> list[Watched]:
    now = {deployed.digest for deployed in health.deployed}
    return [watched for watched in health.answers if watched.digest in now]
