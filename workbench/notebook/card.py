"""The card of a pipeline: HTML that takes font and colour of text from the page around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from workbench.core.paths import STAGES

if TYPE_CHECKING:
    from workbench.execution.plan import Step

_LOOK = {
    "up to date": ("●", "#009E73"),
    "restore": ("◐", "#0072B2"),
    "may run": ("◌", "#E69F00"),
    "run": ("○", "#D55E00"),
}
_FRAME = "border:1px solid rgba(128,128,128,.3);border-radius:10px;padding:14px 18px"
_ROW = "display:flex;justify-content:space-between;align-items:baseline;gap:16px;flex-wrap:wrap"


def card(name: str, steps: Mapping[str, Step], facts: Sequence[str]) -> str:
    """A frame with the name, `facts`, a chip for each stage, and what the next run will do."""
    chips = "".join(_chip(stage, steps.get(stage)) for stage in STAGES)
    return (
        f"<div style='{_FRAME}'>"
        f"<div style='{_ROW}'><b style='font-size:1.15em'>{escape(name)}</b>"
        f"<span style='opacity:.7'>{escape(' · '.join(facts))}</span></div>"
        f"<div style='display:flex;gap:8px;flex-wrap:wrap;margin:12px 0'>{chips}</div>"
        f"<div style='opacity:.7'>{escape(next_run(steps))}</div></div>"
    )


def next_run(steps: Mapping[str, Step]) -> str:
    """What the next run will do, in one sentence; the first stage that runs says why."""
    waiting = {stage: step for stage, step in steps.items() if step.action != "up to date"}
    if not waiting:
        return "Everything is up to date."
    first = next((s for s, step in waiting.items() if step.action == "run"), next(iter(waiting)))
    does = f"{first} from the cache" if waiting[first].action == "restore" else first
    why = f", because {waiting[first].reasons[0]}" if waiting[first].reasons else ""
    rest = [stage for stage in waiting if stage != first]
    after = f"; then {', '.join(rest)}" if rest else ""
    return f"The next run makes {does}{why}{after}."


def _chip(stage: str, step: Step | None) -> str:
    """One stage; its state in words only where something is to do. Hovering says why."""
    action = step.action if step else "run"
    mark, colour = _LOOK[action]
    why = escape("; ".join((step.reasons if step else ())[:4]) or action)
    state = "" if action == "up to date" else f"<small style='opacity:.7'> {action}</small>"
    return (
        f"<span title='{why}' style='border:1px solid {colour}66;background:{colour}14;"
        f"border-radius:14px;padding:3px 12px'><span style='color:{colour}'>{mark}</span> "
        f"{stage}{state}</span>"
    )
