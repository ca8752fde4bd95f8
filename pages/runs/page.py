"""Runs: everything this visitor measured and uploaded: find, reopen, delete, share."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import streamlit as st

from core.charts.run_line import answer
from core.charts.summary import headline
from core.errors import CoreError
from core.records import LIVE, Answer, Run, RunLine
from core.workspace import Workspace
from pages.runs import listing, uploads
from pages.runs.state import state
from pages.shared import downloads, formatting, session
from pages.shared.state import visit

COMPARE = "pages/compare/page.py"
MANY = 20  # runs that are worded without a word


def show() -> None:
    """The list of runs, what can be done with the chosen one, uploads."""
    workspace, owner = session.workspace(), session.owner()
    st.title("Runs")
    if notice := visit.notice.take():
        st.error(formatting.plain(notice))
    if done := visit.done.take():
        st.success(formatting.plain(done))
    lines = {line.id: line for line in workspace.runs.lines(owner)}
    if lines:
        answers, marks = answered(workspace, lines), workspace.results.bookmarks(owner)
        found = listing.filtered(lines, answers, marks)
        if found:
            listing.table(found, answers, marks)
            detail(workspace, owner, found)
        forecasts(answers)
    else:
        st.info("Nothing is measured yet. Choose a model and a recipe on Optimize, then measure.")
        if st.button("Go to Optimize", key="runs.begin"):
            st.switch_page(session.OPTIMIZE)
    uploads.show(workspace, owner)


def detail(workspace: Workspace, owner: str, lines: Mapping[str, RunLine]) -> None:
    """The chosen run."""
    run_id = choose(lines)
    try:
        chosen = workspace.runs.get(run_id)
    except CoreError as error:  # deleted in another tab
        st.error(formatting.plain(error.message))
        return
    actions(workspace, owner, chosen)


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
            said = answer(run, workspace.insights.hindsights(run))
            found[line.id] = said
            if run.progress.state not in LIVE:
                workspace.runs.keep_answer(line, said)
    return found


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
    names = formatting.apart({key: listing.name_of(run) for key, run in runs.items()})
    st.selectbox("Run", list(names), format_func=names.__getitem__, key=state.chosen.key)
    return state.chosen.get()


def actions(workspace: Workspace, owner: str, run: Run) -> None:
    """Open, delete, share; the model, the recipe and the report."""
    st.markdown(f"**{formatting.plain(headline(run))}**")
    with st.container(horizontal=True):
        if st.button("Open", type="primary", key="runs.open"):
            downloads.reopen(run)
        if st.button("Compare", key="runs.compare", help="Beside all other recipes of this model"):
            st.switch_page(COMPARE, query_params={"model": run.spec.model})
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


show()
