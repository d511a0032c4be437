from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from workbench.core.paths import Paths
from workbench.storage.predictions.log import PassportLog
from workbench.storage.predictions.passport import Passport, time_of


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path, tmp_path / ".workbench")


@pytest.fixture
def opened(paths: Paths) -> Iterator[Callable[..., PassportLog]]:
    """Open logs of these paths; what is still open at the end is closed."""
    logs: list[PassportLog] = []

    def open_log(settings=None, **how) -> PassportLog:
        logs.append(PassportLog(paths.predictions, settings, **how))
        return logs[-1]

    yield open_log
    for log in logs:
        log.close()


@pytest.fixture
def log(opened) -> PassportLog:
    return opened()


def passport(
    log: PassportLog, pipeline: str = "fraud", *, at_s: float | None = None, **fields: Any
) -> Passport:
    """The passport of a new answer, or of one that was given at `at_s`."""
    id = log.next_id()
    if at_s is not None:
        id = f"{int(at_s * 1000):012x}{id[12:]}"
    given: dict[str, Any] = {
        "id": id,
        "time_s": time_of(id),
        "pipeline": pipeline,
        "alias": "champion",
        "digest": "d" * 64,
        "release": 1,
        "run_id": "run",
        "inputs": {"amount": [1.5, None], "country": ["de", "fr"]},
        "outputs": {"score": [0.25, 0.5]},
        "latency_ms": 0.1,
        "row_count": 2,
    }
    return Passport(**(given | fields))


def logged(log: PassportLog, count: int = 1, **fields: Any) -> list[Passport]:
    """Append so many passports and see them on file."""
    many = [passport(log, **fields) for _ in range(count)]
    for one in many:
        log.append(one)
    log.flush()
    return many
