"""Runs: everything this visitor measured and uploaded: reopen, compare, delete, share."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import pandas as pd
import streamlit as st

from core.charts import palette
from core.charts.summary import headline
from core.errors import CoreError
from core.records import Answer, Run, RunLine, State
from core.workspace import Workspace
from pages.runs import comparison, uploads
from pages.runs.state import state
from pages.shared import downloads, formatting, progress, session
from pages.shared.field import rows
from pages.shared.state import visit

MANY = 20  # runs that are worded without a word
STATE_WORDS = {
    State.QUEUED: "○ waiting",
    State.RUNNING: "▶ running",
    State.DONE: "✓ done",
    State.CANCELLED: "■ cancelled",
    State.INTERRUPTED: "■ interrupted",
    State.FAILED: "✕ failed",
}


def show() -> None:
    """The table of runs, what can be done with the chosen one, two results, uploads."""
    workspace, owner = session.workspace(), session.owner()
    st.title("Runs")
    if notice := visit.notice.take():
        st.error(formatting.plain(notice))
    if done := visit.done.take():
        st.success(formatting.plain(done))
    lines = {line.id: line for line in workspace.runs.lines(owner)}
    if lines:
        answers = answered(workspace, lines)
        table(lines, answers)
        forecasts(answers)
        detail(workspace, owner, lines)
    else:
        st.info("Nothing is measured yet. Choose a model and a recipe on Optimize, then measure.")
        if st.button("Go to Optimize", key="runs.begin"):
            st.switch_page(session.OPTIMIZE)
    uploads.show(workspace, owner)


def detail(workspace: Workspace, owner: str, lines: Mapping[str, RunLine]) -> None:
    """The chosen run, and beside another one."""
    run_id = choose(lines)
    loaded: dict[str, Run] = {}

    def load(which: str) -> Run:
        if which not in loaded:
            loaded[which] = workspace.runs.get(which)
        return loaded[which]

    try:
        chosen = load(run_id)
    except CoreError as error:  # deleted in another tab
        st.error(formatting.plain(error.message))
        return
    actions(workspace, owner, chosen)
    comparison.show(tuple(lines.values()), chosen, load)


def answered(workspace: Workspace, lines: Mapping[str, RunLine]) -> dict[str, Answer]:
    """What is said of each run: as it was kept, or worded now from all of its rows."""
    unsaid = [line for line in lines.values() if line.answer is None]
    found = {line.id: line.answer for line in lines.values() if line.answer is not None}
    slow = st.spinner("Reading runs …") if len(unsaid) > MANY else contextlib.nullcontext()
    with slow:
        for line in unsaid:
            try:
                run = workspace.runs.get(line.id)
            except CoreError:  # deleted in another tab
                found[line.id] = Answer("It is gone.")
                continue
            seen = workspace.insights.hindsights(run)
            said = Answer(headline(run), len(seen), sum(one.held for one in seen))
            found[line.id] = said
            if run.progress.state not in progress.LIVE:
                workspace.runs.keep_answer(line, said)
    return found


def table(runs: Mapping[str, RunLine], answers: Mapping[str, Answer]) -> None:
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
                "answer": answers[run.id].headline,
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
        key=state.table.key,
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
    state.order.set(list(runs))


def model_names(runs: Mapping[str, RunLine]) -> dict[str, str]:
    """What each run's model is called; of several files of one name, with the digest's start."""
    files: dict[str, set[str]] = {}
    for run in runs.values():
        files.setdefault(run.model, set()).add(run.spec.model)
    return {
        key: run.model if len(files[run.model]) == 1 else f"{run.model} ({run.spec.model[:6]})"
        for key, run in runs.items()
    }


def forecasts(answers: Mapping[str, Answer]) -> None:
    """How often the forecast of a cut was right, over all of this visitor's runs."""
    if told := sum(answer.forecasts for answer in answers.values()):
        held = sum(answer.held for answer in answers.values())
        st.caption(
            f"Forecasts so far: in {held} of {told} pruned recipes the share of same answers "
            "that was counted lay in the interval that had been forecast."
        )


def choose(runs: Mapping[str, RunLine]) -> str:
    """The id of the run that the buttons below are about; follows a click in the table."""
    if state.chosen.get() not in runs:
        state.chosen.set(next(iter(runs)))
    names = formatting.apart({key: comparison.name_of(run) for key, run in runs.items()})
    st.selectbox("Run", list(names), format_func=names.__getitem__, key=state.chosen.key)
    return state.chosen.get()


def actions(workspace: Workspace, owner: str, run: Run) -> None:
    """Open, delete, share; the model, the recipe and the report."""
    st.markdown(f"**{formatting.plain(headline(run))}**")
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
    st.markdown(formatting.plain(run.spec.title))
    st.caption("Its numbers, the models that it made and its link are gone. Uploads stay.")
    asked = (workspace, owner, run.id)
    if st.button("Delete", type="primary", key="runs.delete.yes", on_click=_delete, args=asked):
        st.rerun()


def _delete(workspace: Workspace, owner: str, run_id: str) -> None:
    try:
        workspace.runs.delete(run_id, owner)
    except CoreError as error:
        visit.notice.set(error.message)
    else:
        state.chosen.clear()


def _take_click() -> None:
    picked, order = rows(state.table), state.order.get()
    if picked and picked[0] < len(order):
        state.chosen.set(order[picked[0]])


show()
