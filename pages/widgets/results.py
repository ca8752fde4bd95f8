"""What a run measured: charts side by side, every row with its reason, what the passes did."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from core.measure import METRICS
from core.records import Measurement, Outcome, Run, Status, StepReport
from pages.widgets import answer, wording

STATUS_WORDS = {
    Status.OK: "✓ ok",
    Status.UNSTABLE: "~ unstable",
    Status.UNAVAILABLE: "○ not available",
    Status.FAILED: "✕ failed",
}


def show(run: Run, outcome: Outcome | None, labels: Mapping[str, str]) -> None:
    """The table and what the passes did."""
    table(run, labels)
    steps(outcome)


def table(run: Run, labels: Mapping[str, str]) -> None:
    """Every row with its unit, interval, status and reason; sortable by a click on a column."""
    frame = rows(run, labels)
    if frame.empty:
        st.caption("No number yet.")
        return
    st.dataframe(
        frame,
        hide_index=True,
        height=min(35 * (len(frame) + 1) + 3, 420),
        column_config={
            "value": st.column_config.NumberColumn("value", format="%.4g"),
            "95 % from": st.column_config.NumberColumn("95 % from", format="%.4g"),
            "95 % to": st.column_config.NumberColumn("95 % to", format="%.4g"),
        },
        alt="Every measured row",
    )


def rows(run: Run, labels: Mapping[str, str]) -> pd.DataFrame:
    """The standing rows of a run as a table; a later row supersedes its like."""
    recipes = {o.candidate.digest: o.recipe.name or "original" for o in run.outcomes if o.candidate}
    standing: dict[object, Measurement] = {}
    for row in run.measurements:
        condition = repr(sorted(row.condition.items()))
        standing[row.candidate, row.backend, row.metric, condition] = row
    lines = [_line(row, recipes, labels) for row in standing.values()]
    for outcome in run.outcomes:
        if outcome.candidate is None:
            lines.append(
                {
                    "recipe": outcome.recipe.name,
                    "status": STATUS_WORDS[Status.FAILED],
                    "reason": outcome.reason,
                }
            )
    return pd.DataFrame(lines)


def _line(
    row: Measurement, recipes: Mapping[str, str], labels: Mapping[str, str]
) -> dict[str, object]:
    metric = METRICS.get(row.metric)
    threads = row.condition.get("threads", "")
    return {
        "recipe": recipes.get(row.candidate, row.candidate[:12]),
        "backend": answer.backend_label(row.backend, labels) if row.backend else "",
        "metric": row.metric,
        "value": row.value,
        "unit": metric.unit if metric else "",
        "95 % from": row.low,
        "95 % to": row.high,
        "threads": "all" if threads == "0" else threads,
        "verdict": str(row.detail.get("verdict", "")),
        "status": STATUS_WORDS[row.status],
        "reason": row.reason,
    }


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
