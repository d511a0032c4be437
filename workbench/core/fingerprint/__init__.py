"""What a stage's code means, from the syntax tree alone; nothing of the project is imported."""

from workbench.core.fingerprint.contract import CONTRACT, STAGE_FUNCTIONS
from workbench.core.fingerprint.lint import Problem, problems
from workbench.core.fingerprint.record import (
    Fingerprint,
    changes,
    fingerprint,
    fingerprint_all,
    read,
    write_all,
)

__all__ = [
    "CONTRACT",
    "STAGE_FUNCTIONS",
    "Fingerprint",
    "Problem",
    "changes",
    "fingerprint",
    "fingerprint_all",
    "problems",
    "read",
    "write_all",
]
