"""What a run measured: charts side by side, every row with its reason, what the passes did."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.charts import palette
from core.charts.standing import Standing
from core.charts.summary import rows_table
from core.records import Outcome, Run, StepReport
from pages.widgets import wording

SIGNS = {"ok": "✓", "unstable": "~", "not available": "○", "failed": "✕"}
COLUMNS = {
    "recipe": st.column_config.TextColumn("recipe", width="medium"),
    "value": st.column_config.NumberColumn("value", format="%.4g"),
    "low": st.column_config.NumberColumn("95 % from", format="%.4g"),
    "high": st.column_config.NumberColumn("95 % to", format="%.4g"),
    "reason": st.column_config.TextColumn("reason", width="large"),
}


def show(run: Run, outcome: Outcome | None) -> None:
    """The table and what the passes did."""
    table(run)
    flips(run, outcome)
    steps(outcome)


def table(run: Run) -> None:
    """Every row with its unit, interval, status and reason; sortable by a click on a column."""
    frame = pd.DataFrame(rows_table(run))
    if frame.empty:
        st.caption("No number yet.")
        return
    frame["status"] = [f"{SIGNS.get(word, '')} {word}" for word in frame["status"]]
    st.dataframe(
        frame.drop(columns=["clock", "candidate"]),
        hide_index=True,
        height=min(35 * (len(frame) + 1) + 3, 420),
        column_config=COLUMNS,
        alt="Every measured row",
    )


def flips(run: Run, outcome: Outcome | None) -> None:
    """Which images get another answer than from the original, on each backend."""
    digest = outcome.candidate.digest if outcome is not None and outcome.candidate else ""
    rows = [
        row
        for row in Standing(run)
        if row.candidate == digest and row.metric == "agreement" and row.detail.get("flips")
    ]
    if not rows:
        return
    most = max(int(row.detail["flips"]) for row in rows)
    with st.expander(f"Images with another answer than before: up to {most:,}"):
        st.caption("Numbered from 0, in the order of the evaluation set; the first 200 are listed.")
        frame = pd.DataFrame(
            [
                {
                    "backend": palette.label(row.backend),
                    "images": int(row.detail["flips"]),
                    "of": int(row.condition.get("images", 0)),
                    "which": ", ".join(map(str, row.detail.get("flipped", ()))),
                }
                for row in rows
            ]
        )
        which = st.column_config.TextColumn("which", width="large")
        st.dataframe(
            frame,
            hide_index=True,
            column_config={"which": which},
            alt="Images whose answer changed",
        )


def steps(outcome: Outcome | None) -> None:
    """What each pass changed, what it left alone and why, and what was undone."""
    if outcome is None or outcome.candidate is None:
        return
    report = outcome.candidate.report
    if report:
        with st.expander("What the passes did, and why a layer was left alone"):
            show_report(report)


def show_report(report: tuple[StepReport, ...]) -> None:
    """One paragraph and one table per step."""
    for step in report:
        name = wording.plain(step.step.pass_name.replace("_", " "))
        if step.reverted:
            st.warning(f"**{name}** was undone: {wording.plain(step.reverted)}")
        else:
            st.markdown(f"**{name}** · {step.changed:,} changed · {step.seconds:.1f} s")
        for note in step.notes:
            st.caption(wording.plain(note))
        if step.skipped:
            left = pd.DataFrame(
                [{"layer": s.node, "left alone because": s.reason} for s in step.skipped]
            )
            st.dataframe(left, hide_index=True, height=min(35 * (len(left) + 1) + 3, 240))
