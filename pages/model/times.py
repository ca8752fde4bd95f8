"""Times of every layer on one backend: those that are known, or a button that measures them."""

from __future__ import annotations

import streamlit as st

from core.charts import palette
from core.charts.conditions import threads_text
from core.errors import CoreError
from core.records import Explanation, Run
from core.records.standing import first_threads
from core.workspace import Workspace
from pages.model.state import Question, state
from pages.shared import formatting

LOOK_S = 2.0


def show(workspace: Workspace, run: Run, digest: str) -> Explanation | None:
    """Times of the layers of the original and of a candidate; None before they are measured."""
    backends = list(run.spec.backends)
    if not backends:
        return None
    if state.backend.get() not in backends:
        state.backend.set(backends[0])
    st.selectbox("Layer times on", backends, format_func=palette.label, key=state.backend.key)
    question: Question = (run.id, digest, state.backend.get(), first_threads(run))
    if workspace.insights.profiled(*question):
        return workspace.insights.profile(*question, 0.0)
    waits = state.timing.get() == question
    st.fragment(_panel, run_every=LOOK_S if waits else None)(workspace, question, waits)
    return None


def _panel(workspace: Workspace, question: Question, waits: bool) -> None:
    """The button, or whether the times are there; a click makes the page look again and again."""
    if (state.timing.get() == question) != waits:
        st.rerun()
    if state.timing.get() == question:
        _look(workspace, question)
        return
    refused = state.refused.get()
    st.button(
        "Time every layer",
        key="model.time",
        on_click=state.timing.set,
        args=(question,),
        help=f"Times each layer of both models in turns, with {threads_text(question[3])}, "
        "for a few seconds.",
    )
    if refused is not None and refused[0] == question:
        st.warning(formatting.plain(refused[1]))


def _look(workspace: Workspace, question: Question) -> None:
    """Whether the times are there; the whole page is made anew when they are, or cannot be."""
    try:
        known = workspace.insights.profile(*question, 0.0) is not None
    except CoreError as error:
        state.refused.set((question, f"{error.message} {error.remedy}".strip()))
        known = True
    if known:
        state.timing.clear()
        st.rerun()
    st.caption("Timing every layer of both models, or waiting for another measurement to end …")
