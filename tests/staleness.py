"""Which edits are drawn where, and what must follow from each; for the test and the benchmark."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests import edits
from tests.edits import Edit
from tests.laboratory import Laboratory, Planned, Trial, spread
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


MEANING, LIBRARY, ANOTHER = (
    "meaning, in the notebook",
    "meaning, in the library",
    "meaning, code of another stage",
)
LAYOUT = "comment, docstring, layout, annotation, import order"
NEW, NOTEBOOK, LOG = "new function or cell", "prose, plot, title", "log line to an observer"
OBSERVER, UNREACHED = "an observer itself", "code that no stage imports"

FAMILIES: dict[str, int] = {
    MEANING: 120,
    LIBRARY: 140,
    ANOTHER: 80,
    LAYOUT: 60,
    NEW: 25,
    NOTEBOOK: 40,
    LOG: 40,
    OBSERVER: 25,
    UNREACHED: 40,
}
"""Families of edits, and how often each is drawn among 570."""


def families(rng: random.Random, count: int) -> list[str]:
    """Draw the families of `count` edits."""
    return rng.choices(list(FAMILIES), list(FAMILIES.values()), k=count)


def try_all(
    lab: Laboratory,
    rng: random.Random,
    drawn: Sequence[str],
    share: float = 1.0,
    say: Callable[[str], object] = lambda line: None,
) -> dict[str, Tally]:
    """Try an edit of each family in `drawn`; return the tallies of those that came up."""
    planned = [draw(lab, rng, family, share) for family in drawn]
    tallies = {family: Tally() for family in FAMILIES if family in drawn}

    def tell(number: int, trial: Trial) -> None:
        tally = tallies[drawn[number - 1]]
        told = len(tally.said)
        judge(lab, drawn[number - 1], trial, tally)
        for line in tally.said[told:]:
            say(line)
        if number % 50 == 0:
            say(f"  {number} of {len(drawn)} edits")

    spread(lab, planned, tell)
    return tallies


def draw(lab: Laboratory, rng: random.Random, family: str, share: float = 1.0) -> Planned:
    """Draw one edit of a family.

    share: of the stages that would be executed, those that are.
    """
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
    unwoken, woken = checks
    return lab.draw(rng, rng.choice(grammar), among, (unwoken * share, woken * share))


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
