"""How sensitive the model is to each step, layer by layer; a click leaves a layer alone."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.charts import sensitivity_figure, steps
from core.charts.sensitivity import measures
from core.errors import CoreError
from core.records import (
    LayerEffect,
    Outcome,
    Recipe,
    Sensitivity,
    StepReport,
)
from core.workspace import Workspace
from core.workspace.passes import catalogue, parameters
from pages.shared import formatting, session
from pages.shared.data_picker import Data
from pages.shared.field import Field, Pick, points
from pages.shared.state import forms, panels

EXCLUDE = "exclude"
POLL_S = 2.0
CONFIG = {"displaylogo": False, "displayModeBar": False}
ROW_PX, AROUND_PX, LOWEST_PX = 22, 140, 260


def show(outcome: Outcome | None) -> None:
    """One chart for each step that measured it; open where layers were pinned."""
    candidate = outcome.candidate if outcome is not None else None
    for step in candidate.report if candidate is not None else ():
        if step.effects:
            kind = catalogue().get(step.step.pass_name)
            title = kind.label if kind is not None else step.step.pass_name
            pinned = [
                layer
                for layer in forms.parameter(step.step.pass_name, EXCLUDE, ()).get()
                if layer not in step.step.params.get(EXCLUDE, ())
            ]
            with st.expander(f"Sensitivity per layer: {formatting.plain(title)}", bool(pinned)):
                if pinned:
                    st.info(
                        f"Left alone from now on: {formatting.plain(steps.named(pinned))}. "
                        "Measure again to see what that brings."
                    )
                chart(step)


def chart(step: StepReport) -> None:
    """The heat map or the bars of one step, with the layers that may be pinned."""
    name = step.step.pass_name
    pinnable = name in catalogue() and EXCLUDE in parameters(catalogue()[name])
    draw(step.effects, name, pins=pinnable and one_setting(step.effects))
    if pinnable:
        st.caption(
            "Measured on calibration images, each layer changed alone. A click on a bar, or "
            "“Leave alone” among the step's parameters, keeps a layer as it is."
        )


def of_pruning(workspace: Workspace, model: str, before: Recipe, data: Data) -> None:
    """The heat map of groups and ratios, once it is asked for; the page does not wait for it."""
    asked = panels.sensitivity_asked(model)
    if not data.calibration:
        st.caption("Needs calibration images.")
        return
    if not asked.get():
        words = "Measure what pruning each layer would cost"
        st.button(words, key="sensitivity.ask", on_click=_ask, args=(model,))
        return
    try:
        waiting = _asked(workspace, model, before, data) is None
    except CoreError:
        waiting = False
    look = st.fragment(_known, run_every=POLL_S if waiting else None)
    look(workspace, model, before, data, waiting)


def _ask(model: str) -> None:
    """Keep that it was asked for: the button itself is true for one run of the script only."""
    panels.sensitivity_asked(model).set(True)


def _stop(workspace: Workspace, model: str, before: Recipe, data: Data) -> None:
    panels.sensitivity_asked(model).set(False)
    workspace.insights.stop_sensitivity(model, before, data.calibration, data.evaluation)


def _asked(workspace: Workspace, model: str, before: Recipe, data: Data) -> Sensitivity | None:
    return workspace.insights.sensitivity(
        model, before, data.calibration, data.evaluation, session.owner()
    )


def _known(workspace: Workspace, model: str, before: Recipe, data: Data, waiting: bool) -> None:
    if not panels.sensitivity_asked(model).get():
        st.rerun()  # it was stopped: the button that asks for it stands here again
    try:
        known = _asked(workspace, model, before, data)
    except CoreError as error:
        st.warning(formatting.plain(error.message))
        return
    if waiting and known is not None:
        st.rerun()  # from here on nothing is looked for any more
    if known is None:
        told = workspace.insights.sensitivity_told(model, before, data.calibration, data.evaluation)
        doing = told or "this takes seconds to minutes …"
        st.caption(formatting.plain(f"Measuring on the calibration images: {doing}"))
        st.button(
            "Stop", key="sensitivity.stop", on_click=_stop, args=(workspace, model, before, data)
        )
    elif not known.effects:
        st.caption("No group of channels of this model can be pruned.")
    else:
        draw(known.effects, "pruning")
        st.caption(
            "Each group of layers that share channels, cut alone at each ratio; only the layers "
            "that read it are refitted. Dark cells are where pruning hurts."
        )


def draw(effects: tuple[LayerEffect, ...], about: str, pins: bool = False) -> None:
    """The figure of a pass or of "pruning"; where it pins, a click on a bar pins for the pass."""
    drawn = panels.sensitivity(about)
    rows = len({effect.layers for effect in effects})
    look: dict[str, Any] = {
        "height": max(LOWEST_PX, AROUND_PX + ROW_PX * rows),
        "config": CONFIG,
        "key": drawn.key,
        "alt": "Error of the outputs when one layer alone is changed",
    }
    measure = measures(effects)[0]
    if len(measures(effects)) > 1:
        measure = st.segmented_control(
            "What it costs", measures(effects), default=measure, required=True,
            key=panels.sensitivity_measure(about).key, label_visibility="collapsed",
        )  # fmt: skip
    if not pins:
        st.plotly_chart(sensitivity_figure(effects, measure), **look)
        return
    st.plotly_chart(
        sensitivity_figure(effects, measure),
        on_select=lambda: _pin(drawn, about),
        selection_mode="points",
        **look,
    )


def one_setting(effects: tuple[LayerEffect, ...]) -> bool:
    """Whether each layer has one number: then it is drawn as a bar, which can be clicked."""
    return len({effect.setting for effect in effects}) == 1


def _pin(drawn: Field[Pick | None], pass_name: str) -> None:
    """Add the clicked layers to those that the pass leaves alone."""
    left_alone = forms.parameter(pass_name, EXCLUDE, ())
    kept = list(left_alone.get())
    for point in points(drawn):
        kept += [layer for layer in point.get("customdata", ()) if layer not in kept]
    left_alone.set(kept)
    forms.loaded.set(True)
