"""DVC without its progress bars: `python -m workbench.execution.quietdvc repro ...`.

On a terminal DVC draws a bar for every file that it hashes, over what the stages show. It has no
switch for that, but it leaves bars out where their logger is silent; its errors have others.
After a run that was killed it says, once a file, that it takes the locks of the dead process away:
that is as it should be.
"""

from __future__ import annotations

import logging
import sys

_LOGGERS = ("dvc.progress", "dvc_data.callbacks")
_LOCKS = "dvc.rwlock"


def main() -> int:
    """Run DVC in this process; returns its exit code."""
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger(_LOCKS).setLevel(logging.ERROR)
    from dvc.cli import main as dvc

    return dvc(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
