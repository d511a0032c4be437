"""What is deployed, how good it is, what it last cost, and what is stale: one page for a lead."""

import pandas as pd
import streamlit as st

from workbench.core.errors import WorkbenchError
from workbench.core.params import read_params
from workbench.core.paths import find_paths
from workbench.figures import quality
from workbench.figures.text import plain
from workbench.figures.theme import on_dark
from workbench.notebook.card import next_run
from workbench.notebook.pipeline import Pipeline, Spent, spent

st.set_page_config(page_title="Workbench", page_icon="🧰", layout="wide")
# Streamlit leaves a hand's breadth above the title for a toolbar that is not shown here.
st.html("<style>.stMainBlockContainer {padding-top: 2.5rem}</style>")


def main() -> None:
    """Draw the page; a broken checkout gets a sentence instead of a traceback."""
    st.title("Workbench")
    try:
        paths = find_paths()
        for name in read_params(paths.params).pipelines:
            with st.container(border=True):
                st.subheader(name)
                show(Pipeline(name, paths))
    except WorkbenchError as error:
        st.error(plain(error.problem))
        if error.fix:
            st.info(f"Next: {error.fix}")


def show(pipeline: Pipeline) -> None:
    """One pipeline: champion, quality, usage, and what the next run will do."""
    champion, judged, usage = pipeline.champion, pipeline.judged(), pipeline.usage()
    if notice := pipeline.params.serve.notice:
        st.caption(f"**{plain(notice)}**")
    columns = st.columns(4)
    columns[0].metric("Champion", f"release {champion['release']}" if champion else "none yet")
    if judged:
        show_quality(columns[1], judged)
    total = spent(usage)
    if total:
        columns[2].metric(
            "Last run of each stage",
            f"{total.duration_s:.0f} s",
            help="Added up; they need not be of one run",
        )
        show_energy(columns[3], total)
    show_state(pipeline)
    left, right = st.columns(2)
    if judged and judged.get("main"):
        show_figure(left, quality.compared(judged), f"compared-{pipeline.name}")
    if losses := pipeline.points("train", "loss"):
        show_figure(right, quality.loss_curve(losses), f"loss-{pipeline.name}")
    if usage:
        st.markdown("**What each stage last used**")
        st.dataframe(usage_table(usage), hide_index=True)


def show_quality(column, judged: dict) -> None:
    """The champion's main metric as it was judged, and how far it is from the best baseline."""
    main = judged.get("main")
    if not main:
        return
    entry = judged["metrics"][main]
    sign = 1 if judged.get("higher_is_better", True) else -1
    others = {who: m[main]["value"] for who, m in judged.get("baselines", {}).items()}
    best = max(others, key=lambda who: sign * others[who], default=None)
    column.metric(
        main.replace("_", " ").capitalize(),
        f"{entry['value']:.3f}",
        delta=f"{entry['value'] - others[best]:.3f} over {best}" if best else None,
        delta_color="normal" if sign > 0 else "inverse",
        help=f"95 % interval {entry['lo']:.3f} to {entry['hi']:.3f}" if "lo" in entry else None,
    )


def show_figure(column, figure, key: str) -> None:
    """A figure as high as its neighbour, in the page's own light."""
    if st.context.theme.type == "dark":
        on_dark(figure)
    column.plotly_chart(figure.update_layout(height=280), key=key, theme=None)


def show_energy(column, total: Spent) -> None:
    """Energy of all stages and how it is known; never a zero for what was not measured."""
    if total.energy_kwh is None:
        column.metric("Energy", "not measured")
        return
    column.metric(
        f"Energy ({total.known_by})",
        f"{_mwh(total.energy_kwh)} mWh",
        help=f"95 % interval {_mwh(total.lo)} to {_mwh(total.hi)} mWh",
    )


def show_state(pipeline: Pipeline) -> None:
    """Whether something is to do, and whether the newest candidate was refused."""
    steps = {step.name.split("@")[0]: step for step in pipeline.plan()}
    if all(step.action == "up to date" for step in steps.values()):
        st.success("Everything is up to date.")
    else:
        st.warning(f"{next_run(steps)} Next: `workbench repro {pipeline.name}`")
    if reasons := pipeline.refusal():
        st.warning(f"The newest candidate was refused. {plain(' '.join(reasons))}")


def usage_table(usage: list[dict]) -> pd.DataFrame:
    """The ledger's newest row of each stage, in units that people read."""
    return pd.DataFrame(
        {
            "stage": [row["stage"] for row in usage],
            "took (s)": [_rounded(row["duration_s"], 1) for row in usage],
            "processor (s)": [_rounded(row["cpu_s"], 1) for row in usage],
            "peak memory (MB)": [_rounded(row["peak_memory_bytes"], 0, 1e-6) for row in usage],
            "energy (mWh)": [_rounded(row["energy_kwh"], 2, 1e6) for row in usage],
            "95 % interval": [
                f"{_mwh(row['energy_lo'])} to {_mwh(row['energy_hi'])}" for row in usage
            ],
            "known by": [row["provenance"] or "not measured" for row in usage],
        }
    )


def _rounded(value: float | None, digits: int, scale: float = 1.0) -> float | None:
    return None if value is None else round(value * scale, digits)


def _mwh(kwh: float | None) -> str:
    return "not measured" if kwh is None else f"{kwh * 1e6:.2g}"


main()
