"""Runs: everything this visitor measured: reopen, compare, delete, share."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from core.charts import palette
from core.charts.summary import headline
from core.errors import CoreError
from core.experiment import Workspace
from core.records import Run, State
from pages.widgets import comparison, downloads, session, wording

CHOSEN = "runs.chosen"
TABLE = "runs.table"
STATE_WORDS = {
    State.QUEUED: "○ waiting",
    State.RUNNING: "▶ running",
    State.DONE: "✓ done",
    State.CANCELLED: "■ cancelled",
    State.INTERRUPTED: "■ interrupted",
    State.FAILED: "✕ failed",
}


def show() -> None:
    """The table of runs, what can be done with the chosen one, and two results side by side."""
    workspace, owner = session.workspace(), session.owner()
    st.title("Runs")
    if notice := st.session_state.pop("notice", None):
        st.error(wording.plain(notice))
    runs = {run.id: run for run in workspace.runs(owner)}
    if not runs:
        st.info("Nothing is measured yet. Choose a model and a recipe on Optimize, then measure.")
        if st.button("Go to Optimize", key="runs.begin"):
            st.switch_page(session.OPTIMIZE)
        return
    table(runs)
    forecasts(workspace, runs)
    chosen = choose(runs)
    actions(workspace, owner, chosen)
    comparison.show(tuple(runs.values()), chosen)


def table(runs: Mapping[str, Run]) -> None:
    """One line per run; a click chooses it."""
    names = model_names(runs)
    frame = pd.DataFrame(
        [
            {
                "measured": pd.Timestamp(run.created),
                "model": names[run.id],
                "recipe": comparison.recipe_of(run),
                "state": STATE_WORDS[run.progress.state],
                "backends": ", ".join(map(palette.label, run.spec.backends)),
                "answer": headline(run),
            }
            for run in runs.values()
        ]
    )
    st.dataframe(
        frame,
        hide_index=True,
        height=min(35 * (len(frame) + 1) + 3, 400),
        on_select=_take_click,
        selection_mode="single-row",
        key=TABLE,
        column_config={
            "measured": st.column_config.DatetimeColumn(
                "measured (UTC)", format="YYYY-MM-DD HH:mm:ss", width=160
            ),
            "model": st.column_config.TextColumn("model", width="small"),
            "recipe": st.column_config.TextColumn("recipe", width="medium"),
            "state": st.column_config.TextColumn("state", width=100),
            "backends": st.column_config.TextColumn("backends", width="medium"),
            "answer": st.column_config.TextColumn("answer", width="large"),
        },
        alt="Every run with its state and its answer",
    )
    st.session_state["runs.order"] = list(runs)


def model_names(runs: Mapping[str, Run]) -> dict[str, str]:
    """What each run's model is called; of several files of one name, with the digest's start."""
    files: dict[str, set[str]] = {}
    for run in runs.values():
        files.setdefault(run.model.name, set()).add(run.spec.model)
    return {
        key: run.model.name
        if len(files[run.model.name]) == 1
        else f"{run.model.name} ({run.spec.model[:6]})"
        for key, run in runs.items()
    }


def forecasts(workspace: Workspace, runs: Mapping[str, Run]) -> None:
    """How often the forecast of a cut was right, over all of this visitor's runs."""
    told = [seen for run in runs.values() for seen in workspace.hindsights(run)]
    if told:
        held = sum(seen.held for seen in told)
        st.caption(
            f"Forecasts so far: in {held} of {len(told)} pruned recipes the share of same answers "
            "that was counted lay in the interval that had been forecast."
        )


def choose(runs: Mapping[str, Run]) -> Run:
    """The run that the buttons below are about; follows a click in the table."""
    if st.session_state.get(CHOSEN) not in runs:
        st.session_state[CHOSEN] = next(iter(runs))
    names = wording.apart({key: comparison.name_of(run) for key, run in runs.items()})
    st.selectbox("Run", list(names), format_func=names.__getitem__, key=CHOSEN)
    return runs[st.session_state[CHOSEN]]


def actions(workspace: Workspace, owner: str, run: Run) -> None:
    """Open, delete, share; the model, the recipe and the report."""
    st.markdown(f"**{wording.plain(headline(run))}**")
    with st.container(horizontal=True):
        if st.button("Open", type="primary", key="runs.open"):
            downloads.reopen(run)
        if st.button("Delete …", key="runs.delete"):
            confirm(workspace, owner, run)
    if run.measurements:
        downloads.show(run, workspace)
    else:
        downloads.link(run)


@st.dialog("Delete this run?")
def confirm(workspace: Workspace, owner: str, run: Run) -> None:
    """Ask once; a deleted run is gone for everybody who has its link."""
    st.markdown(wording.plain(run.spec.title))
    st.caption("Its numbers and its link are gone afterwards. Models and images stay.")
    words = {"key": "runs.delete.yes", "on_click": _delete, "args": (workspace, owner, run.id)}
    if st.button("Delete", type="primary", **words):
        st.rerun()


def _delete(workspace: Workspace, owner: str, run_id: str) -> None:
    try:
        workspace.delete(run_id, owner)
    except CoreError as error:
        st.session_state["notice"] = error.message
    else:
        st.session_state.pop(CHOSEN, None)


def _take_click() -> None:
    picked = st.session_state[TABLE].selection.rows
    order = st.session_state.get("runs.order", [])
    if picked and picked[0] < len(order):
        st.session_state[CHOSEN] = order[picked[0]]


show()
