"""The main job on a fresh clone: how long it takes, how much of it is the functions' own work."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.checkouts import clone, environment
from benchmarks.measure import Row, once, show


def main() -> None:
    from workbench.core.files import digest_folder

    folder = Path(tempfile.mkdtemp())
    took, digests, own = {}, {}, {}
    for kind, options in (("forked", []), ("cold", ["--cold"])):
        checkout = clone(folder / kind)
        command = [sys.executable, "-m", "workbench.cli.main", "repro", "fraud", *options]
        took[kind] = once(command, cwd=checkout, env=environment(checkout))
        digests[kind] = digest_folder(checkout / "data")
        records = (
            json.loads(p.read_bytes())
            for p in (checkout / ".workbench" / "runs").glob("*/record.json")
        )
        own[kind] = sum(record["window"]["duration_s"] for record in records)
    wall = took["forked"].wall_s
    rest = (wall - own["forked"]) / wall
    same = digests["forked"] == digests["cold"]
    show(
        "The main job (fraud to a release) on a fresh clone, two cores",
        [
            Row(
                "in all",
                f"{wall:.0f} s",
                f"cold starts {took['cold'].wall_s:.0f} s",
                "",
                "<= 60 s",
                wall <= 60,
            ),
            Row("not the stages' own work", f"{rest:.0%}", "", "", "< 50 %", rest < 0.5),
            Row(
                "bytes as with cold starts",
                "the same" if same else "different",
                "",
                "",
                "the same",
                same,
            ),
        ],
    )


if __name__ == "__main__":
    main()
