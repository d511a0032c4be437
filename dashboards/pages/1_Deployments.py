"""What answers today: traffic, latency, budgets, drift, and whether a challenger proves itself."""

import datetime as dt
import time

import msgspec
import pandas as pd
import streamlit as st
from shown import REHEARSAL, begin, clock, draw, milliseconds, told, zone_of
from steering import steer

from workbench.core.deploy import Deploy
from workbench.core.errors import WorkbenchError
from workbench.core.params import read_params
from workbench.core.paths import Paths, find_paths
from workbench.figures import evidence, health
from workbench.figures.text import plain
from workbench.monitoring.alerts import Alert, read_alerts
from workbench.monitoring.health import Health, History, Traffic, read_health, read_history
from workbench.monitoring.verdicts import Standing, read_standing
from workbench.registry import rollout
from workbench.registry.rollout import Rollout
from workbench.storage.pointer import read_pointer

LOOK_S, OLD_S = 2.0, 20.0
SPANS = {"3 hours": ("minutes", 60), "a month": ("hours", 3600)}
SHADOW = "shadow"


def main() -> None:
    """Draw the page; a broken checkout gets a sentence instead of a traceback."""
    begin("Deployments")
    try:
        paths = find_paths()
        names = sorted(read_pointer(paths.pointer).pipelines)
        if not names:
            st.info(
                "Nothing is deployed yet. `workbench repro` makes a release, `workbench serve` "
                "answers with it, and `workbench traffic fraud` sends it rows it never saw."
            )
            return
        name = st.segmented_control(
            "Pipeline", names, default=names[0], required=True, key="pipeline", bind="query-params"
        )
        live(paths, name or names[0])
        steer(paths, name or names[0])
    except WorkbenchError as error:
        told(error)


@st.fragment(run_every=LOOK_S)
def live(paths: Paths, name: str) -> None:
    """All that changes by itself, drawn again every two seconds."""
    try:
        look, history = read_health(paths, name), read_history(paths, name)
        stand, settings = rollout.standing(paths, name), settings_of(paths, name)
        judged = read_standing(paths, name)
    except WorkbenchError as error:
        told(error)
        return
    show_state(look, history, name)
    show_now(look, stand)
    if look is not None:
        for alert in sorted(look.alerts, key=lambda alert: alert.severity):
            show_alert(alert)
    with st.container(key="figures"):
        if history is not None and (history.minutes or history.hours):
            show_history(history, settings)
        if look is not None:
            left, right = st.columns(2)
            show_budgets(left.container(border=True), look)
            show_rollout(right.container(border=True), look, stand, judged, settings)
            show_answers(left.container(border=True), right.container(border=True), look)
    show_events(stand, paths, settings)


def settings_of(paths: Paths, name: str) -> Deploy:
    """How the pipeline is deployed; the defaults where it has no block any more."""
    block = read_params(paths.params).blocks.get(name)
    return block.deploy if block else Deploy()


def show_state(look: Health | None, history: History | None, name: str) -> None:
    """Whether anybody watches, whether anybody asks, and whether that was a rehearsal."""
    if look is None or time.time() - look.at_s > OLD_S:
        when = f"what you see is of {clock(look.at_s)}" if look else "there is nothing to see yet"
        st.warning(f"Nobody watches the server: {when}. `workbench serve` starts both.")
    asked = [] if look is None else look.traffic
    points = history.hours if history else ()
    if not asked and not points:
        st.info(
            "Nobody has asked yet. `workbench serve` answers; "
            f"`workbench traffic {name}` sends rows that the model never saw, as a rehearsal."
        )
        return
    recent = [entry for entry in asked if entry.window == "5m" and entry.alias != SHADOW]
    rehearsed = sum(entry.requests for entry in recent if entry.rehearsal)
    if rehearsed:
        total = sum(entry.requests for entry in recent)
        what = "All" if total == rehearsed else f"{rehearsed:,} of {total:,}"
        st.markdown(
            f"{REHEARSAL} {what} requests of the last five "
            "minutes came from `workbench traffic`. They count in no service level."
        )


def show_now(look: Health | None, stand: Rollout) -> None:
    """One line of figures: what is served, how much it is asked, and how that goes."""
    champion, rival, recent = stand.champion, stand.challenger, recent_of(look)
    requests = sum(entry.requests for entry in recent)
    errors = sum(entry.errors for entry in recent)
    refused = sum(entry.refused for entry in recent)
    first = next((entry for entry in recent if entry.alias == "champion"), None)
    p50, p95 = (first.p50_ms, first.p95_ms) if first else (None, None)
    left = [
        level.budget_left_fraction
        for level in (look.levels if look else ())
        if level.budget_left_fraction is not None
    ]
    figures = [
        ("Champion", f"release {champion.release}" if champion else "none", "answers"),
        ("Challenger", f"release {rival.release}" if rival else "none", how(rival)),
        ("Requests, 5 minutes", f"{requests:,}", f"{requests / 300:.1f} a second"),
        ("Failed", f"{errors / requests:.2%}" if requests else "—", f"{refused:,} refused"),
        ("p95", milliseconds(p95), f"p50 {milliseconds(p50)}"),
        (
            "Error budget left",
            f"{max(min(left), 0):.0%}" if left else "—",
            "the smaller of two" if left else "no life yet",
        ),
    ]
    with st.container(horizontal=True, gap="small"):
        for word, value, more in figures:
            st.metric(word, value, more, delta_color="off", delta_arrow="off", width=150)


def recent_of(look: Health | None) -> list[Traffic]:
    """The last five minutes: of life; where there was none, of a rehearsal."""
    recent = [
        entry
        for entry in (look.traffic if look else ())
        if entry.window == "5m" and entry.alias != SHADOW
    ]
    return [entry for entry in recent if not entry.rehearsal] or recent


def show_alert(alert: Alert) -> None:
    """One open alert."""
    box = st.error if alert.severity == "critical" else st.warning
    mark = f"{REHEARSAL} " if alert.rehearsal else ""
    box(f"{mark}{plain(alert.sentence)} Since {clock(alert.since_s)}.")


def show_history(history: History, settings: Deploy) -> None:
    """Requests and latency over time."""
    span = st.segmented_control(
        "Span",
        list(SPANS),
        default="3 hours",
        required=True,
        key="span",
        label_visibility="collapsed",
    )
    which, length_s = SPANS[span or "3 hours"]
    points = msgspec.to_builtins(getattr(history, which))
    left, right = st.columns(2, border=True)
    if not points:
        left.caption(f"Nobody asked within {span}.")
        return
    zone = zone_of().key
    draw(left, health.traffic(points, length_s, zone), "traffic")
    promise = settings.levels.latency_ms
    draw(right, health.latency(points, promise, length_s, zone), "latency")


def show_budgets(column, look: Health) -> None:
    """What was promised, and how much may still go wrong."""
    if not look.levels:
        column.markdown("**Error budget left**")
        column.caption("No request of life yet: rehearsals use up no budget.")
        return
    draw(column, health.budgets(msgspec.to_builtins(look.levels)), "budgets")
    for level in look.levels:
        burning = [burn.name for burn in level.burns if burn.burns]
        fast = f" It burns too fast ({', '.join(burning)})." if burning else ""
        column.caption(
            f"**{level.name}**: {plain(level.promise)}, over {level.window_days:g} days. "
            f"{level.bad:,.0f} of {level.total:,} went wrong.{fast}"
        )


def show_rollout(
    column, look: Health, stand: Rollout, judged: Standing | None, settings: Deploy
) -> None:
    """Challenger and champion side by side, the evidence, and what is missing to a verdict."""
    rival = stand.challenger
    if rival is None:
        column.markdown("**Challenger**")
        column.caption(
            "None. `workbench deploy NAME --canary 0.1` lets a release answer a tenth of the "
            "requests beside the champion; `--shadow` lets it answer copies that nobody sees."
        )
        return
    if judged is None or judged.challenger != rival.release:
        column.markdown(f"**Challenger: release {rival.release}**, {how(rival)}")
        column.caption("Nothing was judged yet; `workbench monitor` does it each second.")
        return
    verdict, least = judged.verdict, settings.rollout.min_requests
    draw(column, evidence.evidence(msgspec.to_builtins(verdict.measures)), "evidence")
    mark = f"{REHEARSAL} " if judged.rehearsal else ""
    column.progress(
        min(1.0, verdict.requests / least),
        text=f"{mark}{verdict.requests:,} of at least {least:,} requests: **{verdict.decision}**",
    )
    column.dataframe(side_by_side(look, judged), hide_index=True, key="sides")
    is_open = verdict.decision == "wait"
    with column.expander("What is missing to a verdict" if is_open else "Why"):
        for reason in verdict.reasons:
            st.caption(plain(reason))


def side_by_side(look: Health, judged: Standing) -> pd.DataFrame:
    """The last hour of both releases, in rehearsal or in life as it is judged."""
    rows = []
    for number in (judged.champion, judged.challenger):
        own = next(
            (
                entry
                for entry in look.traffic
                if entry.window == "1h"
                and entry.release == number
                and entry.rehearsal == judged.rehearsal
            ),
            None,
        )
        rows.append(
            {
                "the last hour": f"release {number}",
                "requests": own.requests if own else 0,
                "failed": own.errors if own else 0,
                "p50 (ms)": own and own.p50_ms and round(own.p50_ms, 2),
                "p95 (ms)": own and own.p95_ms and round(own.p95_ms, 2),
                "p99 (ms)": own and own.p99_ms and round(own.p99_ms, 2),
            }
        )
    return pd.DataFrame(rows)


def show_answers(left, right, look: Health) -> None:
    """Drift and quality of the champion: of life, or of a rehearsal where there was no life."""
    current = {one.digest for one in look.deployed if one.alias == "champion"}
    champion = sorted(
        (one for one in look.answers if one.digest in current), key=lambda one: one.rehearsal
    )
    drifting = next((one for one in champion if one.drift), None)
    known = next((one for one in champion if any(q.value is not None for q in one.quality)), None)
    if drifting is not None:
        draw(left, evidence.drift(msgspec.to_builtins(drifting.drift)), "drift")
        of = "of a rehearsal" if drifting.rehearsal else "of life"
        rows = max(one.rows for one in drifting.drift)
        left.caption(f"The newest {rows:,} rows {of}, looked at {clock(drifting.at_s)}.")
    else:
        left.markdown("**Drift from training**")
        left.caption("Not judged yet; it is looked at once a minute.")
    for note in dict.fromkeys(note for one in champion for note in one.notes):
        left.caption(plain(note))
    if known is not None:
        draw(right, evidence.quality(msgspec.to_builtins(known.quality)), "quality")
        for one in known.quality:
            if one.decides:
                mark = f"{REHEARSAL} " if known.rehearsal else ""
                right.caption(f"{mark}{plain(one.sentence)}")
    else:
        outcomes = max((q.rows for one in champion for q in one.quality), default=0)
        right.markdown("**Quality on true outcomes**")
        right.caption(
            f"{outcomes:,} outcomes are known, too few to say how good the answers are. "
            "Clients tell them with `POST /feedback`."
        )


def show_events(stand: Rollout, paths: Paths, settings: Deploy) -> None:
    """What became of releases, and alerts that are over."""
    st.markdown("**Promotions and rollbacks**")
    moves = [event for event in stand.events if event.event in ("alias", "withdrawn", "refused")]
    frame = pd.DataFrame(
        {
            "when": [
                dt.datetime.fromisoformat(event.time).astimezone(zone_of()).replace(tzinfo=None)
                for event in moves
            ],
            "what": [what(event) for event in moves],
            "why": [event.reason or event.override or "" for event in moves],
            "by": [event.user for event in moves],
        }
    )[::-1]
    when = st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss", width=160)
    why = st.column_config.TextColumn(width="large")
    st.dataframe(frame, hide_index=True, column_config={"when": when, "why": why}, key="events")
    said = read_alerts(paths.monitoring / settings.alerts.file, 50)
    over = [a for a in said if a.pipeline == stand.pipeline and a.state == "ended"][:8]
    if over:
        with st.expander(f"Alerts that are over ({len(over)})"):
            for alert in over:
                st.caption(f"{clock(alert.said_s)}  {plain(alert.sentence)}")


def what(event) -> str:
    """One event of the release log in a few words."""
    release = f"release {event.release}" if event.release is not None else "a candidate"
    if event.event == "refused":
        return "a candidate was refused"
    if event.event == "withdrawn":
        return f"{release} was withdrawn"
    if event.alias == "challenger":
        return f"{release} is challenger, {how(event)}"
    return f"{'rolled back to' if event.rollback else 'champion is now'} {release}"


def how(event) -> str:
    """How requests reach a challenger, None: there is none."""
    traffic = event.traffic if event else None
    if event is None:
        return "nobody challenges"
    if traffic is None:
        return "waits for traffic"
    sticky = f", by {plain(traffic.sticky)}" if traffic.sticky else ""
    return f"{traffic.mode}, {traffic.weight:.0%}{sticky}"


main()
