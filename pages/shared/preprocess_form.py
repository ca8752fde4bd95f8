"""How pixels become the model's input: presets, or every field; saved with the model."""

from __future__ import annotations

import streamlit as st

from core.errors import CoreError
from core.records import ModelSummary, Preprocess
from core.workspace import Workspace
from core.workspace.inputs import PRESETS, fitted, same_pixels
from pages.shared import formatting
from pages.shared.state import forms, uploads

CUSTOM = "custom"


def show(workspace: Workspace, model: ModelSummary, owner: str) -> None:
    """A popover that says what the model carries and lets it be changed."""
    known = model.preprocess is not None
    label = "Preprocessing" if known else "Preprocessing: please check"
    with st.popover(label, width="stretch"):
        st.caption(
            f"Saved with the model: {name_of(model.preprocess)}."
            if known
            else "The file does not say how pixels become its input. A wrong guess costs accuracy."
        )
        chosen = _form(model)
        if chosen is None or not st.button("Save with the model", key="preprocess.save"):
            return
        try:
            saved = workspace.models.set_preprocess(model.digest, chosen, owner)
        except CoreError as error:
            st.error(formatting.plain(error.message))
            return
        uploads.pending("model").set(saved.digest)
        st.rerun()


def name_of(preprocess: Preprocess | None) -> str:
    """The preset that it equals, or "custom"."""
    if preprocess is None:
        return "nothing"
    for name, preset in PRESETS.items():
        if same_pixels(preset, preprocess):
            return name
    return CUSTOM


def _form(model: ModelSummary) -> Preprocess | None:
    names = [*PRESETS, CUSTOM]
    start = name_of(model.preprocess) if model.preprocess else names[0]
    key = forms.pixels(model.digest).key
    choice = st.selectbox("Pixels become", names, index=names.index(start), key=key)
    if choice != CUSTOM:
        return fitted(PRESETS[choice], model.inputs)
    return _custom(model.preprocess or fitted(Preprocess(), model.inputs), model.digest)


def _custom(start: Preprocess, digest: str) -> Preprocess | None:
    def key(part: str) -> str:
        return forms.pixels(digest, part).key

    colors = ["rgb", "bgr", "gray", "as_stored"]
    color = st.selectbox(
        "Colour order",
        colors,
        colors.index(start.color),
        key=key("color"),
        help="as_stored: every channel that the images have, for depth or many bands.",
    )
    scale = st.number_input(
        "Scale of a 0 … 255 pixel", value=start.scale, format="%.8f", key=key("scale")
    )
    mean = st.text_input("Mean per channel", _numbers_text(start.mean), key=key("mean"))
    std = st.text_input("Deviation per channel", _numbers_text(start.std), key=key("std"))
    sides = {
        name: st.text_input(label, _numbers_text(getattr(start, name) or ()), key=key(name))
        for name, label in (
            ("resize", "Resize to height, width"),
            ("crop", "Then crop the centre to height, width"),
            ("resize_after_crop", "Then resize to height, width"),
        )
    }
    layouts = ["NCHW", "NHWC"]
    layout = st.selectbox("Layout", layouts, layouts.index(start.layout), key=key("layout"))
    kinds = ["float32", "uint8"]
    dtype = st.selectbox("Type", kinds, kinds.index(start.dtype), key=key("dtype"))
    try:
        pairs = {name: pair(text) for name, text in sides.items()}
        return Preprocess(
            color, scale, numbers(mean), numbers(std), layout=layout, dtype=dtype, **pairs
        )
    except ValueError as error:
        st.error(formatting.plain(str(error)))
        return None


def numbers(text: str) -> tuple[float, ...]:
    """One number, or one per channel; raises ValueError with what to type instead."""
    try:
        numbers = tuple(float(part) for part in text.replace(";", ",").split(",") if part.strip())
    except ValueError:
        raise ValueError(f"{text!r}: give numbers with commas between them.") from None
    if len(numbers) not in (1, 3):
        raise ValueError(f"{text!r}: give one number, or one for each of three channels.")
    return numbers


def pair(text: str) -> tuple[int, int] | None:
    """Height and width, or nothing; raises ValueError with what to type instead."""
    if not text.strip():
        return None
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ValueError(f"{text!r}: give height, width in pixels, or leave it empty.")
    return int(parts[0]), int(parts[1])


def _numbers_text(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)
