"""`python -m benchmarks [name ...]`: all of them, or those named; prints the README's table."""

from __future__ import annotations

import sys
from importlib import import_module

NAMES = ("startup", "noop", "training", "clean", "job", "own", "quality", "serving")


def main(names: list[str]) -> None:
    for name in names or NAMES:
        if name not in NAMES:
            sys.exit(f"No benchmark '{name}'. Choose from: {', '.join(NAMES)}.")
        import_module(f"benchmarks.{name}").main()


main(sys.argv[1:])
