"""`python -m workbench.stages STAGE PIPELINE`: what DVC runs.

Asks the fork server first, if one is there; the standard library is all it needs for that.
"""

from __future__ import annotations

import sys


def main(arguments: list[str]) -> int:
    """Run one stage; returns the exit code."""
    from workbench.execution import client

    if (code := client.run_stage(arguments)) is not None:
        client.end_like(code)
    from workbench.stages.run import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
