"""How sensitive the model is to each step, layer by layer; a click leaves a layer alone."""

from __future__ import annotations

import streamlit as st

from core.charts import sensitivity_figure
from core.passes.base import catalogue, parameters
from core.records import LayerEffect, Outcome, StepReport
from pages.widgets import recipe_form, wording
from pages.widgets.opening import LOADED

EXCLUDE = "exclude"
CONFIG = {"displaylogo": False, "displayModeBar": False}
ROW_PX, AROUND_PX, LOWEST_PX = 22, 140, 260


def show(outcome: Outcome | None) -> None:
    """One chart for each step that measured it."""
    candidate = outcome.candidate if outcome is not None else None
    for step in candidate.report if candidate is not None else ():
        if step.effects:
            kind = catalogue().get(step.step.pass_name)
            title = kind.label if kind is not None else step.step.pass_name
            with st.expander(f"Sensitivity per layer: {wording.plain(title)}"):
                chart(step)


def chart(step: StepReport) -> None:
    """The heat map or the bars of one step, with the layers that may be pinned."""
    name = step.step.pass_name
    key = f"sensitivity.{name}"
    pinnable = name in catalogue() and EXCLUDE in parameters(catalogue()[name])
    draw(step.effects, key, name if pinnable and one_setting(step.effects) else "")
    if pinnable:
        st.caption(
            "Measured on calibration images, each layer changed alone. A click on a bar, or "
            "“Leave alone” among the step's parameters, keeps a layer as it is."
        )


def draw(effects: tuple[LayerEffect, ...], key: str, pass_name: str = "") -> None:
    """The figure; where a pass is named, a click on a bar pins the layer for it."""
    rows = len({effect.layers for effect in effects})
    look = {
        "height": max(LOWEST_PX, AROUND_PX + ROW_PX * rows),
        "config": CONFIG,
        "key": key,
        "alt": "Error of the outputs when one layer alone is changed",
    }
    if not pass_name:
        st.plotly_chart(sensitivity_figure(effects), **look)
        return
    st.plotly_chart(
        sensitivity_figure(effects),
        on_select=lambda: _pin(key, pass_name),
        selection_mode="points",
        **look,
    )


def one_setting(effects: tuple[LayerEffect, ...]) -> bool:
    """Whether each layer has one number: then it is drawn as a bar, which can be clicked."""
    return len({effect.setting for effect in effects}) == 1


def _pin(key: str, pass_name: str) -> None:
    """Add the clicked layers to those that the pass leaves alone."""
    where = recipe_form.key_of(pass_name, EXCLUDE)
    kept = list(st.session_state.get(where, ()))
    for point in st.session_state[key].selection.points:
        kept += [layer for layer in point.get("customdata", ()) if layer not in kept]
    st.session_state[where] = kept
    st.session_state[LOADED] = True
