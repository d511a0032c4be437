"""Every answer that was given: looked for, traced back to its causes, computed again."""

import math
import re
import time

import pandas as pd
import streamlit as st
from shown import REHEARSAL, begin, clock, local, milliseconds, told

from workbench.core.errors import WorkbenchError
from workbench.core.paths import Paths, find_paths
from workbench.core.records import Signature
from workbench.figures.text import plain
from workbench.registry.history import releases
from workbench.registry.log import read_log
from workbench.serving.explain import explain, replay
from workbench.storage.bundle import read_signature
from workbench.storage.pointer import read_pointer
from workbench.storage.predictions.lookup import locate
from workbench.storage.predictions.outcomes import Outcome, read_outcomes
from workbench.storage.predictions.passport import Passport
from workbench.storage.predictions.search import search

SPANS = {
    "five minutes": 300,
    "an hour": 3600,
    "a day": 86_400,
    "a week": 604_800,
    "all of time": math.inf,
}
KINDS = {"all": None, "of life": False, "rehearsals": True}
ALIASES = ("champion", "challenger", "shadow")
SHOWN, LOOKED_THROUGH = 200, 2000
# A moment after it was given an answer is on file: then the same search finds the same rows.
SETTLED_S = 1.0
ANY = "any"


def main() -> None:
    """Draw the page; a broken checkout gets a sentence instead of a traceback."""
    begin("Predictions")
    try:
        paths = find_paths()
        id = st.text_input(
            "The id of an answer",
            placeholder="its field id, or its header x-prediction-id",
            key="id",
            bind="query-params",
        )
        if id.strip():
            show_passport(paths, id.strip())
            return
        names = sorted(read_pointer(paths.pointer).pipelines)
        if not names:
            st.info("Nothing is deployed yet. `workbench repro` makes a release.")
            return
        found = find(paths, names)
        if found:
            show_passport(paths, found)
    except WorkbenchError as error:
        told(error)


def find(paths: Paths, names: list[str]) -> str | None:
    """The search and its table; the id of the row that was chosen."""
    if "looked_s" not in st.session_state:
        look_again()
    first = st.columns(4)
    name = first[0].selectbox(
        "Pipeline", names, key="pipeline", on_change=look_again, bind="query-params"
    )
    span = first[1].selectbox("Within", list(SPANS), index=2, key="span", on_change=look_again)
    kind = first[2].selectbox("Asked", list(KINDS), key="kind", on_change=look_again)
    alias = first[3].selectbox("Answered as", [ANY, *ALIASES], key="alias", on_change=look_again)
    second = st.columns([2, 2, 2, 3, 2], vertical_alignment="bottom")
    numbers = sorted(releases(read_log(paths, name)), reverse=True)
    release = second[0].selectbox("Release", [ANY, *numbers], key="release", on_change=look_again)
    caller = second[1].text_input("Asked by (key)", key="caller", on_change=look_again)
    text = second[2].text_input("Contains", key="text", on_change=look_again)
    low, high = 0.0, 1.0
    if has_score(paths, name):
        low, high = second[3].slider(
            "Score", low, high, (low, high), 0.01, key="score", on_change=look_again
        )
    again = ":material/refresh:"
    second[4].button("Look again", icon=again, width="stretch", on_click=look_again)
    chosen = SPANS[span]
    narrowed = (low, high) != (0.0, 1.0)
    found = search(
        paths,
        name,
        since_s=max(0.0, st.session_state["looked_s"] - chosen),
        until_s=st.session_state["looked_s"],
        alias=None if alias == ANY else alias,
        release=None if release == ANY else release,
        caller=caller.strip() or None,
        rehearsal=KINDS[kind],
        text=text.strip() or None,
        limit=LOOKED_THROUGH if narrowed else SHOWN,
    )
    if narrowed:
        looked = len(found)
        found = [one for one in found if (s := score_of(one)) is not None and low <= s <= high]
        st.caption(
            f"{len(found):,} of the newest {looked:,} have a score from {low:g} to {high:g}."
        )
    if not found:
        st.info(
            f"No answer like that. `workbench serve` answers; `workbench traffic {name}` sends "
            "rows that the model never saw, as a rehearsal."
        )
        return None
    return table(paths, found[:SHOWN])


def look_again() -> None:
    """Until now: a click on a row must find the rows that were seen, though newer ones came."""
    st.session_state["looked_s"] = time.time() - SETTLED_S


def table(paths: Paths, found: list[Passport]) -> str | None:
    """The newest first; a click on a row chooses it."""
    signatures = {one.digest: signature_of(paths, one.digest) for one in found}
    frame = pd.DataFrame(
        {
            "given": [local(one.time_s) for one in found],
            "decision": [decision_of(one, signatures[one.digest]) for one in found],
            "score": [score_of(one) for one in found],
            "release": [one.release for one in found],
            "as": [one.alias for one in found],
            "took (ms)": [round(one.latency_ms, 2) for one in found],
            "asked by": [one.caller for one in found],
            "rehearsal": [one.rehearsal for one in found],
            "warnings": [len(one.warnings) for one in found],
            "id": [one.id for one in found],
        }
    )
    if all(score is None for score in frame["score"]):
        frame = frame.drop(columns="score")
    column = st.column_config
    chosen = st.dataframe(
        frame,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        height=320,
        key=f"answers-{st.session_state['looked_s']}",
        column_config={
            "given": column.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss.SSS", width=180),
            "score": column.ProgressColumn(min_value=0, max_value=1, format="%.3f"),
            "rehearsal": column.CheckboxColumn(width="small"),
        },
    )
    rows = chosen["selection"]["rows"]
    if not rows:
        st.caption(f"The newest {len(found):,}. A click at the left of a row shows its passport.")
        return None
    return found[rows[0]].id if rows[0] < len(found) else None


def show_passport(paths: Paths, id: str) -> None:
    """All that is known of one answer."""
    explained = explain(paths, id)
    passport = explained.passport
    signature = signature_of(paths, passport.digest)
    st.subheader(f"{passport.pipeline} release {passport.release}", divider="gray")
    marks = [REHEARSAL] if passport.rehearsal else []
    marks.append(
        ":green-badge[:material/verified: bundle verified]"
        if explained.verified
        else f":red-badge[:material/error: {plain(explained.problem)}]"
    )
    st.markdown(f"`{passport.id}` {' '.join(marks)}")
    if passport.notice:
        st.info(plain(passport.notice))
    with st.container(key="figures"):
        left, right = st.columns([3, 2], gap="large")
    show_inputs(left, passport)
    show_outputs(right, passport, signature)
    show_outcome(right, outcome_of(paths, id))
    show_replay(right, paths, id)
    st.markdown("**Back to its causes**")
    steps = [step for step in explained.steps() if step[0] not in ("inputs", "outputs", "notice")]
    frame = pd.DataFrame([{"what": word, "found": short(text)} for word, text in steps])
    st.table(frame.set_index("what"), border="horizontal")


def show_inputs(column, passport: Passport) -> None:
    """What was asked, a row an input; a request of several rows has several columns."""
    column.markdown("**Asked**")
    if passport.logged != "full":
        column.caption("Not logged: only a sample of the answers is.")
        return
    rows = passport.rows[:20]
    frame = pd.DataFrame(
        {
            "input": list(passport.inputs),
            **{
                "value" if len(rows) == 1 else f"row {at + 1}": [
                    shown(row[name]) for name in passport.inputs
                ]
                for at, row in enumerate(rows)
            },
        }
    )
    column.dataframe(frame, hide_index=True, height="content", key="inputs")
    if passport.private:
        column.caption(f"Private, stored as hashes only: {plain(', '.join(passport.private))}.")
    for warning in passport.warnings:
        column.warning(plain(warning))


def show_outputs(column, passport: Passport, signature: Signature | None) -> None:
    """What was answered."""
    column.markdown("**Answered**")
    left, right = column.columns(2)
    decision, score = decision_of(passport, signature), score_of(passport)
    if decision is not None:
        left.metric("Decision", decision)
    if score is not None:
        right.metric("Score", f"{score:.3f}")
        if signature is not None and signature.threshold is not None:
            right.caption(f"yes from {signature.threshold:.3f}")
    took = milliseconds(passport.latency_ms)
    column.caption(f"It took {took}. Asked by {plain(passport.caller)}.")
    if score is None and passport.logged == "full":
        outputs = {name: [shown(values)] for name, values in passport.outputs.items()}
        column.dataframe(pd.DataFrame(outputs), hide_index=True, key="outputs")


def show_outcome(column, outcome: Outcome | None) -> None:
    """What turned out to be true, if anybody told."""
    if outcome is None:
        column.caption("What turned out to be true is not known yet (`POST /feedback`).")
        return
    column.markdown(
        f":blue-badge[:material/flag: outcome] It turned out to be "
        f"**{plain(shown(outcome.outcome))}**, told at {clock(outcome.time_s)}."
    )


def show_replay(column, paths: Paths, id: str) -> None:
    """Compute it again, on request."""
    if column.button("Compute it again", icon=":material/replay:", key=f"replay-{id}"):
        with st.spinner("computing"):
            found = replay(paths, id)
        (column.success if found.verdict == "equal" else column.warning)(plain(found.sentence))


def outcome_of(paths: Paths, id: str) -> Outcome | None:
    """The true outcome of an answer, None while nobody told."""
    place = locate(paths.predictions, id)
    return read_outcomes(place.partition).get(id) if place else None


@st.cache_data(max_entries=100, show_spinner=False)
def _signature(folder: str) -> Signature | None:
    from pathlib import Path

    try:
        return read_signature(Path(folder))
    except (WorkbenchError, OSError):
        return None


def signature_of(paths: Paths, digest: str) -> Signature | None:
    """Of the bundle that answered; None where it is no longer here."""
    return _signature(str(paths.bundles / digest))


def has_score(paths: Paths, name: str) -> bool:
    """Whether the champion answers with a probability."""
    target = read_pointer(paths.pointer).pipelines.get(name, {}).get("champion")
    signature = signature_of(paths, target.digest) if target else None
    return signature is not None and signature.task == "binary"


def score_of(passport: Passport) -> float | None:
    """The score of the first row; None where there is none, or it was not logged."""
    scores = passport.outputs.get("score")
    return float(scores[0]) if isinstance(scores, list) and scores else None


def decision_of(passport: Passport, signature: Signature | None) -> str | None:
    """The decision on the first row, as the server said it."""
    if signature is None or not passport.outputs:
        return None
    score, scores = score_of(passport), passport.outputs.get("scores")
    if signature.threshold is not None and score is not None:
        return "yes" if score >= signature.threshold else "no"
    if signature.classes and scores:
        return signature.classes[max(range(len(scores[0])), key=lambda at: scores[0][at])]
    return None


def shown(value: object) -> str:
    """A value as text, short: it may be an image, or someone's letter."""
    words = {None: "missing", True: "yes", False: "no"}
    if value is None or isinstance(value, bool):
        return words[value]
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 200 else f"{text[:199]}…"


def short(text: str) -> str:
    """Digests by their beginning, and nothing of it taken for Markdown."""
    return plain(re.sub(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b", r"\1…", text))


main()
