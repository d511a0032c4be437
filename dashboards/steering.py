"""Promote, withdraw and roll back from a page: for who has the key, or sits at this machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st
from shown import told

from workbench.core.errors import WorkbenchError
from workbench.core.paths import Paths
from workbench.monitoring.verdicts import read_standing
from workbench.registry import rollout
from workbench.registry.rollout import Rollout
from workbench.serving.door.admin import admitted, needs_key
from workbench.serving.local import is_local, is_local_address

Move = Callable[..., Rollout]


def steer(paths: Paths, name: str) -> None:
    """A form of what can be done with the pipeline's releases now."""
    deeds = deeds_of(rollout.standing(paths, name))
    with st.expander("Promote, withdraw, roll back", icon=":material/lock:"):
        if not deeds:
            st.caption("There is one release, and no other to go to.")
            return
        asks = needs_key(paths)
        if not asks and not at_this_machine():
            st.caption(
                "From another machine this needs a key: `workbench keys add NAME --role admin`"
            )
            return
        with st.form("steer", border=False, enter_to_submit=False):
            deed = st.radio("What", list(deeds))
            reason = st.text_input("Why (it is recorded)", max_chars=500)
            proof = (
                st.text_input("Key with the role admin", type="password")
                if asks
                else st.checkbox(f"Yes, this changes what answers for {name}")
            )
            pressed = st.form_submit_button("Do it", type="primary")
        if pressed and deed:
            do(paths, name, deed, deeds[deed], reason, proof)


def deeds_of(stand: Rollout) -> dict[str, Move]:
    """What can be done, in words, and the function of the registry that does it."""
    deeds: dict[str, Move] = {}
    if rival := stand.challenger:
        deeds[f"Promote release {rival.release} to champion"] = rollout.promote
        deeds[f"Withdraw release {rival.release}"] = rollout.withdraw
    if stand.before is not None:
        deeds[f"Roll back to release {stand.before}"] = rollout.roll_back_champion
    return deeds


def do(paths: Paths, name: str, deed: str, move: Move, reason: str, proof: str | bool) -> None:
    """Check who asks, move, and say what came of it."""
    if not reason.strip() or not proof:
        st.warning("It takes a reason, and the key or the tick.")
        return
    try:
        by = admitted(paths, proof, name, deed) if isinstance(proof, str) else None
        after = move(paths, name, reason.strip(), _evidence(paths, name, move), by)
    except WorkbenchError as error:
        told(error)
        return
    champion = after.champion.release if after.champion else None
    st.success(f"Done. The champion is release {champion}; servers follow at once.")


def _evidence(paths: Paths, name: str, move: Move) -> dict[str, Any]:
    """The numbers that were on the page when a person decided about a challenger."""
    judged = None if move is rollout.roll_back_champion else read_standing(paths, name)
    rival = rollout.standing(paths, name).challenger
    fits = judged is not None and rival is not None and judged.challenger == rival.release
    return judged.verdict.numbers if judged is not None and fits else {}


def at_this_machine() -> bool:
    """Whether the page is looked at from here, with no proxy between that hides who asks."""
    context = st.context
    forwarded = any(name in context.headers for name in ("X-Forwarded-For", "Forwarded"))
    host = context.headers.get("Host")
    is_near = context.ip_address is None or is_local_address(context.ip_address)
    return is_near and not forwarded and (host is None or is_local(host.encode()))
