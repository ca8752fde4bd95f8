"""Runs: everything this visitor measured and uploaded: find, reopen, delete, share."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from core.charts.summary import headline
from core.errors import CoreError
from core.records import Run, RunLine
from core.workspace import Workspace
from pages.runs import answers, listing, uploads
from pages.runs.state import state
from pages.shared import downloads, formatting, session
from pages.shared.state import visit

COMPARE = "pages/compare/page.py"


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
        said, marks = answers.known(workspace, lines), workspace.results.bookmarks(owner)
        if len(said) < len(lines):
            st.fragment(answers.read_on, run_every=answers.PAUSE_S)(workspace, owner)
        found = listing.filtered(lines, said, marks)
        if found:
            listing.table(found, said, marks)
            detail(workspace, owner, found)
        answers.forecasts(said)
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
        st.error(formatting.plain(f"{error.message} {error.remedy}".strip()))
        return
    actions(workspace, owner, chosen)


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
