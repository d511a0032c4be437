"""A small deployment whose files were written by the code that writes them in life."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.checkout import REPOSITORY
from tests.serving import bundles
from workbench.core.paths import Paths
from workbench.data.distributions import seen, spread
from workbench.monitoring.watch import Watch
from workbench.registry.log import Event, append
from workbench.registry.pointer import point
from workbench.registry.rollout import begin
from workbench.serving.session import Bundle
from workbench.stages.monitor import Judge
from workbench.storage.bundle import seal
from workbench.storage.predictions.log import PassportLog
from workbench.storage.predictions.passport import Passport, time_of
from workbench.storage.reference import Reference, write_reference
from workbench.storage.windows import BOUNDS_MS, ServingWindow, append_windows, bin_of

HOSTILE = "![x](https://evil.example) :red[*now*] <b>`"
PAGES = REPOSITORY / "dashboards" / "pages"


@dataclass
class Deployment:
    """A checkout with two releases of `fraud`; `open` draws a page on it."""

    paths: Paths
    digests: tuple[str, str]
    ids: list[str]

    def open(self, page: str, **query: str) -> Any:
        shown = AppTest.from_file(str(PAGES / page), default_timeout=60)
        for name, value in query.items():
            shown.query_params[name] = value
        return shown.run()

    def answer(self, amounts: list[float], release: int, alias: str, *, rehearsal: bool) -> None:
        """Log answers to these amounts, as a server does."""
        digest = self.digests[release - 1]
        bundle = Bundle(self.paths.bundles / digest)
        log = PassportLog(self.paths.predictions)
        for amount in amounts:
            inputs = {"amount": [amount], "country": ["de"], "paid_at": ["2026-05-09T08:30:37"]}
            id = log.next_id()
            outputs = {name: values.tolist() for name, values in bundle.predict(inputs).items()}
            log.append(
                Passport(
                    id=id,
                    time_s=time_of(id),
                    pipeline="fraud",
                    alias=alias,
                    digest=digest,
                    release=release,
                    run_id=f"run-{release}",
                    inputs=inputs,
                    outputs=outputs,
                    latency_ms=1.5,
                    notice=bundle.signature.notice,
                    rehearsal=rehearsal,
                    warnings=(HOSTILE,) if amount > 1000 else (),
                    row_count=1,
                )
            )
            self.ids.append(id)
        log.close()
        self.ask(release, alias, len(amounts), rehearsal=rehearsal)

    def ask(
        self, release: int, alias: str, requests: int, *, errors: int = 0, rehearsal: bool = False
    ) -> None:
        """Count requests, as a server does each second."""
        latency = [0] * (len(BOUNDS_MS) + 1)
        latency[bin_of(1.5)] = requests
        now = time.time()
        window = ServingWindow(
            start_s=now - 1,
            end_s=now,
            pid=1,
            pipeline="fraud",
            alias=alias,
            release=release,
            digest=self.digests[release - 1],
            rehearsal=rehearsal,
            requests=requests,
            rows=requests,
            errors=errors,
            latency_sum_s=requests * 0.0015,
            latency=tuple(latency),
            cpu_s=0.01,
        )
        append_windows(self.paths.serving_windows, [window])

    def watch(self) -> None:
        """What `workbench monitor` does each second."""
        Judge(self.paths).step(time.time())
        watch = Watch(self.paths)
        watch.step(time.time())
        watch.close()

    def challenge(self) -> None:
        begin(self.paths, "fraud", 2, "canary", 0.25)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A checkout in which nothing is deployed, and the pages look at it."""
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "params.yaml").write_text("version: 1\npipelines: []\n")
    monkeypatch.chdir(root)
    monkeypatch.delenv("WORKBENCH_HOME", raising=False)
    monkeypatch.syspath_prepend(str(PAGES.parent))
    return Paths(root, root / ".workbench")


@pytest.fixture
def deployment(checkout: Paths, tmp_path: Path) -> Deployment:
    """Release 2 was champion and was rolled back to release 1, for a hostile reason."""
    folders = [bundles.fraud(tmp_path / f"b{n}", weight=0.01 * n) for n in (1, 2)]
    digests = (seal(folders[0]), seal(folders[1]))
    for number, folder in enumerate(folders, start=1):
        bundles.release(checkout, "fraud", folder, number)
    events = [_released(digests[n - 1], n) for n in (1, 2)]
    moves = [_moved(digests[0], 1), _moved(digests[1], 2), _moved(digests[0], 1, HOSTILE)]
    append(checkout, "fraud", [*events, *moves])
    point(checkout, "fraud", [*events, *moves])
    _reference(checkout, digests[0])
    return Deployment(checkout, digests, [])


def _released(digest: str, number: int) -> Event:
    return Event("release", "fraud", digest, f"run-{number}", number, user="anna")


def _moved(digest: str, number: int, reason: str | None = None) -> Event:
    return Event(
        "alias",
        "fraud",
        digest,
        f"run-{number}",
        number,
        alias="champion",
        rollback=reason is not None,
        reason=reason,
        user="anna",
        time="2026-01-01T00:00:00+00:00",
    )


def _reference(paths: Paths, digest: str) -> None:
    """Amounts in training were small."""
    amounts = np.random.default_rng(1).uniform(0, 100, 5000).tolist()
    columns = {"amount": spread("number", seen("number", amounts))}
    write_reference(paths.bundles, Reference(digest=digest, columns=columns))
