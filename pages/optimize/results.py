"""What a run measured: charts side by side, every row with its reason, what the passes did."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.charts import palette
from core.charts import steps as told
from core.charts.rows import readable_rows
from core.records import Note, Outcome, Run, StepReport
from core.records.standing import Standing
from pages.shared import formatting, row_cards, session

SIGNS = {"ok": "✓", "unstable": "~", "not available": "○", "failed": "✕"}
COLUMNS = {
    "recipe": st.column_config.TextColumn("recipe", width=280),
    "backend": st.column_config.TextColumn("backend", width=130),
    "quantity": st.column_config.TextColumn("quantity", width=165),
    "95 % interval": st.column_config.TextColumn("95 % interval", width=130),
    "input": st.column_config.TextColumn("input", width=120),
    "verdict": st.column_config.TextColumn("verdict", width=105),
    "reason": st.column_config.TextColumn("reason", width="large"),
}
ON_CARDS = ("value", "95 % interval", "threads", "images", "verdict", "status", "reason")
ALL_AT_ONCE = 6  # notes of a step; of more the rest is scrolled


def show(run: Run, outcome: Outcome | None) -> None:
    """The table, what the passes did, and the way to the graph before and after."""
    table(run)
    if st.button("See the net", key="net.see", help="The graph before and after, on Model."):
        st.switch_page(session.MODEL)
    flips(run, outcome)
    steps(outcome)


def table(run: Run) -> None:
    """Every row with its unit, interval, status and reason."""
    rows = [
        row | {"status": f"{SIGNS.get(row['status'], '')} {row['status']}"}
        for row in readable_rows(run)
    ]
    frame = pd.DataFrame(rows)
    if frame.empty:
        st.caption("No number yet.")
        return
    row_cards.show("rows", rows, ("recipe", "quantity", "backend"), ON_CARDS)
    row_cards.wide("rows").dataframe(
        frame.loc[:, (frame != "").any()],
        hide_index=True,
        height=row_cards.height(len(frame), 420),
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
    if outcome is None:
        return
    report = outcome.candidate.report if outcome.candidate else outcome.failed
    if report:
        with st.expander("What the passes did, and why a layer was left alone"):
            show_report(report)


def show_report(report: tuple[StepReport, ...]) -> None:
    """Of each step what it did, its notes, and the layers left alone grouped by reason."""
    for step in report:
        if step.reverted:
            headline, why = (
                formatting.plain(told.headline(step)),
                formatting.plain(told.said(step.reverted)),
            )
            st.warning(f"**{headline}**: {why}")
        else:
            st.markdown(f"**{formatting.plain(told.headline(step))}**")
        notes((*step.warnings, *step.notes))
        if step.skipped:
            left = pd.DataFrame(
                [
                    {
                        "left alone because": reason,
                        "layers": len(layers),
                        "which": ", ".join(layers),
                    }
                    for reason, layers in told.reasons(step.skipped)
                ]
            )
            st.dataframe(
                left,
                hide_index=True,
                height=row_cards.height(len(left), 240),
                column_config={
                    "left alone because": st.column_config.TextColumn(width="large"),
                    "layers": st.column_config.NumberColumn(width="small"),
                },
                alt=told.left_alone(step.skipped),
            )


def notes(lines: tuple[Note, ...]) -> None:
    """What a step says of itself; of very much the rest is scrolled."""
    for line in lines[:ALL_AT_ONCE]:
        st.caption(formatting.plain(told.said(line)))
    if rest := lines[ALL_AT_ONCE:]:
        with st.container(height=200 if len(rest) > ALL_AT_ONCE else "content", border=False):
            for line in rest:
                st.caption(formatting.plain(told.said(line)))
