"""At which size a model with open dimensions is measured: told by the images, or asked."""

from __future__ import annotations

import streamlit as st

from core.records import DataSummary, ExperimentSpec, ModelSummary
from core.workspace import Workspace
from core.workspace.inputs import Proposal, at, called, open_dims, proposed, told
from pages.shared import data_picker, formatting, session
from pages.shared.state import forms

LARGEST = 1 << 14


def show(workspace: Workspace, model: ModelSummary, data: data_picker.Data) -> None:
    """A field for each open dimension but the batch; nothing where there is none."""
    names = open_dims(model.inputs)
    if not names:
        return
    images = chosen_images(workspace, data)
    known = told(model.inputs, model.preprocess, images, {})
    proposal = proposed(model, images)
    sizes = proposal.dims | {name: known[name] for name in names if name in known}
    st.markdown("**Input size**")
    missing = [name for name in open_dims(at(model.inputs, known | dims(model)))]
    st.caption(formatting.plain(_words(model, sizes, missing, proposal)))
    if missing:
        st.button(
            f"Use {by(sizes)}",
            key="measure.at.use",
            on_click=_take,
            args=(model, sizes),
            width="stretch",
        )
    columns = st.columns(min(2, len(names)))
    for place, name in enumerate(names):
        columns[place % len(columns)].number_input(
            label(model, name),
            min_value=1,
            max_value=LARGEST,
            step=1,
            value=None,
            placeholder=str(sizes[name]) if name in known else "not stated",
            key=forms.size(model.digest, name).key,
            persist_state="session",
        )


def dims(model: ModelSummary) -> dict[str, int]:
    """The sizes that stand in the fields."""
    found = {name: forms.size(model.digest, name).get() for name in open_dims(model.inputs)}
    return {name: int(size) for name, size in found.items() if size}


def load(spec: ExperimentSpec) -> None:
    """Set the fields to what a run was asked."""
    for name, size in spec.dims.items():
        forms.size(spec.model, name).set(size)


def label(model: ModelSummary, name: str) -> str:
    """What a field is called: "Height", with the file's own name for it where that says more."""
    word = called(model.inputs, name).capitalize()
    alike = [one for one in open_dims(model.inputs) if called(model.inputs, one) == word.lower()]
    return f"{word} ({formatting.plain(name)})" if len(alike) > 1 else word


def by(sizes: dict[str, int]) -> str:
    """Sizes as a person writes them."""
    return " × ".join(f"{size:,}" for size in sizes.values())


def chosen_images(workspace: Workspace, data: data_picker.Data) -> DataSummary | None:
    """The images that the model will be measured on."""
    return data_picker.available(workspace, session.owner()).get(data.evaluation)


def _words(
    model: ModelSummary, sizes: dict[str, int], missing: list[str], proposal: Proposal
) -> str:
    if missing:
        return (
            "This file takes inputs of any size, and its time depends on it: state the size to "
            f"measure at. Proposed: {by(sizes)} ({proposal.why})."
        )
    if dims(model):
        return "Measured at this size; the file stays open."
    return f"Measured at {by(sizes)}, as the images are, unless you state another size."


def _take(model: ModelSummary, sizes: dict[str, int]) -> None:
    for name, size in sizes.items():
        forms.size(model.digest, name).set(size)
