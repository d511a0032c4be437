"""Staleness as a property of the real library: random edits against what stages then give.

    python -m benchmarks.staleness [--edits N] [--comparisons N] [--seed N]

Two tables: edits by family (outputs that differ and what was missed; what was woken for nothing),
and `workbench status` against the next `dvc repro`. Ends with 1 if anything was missed, needless
or told wrongly.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.laboratory import Laboratory, laboratory, spread
from tests.oracle import missed
from tests.staleness import FAMILIES, Tally, draw, judge

WEIGHTS = (120, 140, 80, 60, 25, 40, 40, 25, 40)
"""How often each family is drawn, of 570 edits."""


def edits(folder: Path, count: int, seed: int) -> bool:
    """Try `count` edits, print the table; whether nothing was missed or needless."""
    rng = random.Random(seed)
    with laboratory(folder) as lab:
        unseen = {s: missed(lab.before[s].parts, run.executed) for s, run in lab.normal.items()}
        wrong = {stage: names for stage, names in unseen.items() if names}
        print(f"code that ran and is in no fingerprint: {wrong or 'none, in 8 stages'}", flush=True)
        tallies = _try_all(lab, rng, count)
    head = (
        "edits | stages woken | runs looked at | outputs differing | missed | needless | no import"
    )
    print(f"\n| {head} |".replace("| edits", "| family | edits", 1))
    print("|---" * 8 + "|")
    total = Tally()
    for family, tally in tallies.items():
        print(_row(family, tally))
        for name in ("edits", "woken", "executed", "differing", "missed", "needless", "broken"):
            setattr(total, name, getattr(total, name) + getattr(tally, name))
        total.same += tally.same
    print(_row("**all**", total))
    looked = sum(t.executed for t in tallies.values())
    print(f"\nwoken and looked at, yet the same bytes: {total.same} of {looked} runs (allowed)")
    for tally in tallies.values():
        print(*tally.said, sep="\n", end="\n" if tally.said else "")
    return not (wrong or total.missed or total.needless)


def _row(family: str, t: Tally) -> str:
    counts = (t.edits, t.woken, t.executed, t.differing, t.missed, t.needless, t.broken)
    return f"| {family} | {' | '.join(map(str, counts))} |"


def _try_all(lab: Laboratory, rng: random.Random, count: int) -> dict[str, Tally]:
    families = rng.choices(FAMILIES, WEIGHTS, k=count)
    planned = [draw(lab, rng, family) for family in families]
    tallies = {family: Tally() for family in FAMILIES}

    def tell(number: int, trial) -> None:
        family = families[number - 1]
        before = len(tallies[family].said)
        judge(lab, family, trial, tallies[family])
        for line in tallies[family].said[before:]:
            print(line, flush=True)
        if number % 50 == 0:
            print(f"  {number} of {count} edits", flush=True)

    spread(lab, planned, tell)
    return tallies


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--edits", type=int, default=570)
    asked.add_argument("--comparisons", type=int, default=36)
    asked.add_argument("--seed", type=int, default=1)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        holds = edits(Path(folder) / "laboratory", given.edits, given.seed)
    sys.exit(not holds)


if __name__ == "__main__":
    main()
