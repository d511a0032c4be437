"""From an answer back to its causes, and the same answer computed again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from workbench.core.errors import BundleError
from workbench.core.paths import Paths
from workbench.serving.passport import Passport, find_passport
from workbench.serving.session import Bundle, released_folder
from workbench.storage.bundle import verify
from workbench.storage.origin import Origin, read_origin

Verdict = Literal["equal", "differs", "bundle missing", "bundle altered"]


@dataclass(frozen=True)
class Explanation:
    """The chain behind one prediction.

    problem: why the bundle is not what the passport names; "" when it was verified now.
    origin: where the bundle came from; None when the registry left no record beside it.
    """

    passport: Passport
    problem: str
    origin: Origin | None

    @property
    def verified(self) -> bool:
        return not self.problem

    def steps(self) -> Iterator[tuple[str, str]]:
        """Yield the chain as pairs of word and finding, from the answer to the data."""
        passport, origin = self.passport, self.origin
        moment = dt.datetime.fromtimestamp(passport.time_s, dt.UTC)
        yield "prediction", f"{passport.id} at {moment.isoformat(timespec='milliseconds')}"
        if passport.notice:
            yield "notice", passport.notice
        yield "inputs", "; ".join(_row(row) for row in passport.rows)
        yield "outputs", _row(passport.outputs)
        yield "release", f"{passport.pipeline} {passport.release}, {passport.alias} at the time"
        yield "bundle", f"{passport.digest} ({self.problem or 'verified'})"
        yield "run", passport.run_id
        if origin is None:
            yield "origin", "not known: no record beside the bundle"
            return
        state = " with uncommitted changes" if origin.commit.dirty else ""
        yield "commit", f"{origin.commit.sha or 'none'}{state}"
        yield "code", f"{origin.notebook} {origin.function} ({origin.fingerprint})"
        data = ", ".join(f"{name}={digest}" for name, digest in origin.data.items())
        yield "data", data + (f", as of {origin.as_of}" if origin.as_of else "")
        if origin.window:
            yield "training", f"{origin.window.duration_s:.1f} s, {_energy(origin)}"


@dataclass(frozen=True)
class Replay:
    """An answer computed again. max_difference: over all numbers; None when not comparable."""

    passport: Passport
    verdict: Verdict
    max_difference: float | None
    outputs: dict[str, Any] | None


def explain(paths: Paths, id: str) -> Explanation:
    """Walk back from prediction `id`; StateError when it is not on file."""
    passport = find_passport(paths, id)
    return Explanation(
        passport, _problem(paths, passport.digest), read_origin(paths.bundles, passport.digest)
    )


def replay(paths: Paths, id: str) -> Replay:
    """Answer prediction `id` again with the very bundle of its passport, and compare."""
    passport = find_passport(paths, id)
    if not (paths.bundles / passport.digest).is_dir():
        return Replay(passport, "bundle missing", None, None)
    if _problem(paths, passport.digest):
        return Replay(passport, "bundle altered", None, None)
    found = Bundle(paths.bundles / passport.digest).predict(passport.inputs)
    outputs = {name: values.tolist() for name, values in found.items()}
    equal = outputs == passport.outputs
    difference = 0.0 if equal else _difference(outputs, passport.outputs)
    return Replay(passport, "equal" if equal else "differs", difference, outputs)


def _problem(paths: Paths, digest: str) -> str:
    """What is wrong with the bundle of that digest, in one sentence; "" when nothing is."""
    try:
        verify(released_folder(paths.bundles, digest))
    except BundleError as error:
        return error.problem
    return ""


def _difference(now: dict[str, Any], then: dict[str, Any]) -> float | None:
    """Largest difference of any number; None when names, shapes or texts differ."""
    worst = 0.0
    if now.keys() != then.keys():
        return None
    for name in now:
        ours, theirs = np.asarray(now[name]), np.asarray(then[name])
        if ours.shape != theirs.shape:
            return None
        if ours.dtype.kind in "fiu" and theirs.dtype.kind in "fiu":
            worst = max(worst, float(np.max(np.abs(ours - theirs), initial=0.0)))
        elif not np.array_equal(ours, theirs):
            return None
    return worst


def _row(values: dict[str, Any]) -> str:
    """Values as Python writes them: a client's text stands in quotes, its line breaks escaped."""
    return ", ".join(f"{name}={value!r}" for name, value in values.items())


def _energy(origin: Origin) -> str:
    """Training energy by domain, each with how it is known."""
    known = [
        f"{u.domain} {_mwh(u.energy_kwh)} mWh ({u.provenance})"
        for u in (origin.window.usages if origin.window else ())
        if u.energy_kwh is not None
    ]
    return ", ".join(known) or "energy not measured"


def _mwh(kwh: float) -> str:
    """Milliwatt-hours with three digits, and no powers of ten."""
    mwh = kwh * 1e6
    return f"{mwh:.3g}" if mwh < 1000 else f"{mwh:,.0f}"
