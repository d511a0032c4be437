"""Which edits are drawn where, and what must follow from each; for the test and the benchmark."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests import edits
from tests.edits import Edit
from tests.laboratory import Laboratory, Planned, Trial
from workbench.core.fingerprint.contract import BORDER, OBSERVERS, is_below

BEYOND = tuple(
    f"workbench.{part}" for part in ("cli", "figures", "notebook", "registry", "tracking")
)
"""Layers that no stage imports."""

CHECKED = (1.0, 0.2)
"""Every stage that an edit of meaning did not wake is executed, and a fifth of those it did."""

SAMPLED = (0.15, 0.0)
"""Of edits that mean nothing, the outputs are looked at now and then: grammar, not engine."""

NEVER = (0.0, 0.0)


@dataclass
class Tally:
    """What came of the edits of one family.

    differing: executed runs with another output. missed: those not woken. needless: stages woken
    although nothing that they reach changed. same: executed runs that were woken and gave the
    same output. broken: runs that no longer import, and so cannot be wrong in silence.
    """

    edits: int = 0
    woken: int = 0
    executed: int = 0
    differing: int = 0
    missed: int = 0
    needless: int = 0
    same: int = 0
    broken: int = 0
    said: list[str] = field(default_factory=list)


FAMILIES = (
    "meaning, in the notebook",
    "meaning, in the library",
    "meaning, code of another stage",
    "comment, docstring, layout, annotation, import order",
    "new function or cell",
    "prose, plot, title",
    "log line to an observer",
    "observer itself",
    "code that no stage imports",
)
MEANING, LIBRARY, ANOTHER, LAYOUT, NEW, NOTEBOOK, LOG, OBSERVER, UNREACHED = FAMILIES


def draw(lab: Laboratory, rng: random.Random, family: str) -> Planned:
    """Draw one edit of a family."""
    notebook = [name for name in lab.files if name.startswith("pipelines/")]
    loaded = set().union(*(run.loaded for run in lab.normal.values()))
    inside = [n for n in sorted(loaded) if not is_below(edits.module_of(n), BORDER)]
    library = [n for n in inside if n not in notebook]
    stages = [n for n in library if n.startswith("workbench/stages/")]
    every = sorted(lab.files)
    watching = [n for n in every if is_below(edits.module_of(n), OBSERVERS)]
    beyond = [n for n in every if is_below(edits.module_of(n), BEYOND)]
    # A notebook has no decorators but marimo's.
    plain = [edit for edit in edits.MEANING if edit is not edits.drop_decorator]
    layout = tuple(edit for edit in edits.NEUTRAL if edit is not edits.add_unreached)
    places: dict[str, tuple[Sequence[Edit], list[str], tuple[float, float]]] = {
        MEANING: (plain, notebook, CHECKED),
        LIBRARY: (edits.MEANING, library, CHECKED),
        ANOTHER: (plain, rng.choice([stages, notebook]), CHECKED),
        LAYOUT: (layout, inside, SAMPLED),
        NEW: ((edits.add_unreached,), inside, SAMPLED),
        NOTEBOOK: (edits.NOTEBOOK, notebook, SAMPLED),
        LOG: ((edits.add_log_line,), inside, SAMPLED),
        OBSERVER: (edits.IN_OBSERVERS, watching, NEVER),
        UNREACHED: (edits.MEANING, beyond, CHECKED),
    }
    grammar, among, checks = places[family]
    return lab.draw(rng, rng.choice(grammar), among, checks)


def judge(lab: Laboratory, family: str, trial: Trial, tally: Tally) -> None:
    """Count one trial; what must not happen is told with the edit."""
    needless = frozenset[str]()
    if family == ANOTHER:
        needless = trial.woken & lab.unreachable(trial)
    elif family not in (MEANING, LIBRARY):
        needless = trial.woken
    tally.edits += 1
    tally.woken += len(trial.woken)
    tally.executed += len(trial.executed)
    tally.differing += len(trial.differing)
    tally.missed += len(trial.missed)
    tally.needless += len(needless)
    tally.same += len((trial.woken & trial.executed) - trial.differing - trial.broken)
    tally.broken += len(trial.broken)
    if trial.missed:
        tally.said.append(f"missed {', '.join(sorted(trial.missed))}: {trial}")
    if needless:
        tally.said.append(f"needless {', '.join(sorted(needless))}: {trial}")
