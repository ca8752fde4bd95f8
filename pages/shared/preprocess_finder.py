"""Labelled images tell how pixels become the input of a model whose file does not say it."""

from __future__ import annotations

import streamlit as st

from core.errors import CoreError
from core.records import ModelSummary
from core.workspace import Workspace
from core.workspace.inputs import PixelTrial
from pages.shared import formatting
from pages.shared.state import panels, uploads


def show(workspace: Workspace, owner: str, model: ModelSummary, labelled: str) -> None:
    """A button while nothing is known, and what came of it afterwards.

    Args:
        workspace: that holds both.
        owner: whose they are.
        model: to find it for.
        labelled: digest of an image set with labels; empty for none.
    """
    if found := panels.pixels_found(model.digest).get():
        st.caption(sentence(found))
    if model.preprocess is not None or not labelled:
        return
    st.warning("The file does not say how pixels become its input: it is guessed.")
    if not st.button("Find it with the labelled images", key="preprocess.find", width="stretch"):
        return
    try:
        with st.spinner("Trying the usual ways …"):
            found = workspace.insights.pixel_trials(model.digest, labelled, owner)
            saved = workspace.models.set_preprocess(model.digest, found[0].preprocess, owner)
    except CoreError as error:
        st.error(formatting.plain(" ".join(part for part in (error.message, error.remedy) if part)))
        return
    panels.pixels_found(saved.digest).set(found)
    uploads.pending("model").set(saved.digest)
    st.rerun()


def sentence(found: tuple[PixelTrial, ...]) -> str:
    """What won, by how much, and what did as well as can be told from so many images."""
    best, *others = found
    told = (
        f"{best.name}: {best.top1:.1f} % of {best.images:,} images right "
        f"({best.low:.1f} … {best.high:.1f}); saved with the model."
    )
    alike = [other.name for other in others if other.top1 >= best.low]
    if alike:
        return f"{told} Not clearly worse: {'; '.join(alike)}."
    return f"{told} Next: {others[0].name}, {others[0].top1:.1f} %." if others else told
