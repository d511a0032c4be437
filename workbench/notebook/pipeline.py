"""A pipeline as a notebook sees it: what is there, what is stale, what it cost, who is champion."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core.errors import MissingError, ParamsError, did_you_mean
from workbench.core.files import read_json
from workbench.core.params import Block, read_params
from workbench.core.paramsfile import set_values
from workbench.core.paths import STAGES, Paths, find_paths
from workbench.execution.plan import Step, plan
from workbench.notebook.card import card

if TYPE_CHECKING:
    import ibis

    from workbench.data.sources.recipe import Recipe


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

    @property
    def complete(self) -> bool:
        """Whether its last run came to the end, so that there is something of every stage."""
        return all(self.paths.stage(stage, self.name).is_dir() for stage in STAGES)

    @property
    def recipe(self) -> Recipe | None:
        """How its own table is read; None where its `collect` has no `source` in params.yaml."""
        from workbench.data.sources.recipe import recipe_of

        given = (self.params.collect.__pydantic_extra__ or {}).get("source")
        return recipe_of(given) if isinstance(given, Mapping) else None

    def plan(self) -> list[Step]:
        """What the next run will do for each of its stages, and why."""
        return [s for s in plan(self.paths) if s.name.endswith(f"@{self.name}")]

    def what_if(self, changes: Mapping[str, Any]) -> list[Step]:
        """What the next run would do with other settings, such as {"train.epochs": 20}.

        Nothing is written and nothing runs. ParamsError where the settings would be refused.
        """
        with tempfile.TemporaryDirectory(prefix="what-if-") as folder:
            file = Path(folder) / self.paths.params.name
            shutil.copy(self.paths.params, file)
            try:
                set_values(file, self.name, changes)
            except ParamsError as error:
                raise ParamsError(
                    f"A run would refuse {error.problem.replace(' in params.yaml', '', 1)}",
                    kept="params.yaml, as it is: nothing was written",
                ) from None
            return [s for s in plan(self.paths, file) if s.name.endswith(f"@{self.name}")]

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
        first, *rest = (ibis.read_parquet(file) for file in files)
        return ibis.union(first, *rest) if rest else first

    def repro(self) -> Iterator[str]:
        """Run `workbench repro` for this pipeline, yielding its lines as they come.

        A stage is told when it begins and when it has ended.
        """
        command = [sys.executable, "-m", "workbench.cli.main", "repro", "--starts", self.name]
        # Jupyter asks programs for colours; what would be drawn over in a terminal is a line here.
        plain = {k: v for k, v in os.environ.items() if k not in ("FORCE_COLOR", "CLICOLOR_FORCE")}
        with subprocess.Popen(
            command,
            cwd=self.paths.root,
            env=plain,
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

    def judged(self) -> dict[str, Any] | None:
        """What the champion measured when it was judged; a later run's report may say otherwise.

        Holds `main`, `metrics` and `baselines` as `evaluate.json` does; None without a champion.
        """
        from workbench.registry.contender import released

        champion = self.champion
        found = released(self.paths, champion["digest"]) if champion else None
        return None if found is None else dict(found.candidate)

    def refusal(self) -> list[str]:
        """Why today's candidate is not today's champion, a sentence a gate; empty if it is.

        Others that were refused are history: the settings of the champion may be back.
        """
        from workbench.registry.log import read_log
        from workbench.tracking.evidence import read_candidate

        candidate = read_candidate(self.paths, self.name)
        if candidate is None:
            return []
        champion = self.champion
        against = champion["digest"] if champion else None
        for event in reversed(read_log(self.paths, self.name)):
            refused = event.event == "refused" and event.digest == candidate["bundle"]
            if refused and event.champion == against:
                return [gate.sentence for gate in event.gates if not gate.holds]
        return []

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
        """The card: stages, what the next run will do, champion, what the stages last used."""
        steps = {step.name.split("@")[0]: step for step in self.plan()}
        champion = self.champion
        crown = (
            f"champion: release {champion['release']} ({champion['digest'][:12]})"
            if champion
            else "no champion yet"
        )
        facts = [crown, _used(spent(self.usage())), self.params.serve.notice]
        return card(self.name, steps, [fact for fact in facts if fact])


@dataclass(frozen=True)
class Spent:
    """What several ledger rows add up to. energy_kwh within [lo, hi]; None: not measured."""

    duration_s: float
    energy_kwh: float | None
    lo: float | None
    hi: float | None
    known_by: str


def spent(rows: list[dict[str, Any]]) -> Spent | None:
    """The sum of `rows`; None without rows. One row without energy leaves the sum without."""
    if not rows:
        return None
    names = ("energy_kwh", "energy_lo", "energy_hi")
    whole = all(row[name] is not None for row in rows for name in names)
    energy, lo, hi = (sum(row[name] for row in rows) if whole else None for name in names)
    known = dict.fromkeys(row["provenance"] for row in rows if row["provenance"])
    return Spent(sum(row["duration_s"] or 0 for row in rows), energy, lo, hi, ", ".join(known))


def _used(total: Spent | None) -> str:
    if total is None:
        return "no usage yet"
    energy = (
        "energy not measured"
        if total.energy_kwh is None
        else f"{total.energy_kwh * 1e6:.3g} mWh ({total.known_by})"
    )
    return f"last run of each stage: together {total.duration_s:.0f} s, {energy}"
