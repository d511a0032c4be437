"""The eyes on a stage: its lock, its fingerprint, its meter, its run record.

Nothing here reaches an output, so nothing here is part of a fingerprint: a declared border.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from workbench.core.errors import StaleError
from workbench.core.files import digest_folder, digest_values, read_json
from workbench.core.fingerprint import Fingerprint, changes, fingerprint
from workbench.core.paths import Paths
from workbench.execution.damage import check_given
from workbench.execution.lock import hold
from workbench.metering.meter import Meter
from workbench.metering.runs import Run, open_run


class Watched:
    """One stage under watch.

    key: digest of fingerprint, params and data; equal for a rerun of the same.
    """

    def __init__(
        self,
        paths: Paths,
        stage: str,
        pipeline: str,
        before: Fingerprint,
        key: str,
        run: Run | None,
    ) -> None:
        self.paths, self.stage, self.pipeline = paths, stage, pipeline
        self.before, self.key, self._run = before, key, run
        self.outputs: dict[str, str] = {}
        self.metrics: dict[str, float] = {}

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add a line to the run's metric series."""
        if self._run:
            self._run.log(step, values)

    def check(self) -> None:
        """Raise StaleError if code or versions changed while the stage ran."""
        now = fingerprint(self.paths.root, self.stage, self.pipeline)
        if now.digest != self.before.digest:
            raise StaleError(
                f"The code of {self.stage}@{self.pipeline} changed while it ran: "
                f"{'; '.join(changes(self.before, now)[:3])}.",
                kept="the outputs of the run before",
                fix="run `workbench repro` again",
            )

    def done(self, out: Path, report: Mapping[str, Any]) -> None:
        """Note what came out, for the run record."""
        self.outputs = {self.stage: digest_folder(out)}
        self.metrics = dict(_numbers(report))


@contextlib.contextmanager
def watched(
    paths: Paths, stage: str, pipeline: str, params: Mapping[str, Any], inputs: Mapping[str, str]
) -> Iterator[Watched]:
    """Hold the stage's lock, check its fingerprint, and leave a record however the block ends."""
    leads = os.environ.get("RANK", "0") == "0"
    with contextlib.ExitStack() as stack:
        if leads:
            stack.enter_context(
                hold(paths.lock(f"{pipeline}.{stage}"), f"stage {stage} of {pipeline}")
            )
        if "DVC_STAGE" in os.environ:  # by hand, a person may give a stage what they like
            for given in inputs:
                out = paths.stage(given, pipeline).relative_to(paths.root).as_posix()
                check_given(paths.root, paths.dvc_lock, f"{given}@{pipeline}", out)
        before = fingerprint(paths.root, stage, pipeline)
        _compare(paths, stage, pipeline, before)
        key = digest_values(before.digest, dict(params), dict(inputs))
        run = _open(paths, stage, pipeline, before, key, params, inputs) if leads else None
        watch = Watched(paths, stage, pipeline, before, key, run)
        error = ""
        metered = None
        try:
            with Meter().window(f"{stage}@{pipeline}") as metered:
                yield watch
        except BaseException as raised:
            error = f"{type(raised).__name__}: {raised}".splitlines()[0]
            raise
        finally:
            if run:
                run.close(
                    "failed" if error else "finished",
                    window=metered.window if metered else None,
                    outputs=watch.outputs,
                    metrics=watch.metrics,
                    error=error,
                )


def _compare(paths: Paths, stage: str, pipeline: str, now: Fingerprint) -> None:
    """The code must be what the fingerprint stage saw, or DVC would remember it wrongly."""
    file = paths.fingerprint(stage, pipeline)
    if not file.is_file():
        raise StaleError(
            f"No fingerprint of {stage}@{pipeline} yet.", fix="run `workbench repro` or `dvc repro`"
        )
    pinned = read_json(file, Fingerprint)
    if pinned.digest != now.digest:
        raise StaleError(
            f"The code of {stage}@{pipeline} is not what its fingerprint says: "
            f"{'; '.join(changes(pinned, now)[:3])}.",
            kept="all outputs as they were",
            fix="run `workbench repro`, which takes fingerprints first",
        )


def _open(
    paths: Paths,
    stage: str,
    pipeline: str,
    code: Fingerprint,
    key: str,
    params: Mapping[str, Any],
    inputs: Mapping[str, str],
) -> Run:
    return open_run(
        paths,
        pipeline=pipeline,
        stage=stage,
        key=key,
        fingerprint=code.digest,
        notebook=f"pipelines/{pipeline}.py",
        function=stage,
        params=params,
        inputs=inputs,
        packages=code.packages,
    )


def _numbers(report: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """The plain numbers of a report, by dotted name; tables of details are left to the report."""
    for name, value in report.items():
        if isinstance(value, bool):
            continue
        if isinstance(value, int | float):
            yield f"{prefix}{name}", float(value)
        elif isinstance(value, Mapping) and name in ("metrics", "operating_point", "rows"):
            yield from _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, Mapping) and prefix == "metrics." and "value" in value:
            yield f"{name}", float(value["value"])
