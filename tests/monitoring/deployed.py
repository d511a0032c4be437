"""A checkout with one deployed release, and what a server would have written of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.serving import bundles
from workbench.core.files import read_json, write_json
from workbench.core.paths import Paths
from workbench.data.distributions import seen, spread
from workbench.storage.pointer import Target
from workbench.storage.predictions.log import PassportLog
from workbench.storage.predictions.passport import Passport
from workbench.storage.reference import Reference, write_reference
from workbench.storage.windows import BOUNDS_MS, ServingWindow, append_windows, bin_of

PARAMS = """\
version: 1
pipelines: [fraud]
fraud:
  collect: {{as_of: "2026-06-30"}}
  split: {{by: time}}
  deploy: {deploy}
"""


@dataclass
class Deployed:
    """Pipeline `fraud` at release 4. ids: of the answers that were logged, oldest first."""

    paths: Paths
    target: Target
    ids: list[str] = field(default_factory=list)

    @property
    def now(self) -> float:
        return time.time()

    def answer(
        self,
        amounts: Sequence[Any],
        *,
        scores: Sequence[float] | None = None,
        log: PassportLog | None = None,
        countries: Sequence[Any] | None = None,
        **more: Any,
    ) -> None:
        """Log an answer for each amount."""
        own = log or PassportLog(self.paths.predictions)
        rng = np.random.default_rng(len(self.ids) + 5)
        countries = countries or rng.choice(["de", "fr"], size=len(amounts)).tolist()
        scores = rng.random(len(amounts)).tolist() if scores is None else scores
        for amount, country, score in zip(amounts, countries, scores, strict=True):
            id = own.next_id()
            self.ids.append(id)
            given = {
                "inputs": {"amount": [amount], "country": [country], "paid_at": [self.now]},
                "outputs": {"score": [score]},
                "alias": "champion",
                "digest": self.target.digest,
                "release": self.target.release,
            } | more
            own.append(
                Passport(
                    id=id,
                    time_s=self.now,
                    pipeline="fraud",
                    run_id="run",
                    latency_ms=1.0,
                    **given,
                )
            )
        own.flush()
        if log is None:
            own.close()

    def serve(self, seconds: Sequence[float], **counts: Any) -> None:
        """Leave a window for each of `seconds` ago."""
        latency = [0] * (len(BOUNDS_MS) + 1)
        latency[bin_of(counts.pop("ms", 4.0))] = counts.get("requests", 100)
        given = {"alias": "champion", "requests": 100, "rows": 100} | counts
        now = self.now
        append_windows(
            self.paths.serving_windows,
            [
                ServingWindow(
                    start_s=now - ago - 1,
                    end_s=now - ago,
                    pid=1,
                    pipeline="fraud",
                    release=self.target.release,
                    digest=self.target.digest,
                    latency=tuple(latency),
                    **given,
                )
                for ago in seconds
            ],
        )

    def set(self, deploy: str) -> None:
        """Settings of the deployment, as YAML on one line."""
        self.paths.params.write_text(PARAMS.format(deploy=deploy))


def deploy(root: Path) -> Deployed:
    """Release `fraud` with a reference: log-normal amounts, two countries, even scores."""
    paths = Paths(root, root / ".workbench")
    bundle = bundles.fraud(root / "bundle")
    signature = read_json(bundle / "signature.json")
    write_json(bundle / "signature.json", signature | {"target": "fraud"})
    target = bundles.release(paths, "fraud", bundle, number=4)
    rng = np.random.default_rng(1)
    columns = {
        "amount": spread("number", seen("number", rng.lognormal(size=20_000).tolist())),
        "country": spread("word", seen("word", rng.choice(["de", "fr"], size=20_000).tolist())),
    }
    scores = spread("number", seen("number", rng.random(20_000).tolist()))
    metrics = {"auc": {"value": 0.95, "lo": 0.93, "hi": 0.97}}
    write_reference(paths.bundles, Reference(target.digest, columns, {"score": scores}, metrics))
    made = Deployed(paths, target)
    made.set("{}")
    return made


def amounts(rows: int, times: float = 1.0, seed: int = 9) -> list[float]:
    """As training had them, or `times` as high."""
    return (np.random.default_rng(seed).lognormal(size=rows) * times).tolist()
