"""How long a person waits before anything happens: import, help, status."""

from __future__ import annotations

import sys

from benchmarks.measure import Row, alternate, show


def main() -> None:
    python = sys.executable
    measured = alternate(
        {
            "nothing": (python, "-c", "pass"),
            "import": (python, "-c", "import workbench"),
            "help": (python, "-m", "workbench.cli.main", "--help"),
            "status": (python, "-m", "workbench.cli.main", "status", "--json"),
            "dvc status": (python, "-m", "dvc", "status"),
        }
    )
    base = measured["nothing"].wall_s
    rows = []
    for name, bound_ms in (("import", 100), ("help", 300), ("status", 1000)):
        ms = measured[name].wall_s * 1000
        dvc_ms = measured["dvc status"].wall_s * 1000
        other = f"dvc status {dvc_ms:.0f} ms" if name == "status" else ""
        what = {
            "import": "`import workbench`",
            "help": "`workbench --help`",
            "status": "`workbench status`",
        }[name]
        rows.append(
            Row(
                what,
                f"{ms:.0f} ms (python itself {base * 1000:.0f})",
                other,
                "",
                f"< {bound_ms} ms",
                ms < bound_ms,
            )
        )
    show("Waiting for the first word", rows)


if __name__ == "__main__":
    main()
