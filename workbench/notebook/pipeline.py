"""A pipeline as a notebook sees it: what is there, what is stale, what it cost, who is champion."""

from __future__ import annotations

import html
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core.errors import MissingError, did_you_mean
from workbench.core.files import read_json
from workbench.core.params import Block, read_params
from workbench.core.paths import STAGES, Paths, find_paths
from workbench.execution.plan import Step, plan

if TYPE_CHECKING:
    import ibis

_MARK = {
    "up to date": ("●", "#009E73"),
    "restore": ("◐", "#0072B2"),
    "may run": ("◌", "#E69F00"),
    "run": ("○", "#D55E00"),
}


def pipeline(name: str) -> Pipeline:
    """Return the pipeline `name` of the checkout around this folder."""
    paths = find_paths()
    known = read_params(paths.params).pipelines
    if name not in known:
        raise MissingError(f"No pipeline '{name}'.{did_you_mean(name, known)}")
    return Pipeline(name, paths)


@dataclass(frozen=True)
class Pipeline:
    """One pipeline; shows itself as a card in marimo and Jupyter."""

    name: str
    paths: Paths

    @property
    def params(self) -> Block:
        """Its block of params.yaml, checked."""
        return read_params(self.paths.params).block(self.name)

    def plan(self) -> list[Step]:
        """What the next run will do for each of its stages, and why."""
        return [s for s in plan(self.paths) if s.name.endswith(f"@{self.name}")]

    def report(self, stage: str) -> Any:
        """The report that `stage` left; MissingError before it has run."""
        path = self.paths.report(stage, self.name)
        if not path.is_file():
            raise MissingError(
                f"Stage {stage} of {self.name} has left no report yet.",
                fix=f"run `workbench repro {self.name}`",
            )
        return read_json(path)

    def points(self, stage: str, plot: str) -> list[dict[str, Any]]:
        """Points of a plot that `stage` left, such as ("evaluate", "roc")."""
        path = self.paths.plots(self.name) / stage / f"{plot}.json"
        return read_json(path) if path.is_file() else []

    def table(self, stage: str, name: str) -> ibis.Table:
        """A table that `stage` left, for example ("clean", "payments"), read lazily."""
        import ibis

        folder = self.paths.stage(stage, self.name)
        path = folder / f"{name}.parquet"
        if not path.is_file():
            known = [p.stem for p in folder.glob("*.parquet")]
            raise MissingError(
                f"Stage {stage} of {self.name} has no table '{name}'.{did_you_mean(name, known)}",
                fix=None if known else f"run `workbench repro {self.name}`",
            )
        return ibis.read_parquet(path)

    def quarantine(self, name: str) -> ibis.Table:
        """Rows of table `name` that cleaning set aside, each with its rule in `dropped_by`."""
        import ibis

        files = sorted(
            (self.paths.stage("clean", self.name) / "quarantine").glob(f"{name}-*.parquet")
        )
        if not files:
            raise MissingError(f"No row of '{name}' was set aside, or `clean` has not run.")
        return (
            ibis.union(*parts)
            if len(parts := [ibis.read_parquet(f) for f in files]) > 1
            else parts[0]
        )

    def repro(self) -> Iterator[str]:
        """Run `workbench repro` for this pipeline, yielding its lines as they come."""
        command = [sys.executable, "-m", "workbench.cli.main", "repro", self.name]
        with subprocess.Popen(
            command,
            cwd=self.paths.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None  # asked for above
            yield from (line.rstrip() for line in process.stdout)

    @property
    def champion(self) -> dict[str, Any] | None:
        """The release that answers requests, as the server's pointer says; None before one."""
        from workbench.storage.pointer import read_pointer

        aliases = read_pointer(self.paths.pointer).pipelines.get(self.name, {})
        target = aliases.get("champion")
        return None if target is None else {"release": target.release, "digest": target.digest}

    def usage(self) -> list[dict[str, Any]]:
        """The newest ledger row of each stage; empty before the first sync."""
        from workbench.metering.ledger import Ledger

        if (
            self.paths.ledger_url.startswith("sqlite")
            and not Path(self.paths.ledger_url.removeprefix("sqlite:///")).exists()
        ):
            return []
        return Ledger(self.paths.ledger_url).last(self.name)

    def _repr_html_(self) -> str:
        """The card: stages, what the next run will do, champion, last cost."""
        steps = {step.name.split("@")[0]: step for step in self.plan()}
        cells = "".join(_stage_html(stage, steps.get(stage)) for stage in STAGES)
        champion = self.champion
        crown = (
            f"champion: release {champion['release']} <code>{champion['digest'][:12]}</code>"
            if champion
            else "no champion yet"
        )
        return (
            "<div style='border:1px solid #e3e6ea;border-radius:10px;padding:14px 18px;"
            "font-family:system-ui,sans-serif'>"
            f"<div style='display:flex;justify-content:space-between;align-items:baseline'>"
            f"<b style='font-size:1.15em'>{html.escape(self.name)}</b>"
            f"<span style='color:#5b6470'>{crown} · {self._cost()}</span></div>"
            f"<div style='display:flex;gap:8px;flex-wrap:wrap;margin-top:10px'>{cells}</div></div>"
        )

    def _cost(self) -> str:
        rows = self.usage()
        if not rows:
            return "no usage yet"
        energy = sum(row["energy_kwh"] or 0 for row in rows)
        seconds = sum(row["duration_s"] for row in rows)
        return f"last full run {seconds:.0f} s, {energy * 1000:.2f} Wh (modelled)"


def _stage_html(stage: str, step: Step | None) -> str:
    """One stage as a chip with its state; hovering says why."""
    action = step.action if step else "run"
    mark, colour = _MARK[action]
    why = html.escape("; ".join((step.reasons if step else ())[:4]) or action, quote=True)
    return (
        f"<span title='{why}' style='border:1px solid {colour}55;background:{colour}11;"
        f"border-radius:14px;padding:3px 11px'><span style='color:{colour}'>{mark}</span> {stage}"
        f"<span style='color:#5b6470;font-size:.82em'> {action}</span></span>"
    )
