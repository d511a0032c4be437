"""Gates: the conditions of a release, each with its measured value, bound and verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from workbench.core.errors import ParamsError, did_you_mean
from workbench.registry.comparison import compare

if TYPE_CHECKING:
    from workbench.core.params import Gates
    from workbench.registry.contender import Contender

NOT_STATED = "not stated"
"""What `workbench new` writes where nobody named a licence."""
NO_CHAMPION = "there is no champion to compare with"
THERE_WAS_NONE = "there was no champion to compare with when it was released"

Verdict = Literal["pass", "warn", "first", "not comparable", "fail"]


@dataclass(frozen=True)
class Gate:
    """One judged condition.

    lo, hi: 95 % interval of `measured`, where it has one. `fail` and `not comparable` hold a
    release back: what cannot be compared was not earned. `first`: there is no champion yet.
    """

    name: str
    measured: float | None
    bound: float | None
    lo: float | None
    hi: float | None
    verdict: Verdict
    sentence: str

    @property
    def holds(self) -> bool:
        return self.verdict not in ("fail", "not comparable")


def judge(candidate: Contender, champion: Contender | str | None, gates: Gates) -> list[Gate]:
    """Judge a candidate; nothing is written.

    champion: None where there is none yet; a sentence where there is one that cannot be asked.
    Raises ParamsError if `gates.metric` names no metric of the candidate.
    """
    return [
        _quality(candidate, champion, gates),
        _parity(candidate.candidate, gates),
        _size(candidate.candidate, gates),
        *_baselines(candidate.candidate),
        _leaks(candidate.candidate),
        _licences(candidate.candidate),
    ]


def _quality(candidate: Contender, champion: Contender | str | None, gates: Gates) -> Gate:
    """Not worse than the champion: fails only where the whole interval lies beyond the bound."""
    metric = _metric(candidate, gates)
    bound = 0.0 - gates.worse_by
    if metric is None:
        return Gate("quality", None, bound, None, None, "fail", "The candidate has no main metric.")
    if champion is None:
        own = candidate.metric(metric)
        text = f"{metric} {_short(own.get('value'))}; {NO_CHAMPION}."
        return Gate("quality", own.get("value"), None, own.get("lo"), own.get("hi"), "first", text)
    found = champion if isinstance(champion, str) else compare(candidate, champion, metric)
    if isinstance(found, str):
        text = f"{metric} cannot be compared with the champion's: {found}."
        return Gate("quality", None, bound, None, None, "not comparable", text)
    verdict: Verdict = "fail" if found.hi < bound else "pass"
    word = "better" if found.difference >= 0 else "worse"
    doubt = found.difference < bound and verdict == "pass"
    where = f" ({found.rows:,} rows)" if found.rows else ""
    text = (
        f"{metric} {_short(found.candidate)} against the champion's {_short(found.champion)} "
        f"{found.how}{where}: {word} by {_short(abs(found.difference))}, the difference within "
        f"[{_short(found.lo)}, {_short(found.hi)}], which may not be wholly below {_short(bound)}"
        f"{'; this cannot be told from chance' if doubt else ''}."
    )
    return Gate("quality", found.difference, bound, found.lo, found.hi, verdict, text)


def _metric(candidate: Contender, gates: Gates) -> str | None:
    if gates.metric == "auto":
        return candidate.candidate.get("main")
    known = candidate.candidate["metrics"]
    if gates.metric not in known:
        raise ParamsError(
            f"serve.gates.metric names '{gates.metric}', which the candidate was not measured by."
            f"{did_you_mean(gates.metric, known)}"
        )
    return gates.metric


def _parity(candidate: dict[str, Any], gates: Gates) -> Gate:
    worst = candidate.get("parity_max_difference")
    if worst is None:
        text = "The exported model was not compared with the trained one."
        return Gate("parity", None, gates.parity, None, None, "warn", text)
    text = f"The exported model differs from the trained one by {_short(worst)} at most"
    return _at_most("parity", worst, gates.parity, text)


def _size(candidate: dict[str, Any], gates: Gates) -> Gate:
    size = candidate["bytes"] / 1e6
    return _at_most("size", size, gates.model_mb, f"The bundle has {_short(size)} MB")


def _baselines(candidate: dict[str, Any]) -> Iterator[Gate]:
    """A simple model that is better is worth knowing, but does not hold a release back."""
    metric = candidate.get("main")
    sign = 1.0 if candidate.get("higher_is_better", True) else -1.0
    for who, metrics in sorted(candidate.get("baselines", {}).items()):
        theirs = metrics.get(metric, {})
        if "minus_model" not in theirs:
            continue
        better = -sign * theirs["minus_model"]
        ends = sorted(
            -sign * theirs.get(f"minus_model_{end}", theirs["minus_model"]) for end in ("lo", "hi")
        )
        how, lo, hi = ("better", *ends) if better >= 0 else ("worse", -ends[1], -ends[0])
        text = (
            f"{metric} is {how} than that of the {who} baseline by {_short(abs(better))} "
            f"[{_short(lo)}, {_short(hi)}]."
        )
        verdict: Verdict = "warn" if ends[1] < 0 else "pass"
        yield Gate(f"baseline {who}", better, 0.0, ends[0], ends[1], verdict, text)


def _leaks(candidate: dict[str, Any]) -> Gate:
    leaks = candidate.get("leaks") or {}
    counts = {name: leaks.get(name) for name in ("shared_keys", "future_rows")}
    missing = [name for name, count in counts.items() if count is None]
    if missing:
        text = f"The split was not checked for {' and '.join(missing)}."
        return Gate("leaks", None, 0.0, None, None, "fail", text)
    total = float(sum(count for count in counts.values() if count))
    text = (
        f"{counts['shared_keys']} keys on two sides, {counts['future_rows']} rows from the future"
    )
    return _at_most("leaks", total, 0.0, text)


def _licences(candidate: dict[str, Any]) -> Gate:
    """Silence fails; a person who said that it is not stated is reminded."""
    facts = candidate.get("facts", {})
    said = {name: str(fact.get("licence") or "") for name, fact in facts.items()}
    silent = sorted(name for name, licence in said.items() if licence in ("", NOT_STATED))
    verdict: Verdict = "pass"
    if silent:
        verdict = "fail" if any(not said[name] for name in silent) else "warn"
    text = (
        f"No licence is stated for {', '.join(silent)}: `licence` under `collect` in params.yaml."
        if silent
        else f"A licence is stated for all {len(facts)} tables."
    )
    return Gate("licences", float(len(silent)), 0.0, None, None, verdict, text)


def _at_most(name: str, measured: float, bound: float, text: str) -> Gate:
    verdict: Verdict = "pass" if measured <= bound else "fail"
    sentence = f"{text}; {_short(bound)} is allowed."
    return Gate(name, measured, bound, None, None, verdict, sentence)


def _short(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"
