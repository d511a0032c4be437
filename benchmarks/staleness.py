"""Staleness as a property of the real library: random edits against what stages then give.

    python -m benchmarks.staleness [--edits N] [--comparisons N] [--seed N]

Two tables: edits by family (outputs that differ and were missed, stages woken for nothing), and
`workbench status` against the next `dvc repro`. Ends with 1 if anything was missed, needless or
told wrongly.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.laboratory import laboratory
from tests.oracle import missed
from tests.reruns import CHANGES, reruns
from tests.staleness import Tally, families, try_all

COLUMNS = {
    "edits": "edits",
    "stages woken": "woken",
    "runs looked at": "executed",
    "outputs differing": "differing",
    "missed": "missed",
    "needless": "needless",
    "no longer import": "broken",
    "woken, same bytes": "same",
}


def edits(folder: Path, count: int, seed: int) -> bool:
    """Try `count` edits and print the table; whether nothing was missed or needless."""
    rng = random.Random(seed)
    with laboratory(folder) as lab:
        unseen = {s: missed(lab.before[s].parts, run.executed) for s, run in lab.normal.items()}
        wrong = {stage: names for stage, names in unseen.items() if names}
        ran = sum(len(run.executed) for run in lab.normal.values())
        print(
            f"of {ran} functions and classes that the stages ran, in no fingerprint: {wrong or 0}"
        )
        tallies = try_all(lab, rng, families(rng, count), say=lambda s: print(s, flush=True))
    total = Tally()
    for tally in tallies.values():
        for column in COLUMNS.values():
            setattr(total, column, getattr(total, column) + getattr(tally, column))
    print(f"\n| family | {' | '.join(COLUMNS)} |\n{'|---' * (len(COLUMNS) + 1)}|")
    for family, tally in (tallies | {"**all**": total}).items():
        counts = [str(getattr(tally, column)) for column in COLUMNS.values()]
        print(f"| {family} | {' | '.join(counts)} |", flush=True)
    return not (wrong or total.missed or total.needless)


def status(folder: Path, count: int, seed: int) -> bool:
    """Compare status and DVC `count` times and print the table; whether they always agreed."""
    made: Counter[str] = Counter()
    said: Counter[tuple[str, str]] = Counter()
    wrong: list[str] = []
    with reruns(folder, seed) as runs:
        for number in range(count):
            change = CHANGES[number % len(CHANGES)]
            comparison = runs.compare(change)
            made[change.__name__.replace("_", " ")] += 1
            said.update((comparison.said.get(s, "-"), w) for s, w in comparison.did.items())
            if comparison.wrong:
                wrong.append(str(comparison))
                print(wrong[-1], flush=True)
    changes = ", ".join(f"{name} {times}" for name, times in made.items())
    print(f"\n{count} comparisons ({changes}): {len(wrong)} mismatches")
    print("\n| status said | DVC did | stages |\n|---|---|---|")
    for (action, what), times in sorted(said.items()):
        print(f"| {action} | {what} | {times} |")
    return not wrong


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--edits", type=int, default=570)
    asked.add_argument("--comparisons", type=int, default=44)
    asked.add_argument("--seed", type=int, default=1)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        holds = status(Path(folder) / "checkout", given.comparisons, given.seed)
        holds &= edits(Path(folder) / "laboratory", given.edits, given.seed)
    sys.exit(not holds)


if __name__ == "__main__":
    main()
