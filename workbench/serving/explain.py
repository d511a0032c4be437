"""From an answer back to its causes, and the same answer computed again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from workbench.core.errors import BundleError
from workbench.core.paths import Paths
from workbench.serving.session import Bundle, Outputs, released_folder
from workbench.serving.share import Share, share_of
from workbench.storage.bundle import verify
from workbench.storage.origin import Origin, read_origin
from workbench.storage.predictions.passport import Passport
from workbench.storage.predictions.reading import find_passport
from workbench.storage.signature import signer

Verdict = Literal[
    "equal",
    "differs",
    "bundle missing",
    "bundle altered",
    "not logged in full",
    "private inputs",
]

TOLERANCE = 1e-6
"""Relative to the larger of 1 and the number. An answer was computed together with others of its
moment, and is computed again alone: the last bits of 32 may differ."""


@dataclass(frozen=True)
class Explanation:
    """The chain behind one prediction.

    problem: why the bundle is not what the passport names; "" when it was verified now.
    origin: where the bundle came from; None when the registry left no record beside it. share:
    what the answer took of its server's second; None when no server measured it. signer: who
    signed the bundle, as it was verified now; "" where it is gone.
    """

    passport: Passport
    problem: str
    origin: Origin | None
    share: Share | None = None
    signer: str = ""

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
        yield "caller", passport.caller + (" (rehearsal)" if passport.rehearsal else "")
        if passport.logged == "full":
            yield "inputs", "; ".join(_row(row) for row in passport.rows)
            yield "outputs", _row(passport.outputs)
        else:
            rows = f"{passport.row_count} row{'s' if passport.row_count != 1 else ''}"
            yield "inputs", f"{rows}, not logged: only a sample of the answers is"
            yield "outputs", "not logged"
        if passport.private:
            yield "private", f"{', '.join(passport.private)}: stored as hashes only"
        if passport.warnings:
            yield "warnings", "; ".join(passport.warnings)
        yield "cost", self.share.sentence if self.share else "not known: no server measured it"
        yield "release", f"{passport.pipeline} {passport.release}, {passport.alias} at the time"
        yield "bundle", f"{passport.digest} ({self.problem or 'verified'})"
        if self.signer:
            yield "signature", self.signer
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
    max_difference: float | None = None
    outputs: dict[str, Any] | None = None

    @property
    def sentence(self) -> str:
        """The verdict, for people."""
        passport, bundle = self.passport, self.passport.digest[:12]
        match self.verdict:
            case "not logged in full":
                return "It cannot be replayed: it was not logged in full, only a sample is."
            case "private inputs":
                names = ", ".join(passport.private)
                return f"It cannot be replayed: private inputs ({names}) are stored as hashes only."
            case "bundle missing":
                return f"It cannot be replayed: bundle {bundle} is no longer here."
            case "bundle altered":
                return f"It cannot be replayed: bundle {bundle} was altered since."
            case "differs" if self.max_difference is None:
                return "The answer is another one than the one on file."
            case "differs":
                return f"The answer differs from the one on file by up to {self.max_difference:g}."
        if not self.max_difference:
            return "The answer is the same again."
        return (
            f"The answer is the same again, to {self.max_difference:.1g}: together with others it "
            "was computed in another order."
        )


def explain(paths: Paths, id: str) -> Explanation:
    """Walk back from prediction `id`; StateError when it is not on file."""
    passport = find_passport(paths, id)
    problem = _problem(paths, passport.digest)
    return Explanation(
        passport,
        problem,
        read_origin(paths.bundles, passport.digest),
        share_of(paths, passport),
        "" if problem else signer(paths, passport.digest),
    )


def replay(paths: Paths, id: str) -> Replay:
    """Answer prediction `id` again with the very bundle of its passport, and compare.

    Bundles are kept by digest: it does not matter how many releases came since.
    """
    passport = find_passport(paths, id)
    if passport.logged != "full":
        return Replay(passport, "not logged in full")
    if passport.private:
        return Replay(passport, "private inputs")
    if not (paths.bundles / passport.digest).is_dir():
        return Replay(passport, "bundle missing")
    if _problem(paths, passport.digest):
        return Replay(passport, "bundle altered")
    bundle = Bundle(paths.bundles / passport.digest)
    found = bundle.predict(passport.inputs)
    outputs = {name: values.tolist() for name, values in found.items()}
    if outputs == passport.outputs:
        return Replay(passport, "equal", 0.0, outputs)
    then = _arrays(passport.outputs, found)
    if then is None:
        return Replay(passport, "differs", None, outputs)
    equal = all(_is_close(found[name], then[name]) for name in found)
    equal = equal and _decisions(bundle, found) == _decisions(bundle, then)
    return Replay(passport, "equal" if equal else "differs", _difference(found, then), outputs)


def _problem(paths: Paths, digest: str) -> str:
    """What is wrong with the bundle of that digest, in one sentence; "" when nothing is."""
    try:
        verify(released_folder(paths.bundles, digest))
    except BundleError as error:
        return error.problem
    return ""


def _arrays(logged: dict[str, Any], now: Outputs) -> Outputs | None:
    """Logged outputs as arrays like those of now; None when names, shapes or kinds differ."""
    if logged.keys() != now.keys():
        return None
    try:
        then = {name: np.asarray(logged[name], values.dtype) for name, values in now.items()}
    except (ValueError, TypeError, OverflowError):
        return None
    return then if all(then[name].shape == now[name].shape for name in now) else None


def _difference(now: Outputs, then: Outputs) -> float | None:
    """Largest difference of any number; None when texts differ."""
    worst = 0.0
    for name, values in now.items():
        if values.dtype.kind in "fiu":
            gap = np.abs(values.astype(np.float64) - then[name].astype(np.float64))
            worst = max(worst, float(np.max(gap, initial=0.0)))
        elif not np.array_equal(values, then[name]):
            return None
    return worst


def _is_close(now: np.ndarray[Any, Any], then: np.ndarray[Any, Any]) -> bool:
    """Whether fractions agree within TOLERANCE, and whole numbers (of rows, say) exactly."""
    if now.dtype.kind != "f":
        return np.array_equal(now, then)
    ours, theirs = now.astype(np.float64), then.astype(np.float64)
    return bool(np.all(np.abs(ours - theirs) <= TOLERANCE * np.maximum(1.0, np.abs(theirs))))


def _decisions(bundle: Bundle, outputs: Outputs) -> dict[str, Any]:
    """What was made of the numbers, and what people act on: decision and class."""
    return {name: said for name, said in bundle.named(outputs).items() if name not in outputs}


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
