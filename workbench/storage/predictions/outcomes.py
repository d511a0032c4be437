"""What turned out to be true: appended when it is known, joined to passports when they are read."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from workbench.core.errors import DataError, StateError
from workbench.core.paths import Paths
from workbench.core.secrets import private
from workbench.storage.predictions.lookup import locate
from workbench.storage.predictions.passport import Passport, date_of
from workbench.storage.predictions.places import Partition, partitions
from workbench.storage.predictions.reading import read_partition

MAX_BYTES = 10_000
"""Of one outcome: a label, a number, a short list."""


class Outcome(msgspec.Struct, frozen=True):
    """A true outcome on file. time_s: when it was known, in seconds since 1970-01-01 UTC."""

    id: str
    outcome: Any
    time_s: float


@dataclass(frozen=True)
class Known:
    """An answer and what turned out to be true, known since `time_s`."""

    passport: Passport
    outcome: Any
    time_s: float


def record_outcome(folder: Path, id: str, outcome: Any, time_s: float) -> None:
    """Add what turned out to be true of prediction `id` to the log in `folder`.

    Late and repeated ones are welcome: of several the one that was known last counts. DataError
    for an id that is not on file, an answer being so half a second after it was given, and for a
    value that is no outcome; StateError when it cannot be written.
    """
    place = locate(folder, id)
    if place is None:
        raise DataError(
            f"No prediction '{id[:40]}' is on file here.", fix="give the `id` of an answer"
        )
    line = _line(id, outcome, time_s)
    try:
        with open(place.partition.outcomes, "ab", buffering=0, opener=private) as file:
            written = file.write(line)
    except OSError as error:
        raise _unwritten(error.strerror) from None
    if written != len(line):  # what there is of it is a torn line, which nobody reads
        raise _unwritten(os.strerror(28))


def outcomes(paths: Paths, pipeline: str, since_s: float = 0.0) -> Iterator[Known]:
    """Yield the answers of `pipeline` given since `since_s` whose true outcome is known.

    Day by day; within one in no order. Answers without an outcome are left out.
    """
    for partition in partitions(paths.predictions, pipeline, date_of(since_s)):
        if known := read_outcomes(partition):
            for passport in read_partition(partition, since_s=since_s, ids=known.keys()):
                found = known[passport.id]
                yield Known(passport, found.outcome, found.time_s)


def read_outcomes(partition: Partition) -> dict[str, Outcome]:
    """The outcomes of a partition by id; of several the one known last, then the later line."""
    found: dict[str, Outcome] = {}
    try:
        with partition.outcomes.open("rb") as file:
            for line in file:
                try:
                    one = msgspec.json.decode(line, type=Outcome)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    continue  # the empty line between two, or a torn one
                if one.id not in found or found[one.id].time_s <= one.time_s:
                    found[one.id] = one
    except FileNotFoundError:
        pass
    return found


def _line(id: str, outcome: Any, time_s: float) -> bytes:
    """One line, with an end before it too: one that was torn must not take it along."""
    if outcome is None or (isinstance(outcome, float) and not math.isfinite(outcome)):
        raise DataError("An outcome is a value: a label, a finite number, or true or false.")
    if not math.isfinite(time_s):
        raise DataError("The time of an outcome is a number of seconds since 1970-01-01 UTC.")
    line = b"\n%b\n" % msgspec.json.encode(Outcome(id, outcome, time_s))
    if len(line) > MAX_BYTES:
        raise DataError(f"The outcome of '{id[:40]}' is larger than {MAX_BYTES} bytes.")
    return line


def _unwritten(reason: str | None) -> StateError:
    return StateError(f"The outcome cannot be written: {reason}.", kept="the prediction log")
