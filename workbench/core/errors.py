"""Errors a person can act on: what is wrong, what was kept, what to do next."""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable


class WorkbenchError(Exception):
    """Base of every error shown to a person, in one sentence and without a traceback.

    problem: one sentence saying what is wrong, naming the thing.
    kept: what was not lost, if anything was at stake.
    fix: the next step, ideally a command.
    """

    def __init__(self, problem: str, *, kept: str | None = None, fix: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.kept = kept
        self.fix = fix

    def __str__(self) -> str:
        parts = [self.problem]
        if self.kept:
            parts.append(f"Kept: {self.kept}")
        if self.fix:
            parts.append(f"Next: {self.fix}")
        return "\n".join(parts)

    def _render_traceback_(self) -> list[str]:
        """What Jupyter shows in place of a traceback: the sentence."""
        return [str(self)]


class ParamsError(WorkbenchError):
    """`params.yaml` says something that cannot be followed."""


class PipelineError(WorkbenchError):
    """A pipeline notebook does not keep the contract."""


class DataError(WorkbenchError):
    """Data is not what its schema or stage promises."""


class LeakError(DataError):
    """A feature or a split would let the model see the answer."""


class TrainingError(WorkbenchError):
    """Training cannot go on, for example because the loss is not a number."""


class StaleError(WorkbenchError):
    """Code, pins or data changed under a running stage."""


class BundleError(WorkbenchError):
    """A bundle is missing, incomplete or altered."""


class ReleaseError(WorkbenchError):
    """A release was refused or cannot be found."""


class TakenBackError(ReleaseError):
    """The candidate is a release that a person took back: nothing failed, nothing is new."""


class BusyError(WorkbenchError):
    """Another process holds what this one needs."""


class StateError(WorkbenchError):
    """The state of this checkout (ledger, runs, cache) is damaged or out of reach."""


class MissingError(WorkbenchError):
    """A program, package or file that is needed is not there."""


def disk_full(error: BaseException) -> StateError | None:
    """Return the sentence for an error that says that no space is left; None for any other.

    DuckDB, Arrow and safetensors each raise classes of their own, with the system's text inside.
    """
    words = ("No space left on device", "os error 28", "disk is full")
    if getattr(error, "errno", None) != errno.ENOSPC and not any(w in str(error) for w in words):
        return None
    where = getattr(error, "filename", None) or next(
        iter(re.findall(r'"(/[^"]+)"', str(error))), ""
    )
    return StateError(
        f"The disk is full{f' ({where})' if where else ''}.",
        kept="all outputs that were whole before",
        fix="free space (`workbench doctor` says how much there is), then run it again",
    )


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?`, or the valid choices when nothing is near."""
    known = sorted(set(choices))
    # A client's word may have megabytes, and the comparison takes time with the square of it.
    near = difflib.get_close_matches(word[:100], known, n=1, cutoff=0.6)
    if near:
        return f" Did you mean '{near[0]}'?"
    return f" Choose from: {', '.join(known)}." if known else ""
