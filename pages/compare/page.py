"""Compare: every candidate of a model, across runs; any side by side; cards from elsewhere."""

from __future__ import annotations

import streamlit as st

from core.records import RunLine
from core.workspace import Workspace
from pages.compare import candidates, cards, sides
from pages.compare.state import state
from pages.shared import formatting, session
from pages.shared.state import visit


@session.spoken()
def show() -> None:
    """Model, its front and its table; what is picked side by side; cards."""
    workspace, owner = session.workspace(), session.owner()
    st.title("Compare")
    if notice := visit.notice.take():
        st.error(formatting.plain(notice))
    model = choose_model(workspace.runs.lines(owner))
    if model:
        of_model(workspace, owner, model)
    else:
        st.info("Nothing is measured yet. Choose a model and a recipe on Optimize, then measure.")
        if st.button("Go to Optimize", key="compare.begin"):
            st.switch_page(session.OPTIMIZE)
    cards.show(workspace, owner)


def choose_model(lines: tuple[RunLine, ...]) -> str:
    """Digest of the model in question: of the address, or the one that was measured last."""
    names: dict[str, str] = {}
    for line in lines:
        names.setdefault(line.spec.model, line.model)
    if not names:
        return ""
    given = state.model.given()
    if given in names and not state.model.is_set():
        state.model.set(given)
    if state.model.get() not in names:
        state.model.set(next(iter(names)))
    names = formatting.apart(names)
    st.selectbox(
        "Model", list(names), format_func=lambda digest: names.get(digest, ""), key=state.model.key
    )
    return state.model.get()


def of_model(workspace: Workspace, owner: str, model: str) -> None:
    """The candidates of one model."""
    results = workspace.results.of(owner, model)
    marks = workspace.results.bookmarks(owner)
    made = [result for result in results if not result.is_original]
    if not made:
        st.info(
            "No recipe of this model has made a model yet. Measure one on Optimize; what is being "
            "measured now is listed here as soon as it ends."
        )
        return
    candidates.show(results, marks)
    sides.show(workspace, owner, results, marks)


show()
