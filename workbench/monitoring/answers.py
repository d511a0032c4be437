"""The newest answers of each deployed release, out of the prediction log, and what they show.

Read from the end: what was answered last is what is judged, and a log of months costs no more than
one of an hour.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from workbench.core.deploy import Deploy
from workbench.core.errors import BundleError, StateError
from workbench.core.paths import Paths
from workbench.core.records import Signature
from workbench.data.distributions import likeliest
from workbench.monitoring.drift import drifts_of
from workbench.monitoring.health import Deployed, Watched
from workbench.monitoring.quality import Quality, quality_of
from workbench.storage.bundle import read_signature
from workbench.storage.predictions.outcomes import read_outcomes
from workbench.storage.predictions.passport import Passport, date_of
from workbench.storage.predictions.places import Segment, partitions, segments
from workbench.storage.predictions.reading import read_partition
from workbench.storage.reference import Reference, read_reference

RECENT_S = 7 * 86_400.0
"""Older answers say nothing of today."""

MAX_READ = 20_000
"""Records that one look takes from the log: enough to find a canary's rows among the others'."""

MAX_OUTCOMES = 5_000
_BLOCK = 1 << 18

Which = tuple[str, bool]
"""Digest of the bundle, and whether it was a rehearsal."""


class _Answer(msgspec.Struct):
    """What is needed of a passport; values are decoded only where they are wanted."""

    digest: str
    inputs: msgspec.Raw
    outputs: msgspec.Raw
    rehearsal: bool = False
    logged: str = "full"
    private: tuple[str, ...] = ()


@dataclass
class _Rows:
    """Rows by column and output, newest answers first."""

    rows: int = 0
    columns: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    outputs: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    private: frozenset[str] = frozenset()

    def add(self, answer: _Answer) -> None:
        columns, outputs = (
            msgspec.json.decode(part, type=dict[str, list[Any]])
            for part in (answer.inputs, answer.outputs)
        )
        self.private |= set(answer.private)
        before, count = self.rows, max(map(len, [*columns.values(), *outputs.values()]), default=0)
        self.rows += count
        for kept, given in ((self.columns, columns), (self.outputs, outputs)):
            for name in {*kept, *given}:  # who leaves a column out means that it is missing
                values = kept.setdefault(name, [None] * before)
                values.extend(given.get(name, [None] * count))


def watched_answers(
    paths: Paths, pipeline: str, deployed: tuple[Deployed, ...], settings: Deploy, now: float
) -> tuple[Watched, ...]:
    """Drift and quality of each deployed release, in life and in rehearsal, where there is any."""
    wanted = {(d.digest, rehearsal) for d in deployed for rehearsal in (False, True)}
    rows = _newest(paths, pipeline, wanted, settings.drift.rows, now)
    known = _outcomes(paths, pipeline, wanted, now)
    found = [
        _watched(paths, one, which, rows.get(which), known.get(which, []), settings, now)
        for one in deployed
        for which in ((one.digest, False), (one.digest, True))
        if which in rows or which in known
    ]
    return tuple(found)


def _watched(
    paths: Paths,
    one: Deployed,
    which: Which,
    rows: _Rows | None,
    known: list[tuple[Any, Any]],
    settings: Deploy,
    now: float,
) -> Watched:
    notes: list[str] = []
    drift: list[Any] = []
    quality: list[Quality] = []
    try:
        signature = read_signature(paths.bundles / one.digest)
        reference = read_reference(paths.bundles, one.digest)
    except (BundleError, StateError) as error:
        return Watched(one.alias, one.release, *which, now, notes=(error.problem,))
    if reference is None:
        notes.append(
            f"Release {one.release} has no reference to compare with; `workbench release` "
            "writes it where its data are."
        )
    elif rows is not None:
        limit = settings.drift.limit
        absent = [None] * rows.rows  # nobody gave it: that is as missing as can be
        columns = {
            n: rows.columns.get(n, absent) for n in reference.columns if n not in rows.private
        }
        drift += drifts_of(reference.columns, columns, "input", limit)
        drift += drifts_of(reference.answers, _comparable(signature, rows), "answer", limit)
        hidden = rows.private & reference.columns.keys()
        if hidden:
            notes.append(f"Not compared, because they are private: {', '.join(sorted(hidden))}.")
    if known:
        quality = quality_of(signature, *_columns(known), _metrics(reference))
    return Watched(one.alias, one.release, *which, now, tuple(drift), tuple(quality), tuple(notes))


def _comparable(signature: Signature, rows: _Rows) -> dict[str, list[Any]]:
    """Outputs as the reference has them: of several classes the likeliest."""
    found = dict(rows.outputs)
    if signature.classes and "scores" in found:
        found["scores"] = likeliest(signature.classes, [row for row in found["scores"] if row])
    return found


def _metrics(reference: Reference | None) -> Mapping[str, Mapping[str, float]]:
    return reference.metrics if reference else {}


def _columns(known: list[tuple[Any, Any]]) -> tuple[list[Any], list[Any]]:
    return [answer for answer, _ in known], [outcome for _, outcome in known]


def _newest(
    paths: Paths, pipeline: str, wanted: set[Which], most: int, now: float
) -> dict[Which, _Rows]:
    """The newest rows of each release that is wanted, up to `most` of each."""
    found: dict[Which, _Rows] = {}
    missing = set(wanted)
    for answer in islice(_backwards(paths.predictions, pipeline, now - RECENT_S), MAX_READ):
        which = answer.digest, answer.rehearsal
        if which not in missing or answer.logged != "full":
            continue
        rows = found.setdefault(which, _Rows())
        rows.add(answer)
        if rows.rows >= most:
            missing.discard(which)
            if not missing:
                break
    return found


def _backwards(folder: Path, pipeline: str, since_s: float) -> Iterator[_Answer]:
    """Answers from the newest segment to the oldest, each from its end."""
    for partition in reversed(partitions(folder, pipeline, date_of(since_s))):
        for segment in reversed(segments(partition)):
            yield from _segment_backwards(segment)


def _segment_backwards(segment: Segment) -> Iterator[_Answer]:
    if segment.is_closed:
        yield from _parquet_backwards(segment.parquet)
        return
    try:
        for line in _lines_backwards(segment.hot):
            try:
                yield msgspec.json.decode(line, type=_Answer)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue  # torn by a crash, or the empty line after a torn one
    except FileNotFoundError:
        yield from _parquet_backwards(segment.parquet)  # it was closed meanwhile


def _lines_backwards(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        at = file.seek(0, 2)
        rest = b""
        while at:
            size = min(_BLOCK, at)
            at -= size
            file.seek(at)
            first, *whole = (file.read(size) + rest).split(b"\n")
            yield from reversed(whole)
            rest = first
        yield rest


def _parquet_backwards(path: Path) -> Iterator[_Answer]:
    import pyarrow.parquet as pq

    names = ["digest", "inputs", "outputs", "rehearsal", "logged", "private"]
    try:
        file = pq.ParquetFile(path)
    except FileNotFoundError:
        return  # its days are over
    with file:
        for group in reversed(range(file.num_row_groups)):
            table = file.read_row_group(group, columns=names)
            for row in reversed(table.slice(max(0, table.num_rows - MAX_READ)).to_pylist()):
                yield _Answer(
                    digest=row["digest"],
                    inputs=msgspec.Raw(row["inputs"].encode()),
                    outputs=msgspec.Raw(row["outputs"].encode()),
                    rehearsal=row["rehearsal"],
                    logged=row["logged"],
                    private=tuple(row["private"]),
                )


def _outcomes(
    paths: Paths, pipeline: str, wanted: set[Which], now: float
) -> dict[Which, list[tuple[Any, Any]]]:
    """Pairs of main output and true outcome, a row each, of the newest answers that have one."""
    found: dict[Which, list[tuple[Any, Any]]] = {}
    signatures: dict[str, Signature | None] = {}
    first = date_of(now - RECENT_S * 4)
    left = MAX_OUTCOMES
    for partition in reversed(partitions(paths.predictions, pipeline, first)):
        known = read_outcomes(partition)
        ids = sorted(known, reverse=True)[:left]
        left -= len(ids)
        for passport in read_partition(partition, ids=set(ids)) if ids else ():
            which = passport.digest, passport.rehearsal
            if which not in wanted:
                continue
            if passport.digest not in signatures:
                signatures[passport.digest] = _signature(paths, passport.digest)
            signature = signatures[passport.digest]
            if signature is not None:
                pairs = _pairs(signature, passport, known[passport.id].outcome)
                found.setdefault(which, []).extend(pairs)
    return found


def _signature(paths: Paths, digest: str) -> Signature | None:
    try:
        return read_signature(paths.bundles / digest)
    except BundleError:
        return None  # `_watched` says so


def _pairs(signature: Signature, passport: Passport, outcome: Any) -> list[tuple[Any, Any]]:
    """Answer and outcome of each row; none where their numbers differ, or nothing was logged.

    outcome: of one row, a list of one for each row, or an object by target.
    """
    if not signature.outputs:
        return []
    answers = passport.outputs.get(signature.outputs[0].name, [])
    if isinstance(outcome, dict):
        outcome = outcome.get(signature.target)
    outcomes = outcome if isinstance(outcome, list) else [outcome]
    return list(zip(answers, outcomes, strict=True)) if len(answers) == len(outcomes) else []
