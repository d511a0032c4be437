"""What is deployed, how good it is, what it last cost, and what is stale: one page for a lead."""

import pandas as pd
import streamlit as st

from workbench.core.errors import WorkbenchError
from workbench.core.params import read_params
from workbench.core.paths import find_paths
from workbench.figures import quality
from workbench.notebook.pipeline import Pipeline

st.set_page_config(page_title="Workbench", page_icon="🧰", layout="wide")


def main() -> None:
    """Draw the page; a broken checkout gets a sentence instead of a traceback."""
    st.title("Workbench")
    try:
        paths = find_paths()
        pipelines = [Pipeline(name, paths) for name in read_params(paths.params).pipelines]
        for pipeline in pipelines:
            show(pipeline)
    except WorkbenchError as error:
        st.error(error.problem)
        if error.fix:
            st.info(f"Next: {error.fix}")


def show(pipeline: Pipeline) -> None:
    """One pipeline: champion, quality, usage, and what the next run will do."""
    with st.container(border=True):
        champion = pipeline.champion
        st.subheader(pipeline.name)
        usage = pipeline.usage()
        columns = st.columns(4)
        columns[0].metric("champion", f"release {champion['release']}" if champion else "none yet")
        report_path = pipeline.paths.report("evaluate", pipeline.name)
        report = pipeline.report("evaluate") if report_path.is_file() else None
        if report and report.get("main"):
            entry = report["metrics"][report["main"]]
            columns[1].metric(
                report["main"].replace("_", " "),
                f"{entry['value']:.3f}",
                help=f"95 % interval {entry.get('lo', 0):.3f} to {entry.get('hi', 0):.3f}",
            )
        if usage:
            energy = sum(row["energy_kwh"] or 0 for row in usage)
            columns[2].metric("last full run", f"{sum(r['duration_s'] for r in usage):.0f} s")
            columns[3].metric("energy (modelled)", f"{energy * 1000:.2f} Wh")
        stale = [step for step in pipeline.plan() if step.action != "up to date"]
        if stale:
            st.warning(
                f"{len(stale)} stages are stale: {', '.join(s.name.split('@')[0] for s in stale)}. "
                f"Next: `workbench repro {pipeline.name}`"
            )
        else:
            st.success("Everything is up to date.")
        left, right = st.columns([2, 3])
        if report and report.get("main"):
            left.plotly_chart(quality.compared(report), key=f"compared-{pipeline.name}")
        if usage:
            right.caption("What each stage last used")
            right.dataframe(usage_table(usage), hide_index=True)


def usage_table(usage: list[dict]) -> pd.DataFrame:
    """The ledger's newest row of each stage, in units that people read."""
    return pd.DataFrame(
        {
            "stage": [row["stage"] for row in usage],
            "took (s)": [round(row["duration_s"], 1) for row in usage],
            "processor (s)": [round(row["cpu_s"], 1) for row in usage],
            "peak memory (MB)": [round(row["peak_memory_bytes"] / 1e6) for row in usage],
            "energy (mWh)": [_mwh(row["energy_kwh"]) for row in usage],
            "95 % interval": [
                f"{_mwh(row['energy_lo'])} to {_mwh(row['energy_hi'])}" for row in usage
            ],
            "known by": [row["provenance"] for row in usage],
        }
    )


def _mwh(kwh: float | None) -> str:
    return "not measured" if kwh is None else f"{kwh * 1e6:.2g}"


main()
