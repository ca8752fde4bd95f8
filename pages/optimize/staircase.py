"""Behind the slider of a pass that cuts channels: at which of its values time really falls."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.charts import palette, staircase_figure
from core.charts.staircase import HEIGHT, at
from core.errors import CoreError
from core.records import ModelSummary, Preview, Recipe, Staircase, StaircaseQuestion, StaircaseState
from core.search import space
from core.workspace import Workspace
from core.workspace.passes import catalogue, parameters
from pages.optimize.state import state as kept
from pages.shared import formatting, recipe_form, session, snapping
from pages.shared.state import forms

POLL_S = 1.0
LAYER_S = 0.5  # roughly what it takes to time one shape: said before any was timed
CONFIG = {"displaylogo": False, "displayModeBar": False}


@dataclass(frozen=True, slots=True)
class Behind:
    """What the recipe form calls after each of its sliders, to be filled in once all else is."""

    workspace: Workspace
    model: ModelSummary
    places: list[tuple[DeltaGenerator, str, str]] = field(default_factory=list)

    def __call__(self, pass_name: str, parameter: str) -> None:
        """Keep a place for the staircase of this slider."""
        self.places.append((st.container(gap="xsmall"), pass_name, parameter))

    def fill(self) -> None:
        """Draw them; the numbers that a moved slider changes are on their way already."""
        for place, pass_name, parameter in self.places:
            with place:
                self._draw(pass_name, parameter)

    def _draw(self, pass_name: str, parameter: str) -> None:
        question = asked(self.workspace, self.model, recipe_form.current(), pass_name, parameter)
        if question is None or not question.backends:
            return
        slider = forms.parameter(pass_name, parameter)
        state = self.workspace.insights.staircases(question)
        drawn = state.staircases
        whole = [found for found in drawn if found.whole]
        steps = sorted({step for found in whole for step in found.steps})
        if drawn:
            st.plotly_chart(
                figure(drawn, question.stops[0], question.stops[-1]),
                key=f"staircase.{slider.key}", height=HEIGHT, config=CONFIG,
                alt="Estimated time of the layers that the slider changes, at each of its values",
            )  # fmt: skip
            st.html(legend(drawn, slider.get()))
        snaps = bool(steps) and st.toggle(
            "Snap to steps", True, key=kept.snaps.key, persist_state="session",
            help="The slider stops only where some backend really becomes faster; what lies "
            "between costs accuracy and buys no time.",
        )  # fmt: skip
        snapping.offer(slider, (question.stops[0], *steps) if snaps else ())
        if snaps and (let_go := snapping.came_from(slider)) is not None:
            st.caption(
                f"Moved from {let_go:.0%} to {slider.get():.0%}, "
                "the nearest value at which time falls."
            )
        self._timing(question, state)

    def _timing(self, question: StaircaseQuestion, state: StaircaseState) -> None:
        """The button, or how far the timing is."""
        for backend, reason in state.reasons.items():
            label = f"{palette.label(backend)}: " if backend else ""
            st.caption(f"No layer times. {formatting.plain(label + reason)}")
        active = state.running or state.busy
        if active or (state.missing is None and not state.reasons):
            look = st.fragment(progress, run_every=POLL_S)
            look(self.workspace, question, active, len(state.staircases))
        elif state.missing:
            self._offer(question, state)

    def _offer(self, question: StaircaseQuestion, state: StaircaseState) -> None:
        missing = state.missing or 0
        some = bool(state.staircases)
        st.button(
            "Time the other layers" if some else "Measure layer times",
            key="staircase.measure", width="stretch",
            on_click=self.workspace.insights.time_layers, args=(question, session.owner()),
            help="Times every layer that this slider changes, alone, at all of its values, on the "
            "chosen backends. The machine should be idle.",
        )  # fmt: skip
        about = formatting.duration(LAYER_S * missing)
        st.caption(
            f"{missing:,} layer shapes, about {about}: then this slider shows at which values "
            "time really falls."
        )


@functools.lru_cache(maxsize=32)
def figure(staircases: tuple[Staircase, ...], low: float, high: float) -> Any:
    """The same while the slider moves, so it is made once."""
    return staircase_figure(staircases, low, high)


def progress(workspace: Workspace, question: StaircaseQuestion, active: bool, drawn: int) -> None:
    """How many layers are timed, looked at again and again; a way to stop."""
    try:
        state = workspace.insights.staircases(question)
    except CoreError:
        return
    ready = not active and (state.missing is not None or state.reasons)
    if ready or active != (state.running or state.busy) or drawn != len(state.staircases):
        st.rerun()
    if not active:
        st.caption("Working out which layers this slider changes …")
        return
    left = "" if state.eta_s is None else f", about {formatting.duration(state.eta_s)} left"
    words = f"{state.done:,} of {state.total:,} layers timed{left}"
    if state.busy:
        words = "Waiting for its turn: other work on this machine comes first …"
    elif not state.done:
        words = "Waiting for the machine, then timing layers …"
    st.progress(state.done / state.total if state.total else 0.0, words)
    st.button(
        "Cancel",
        key="staircase.cancel",
        width="stretch",
        on_click=workspace.insights.stop_timing,
        args=(question,),
    )


def asked(
    workspace: Workspace, model: ModelSummary, recipe: Recipe, pass_name: str, parameter: str
) -> StaircaseQuestion | None:
    """The question behind a slider; None where it does not decide which channels stay."""
    position = next((i for i, s in enumerate(recipe.steps) if s.pass_name == pass_name), None)
    if position is None or not _cuts(workspace, model, recipe, position):
        return None
    default, about = parameters(catalogue()[pass_name])[parameter]
    stops = space.stops(default, about)
    before, step = recipe.steps[:position], recipe.steps[position]
    recipes = tuple(
        Recipe("", (*before, type(step)(pass_name, {**step.params, parameter: stop})))
        for stop in stops
    )
    chosen = tuple(forms.backends.get())
    threads = (forms.threads.get() or [1])[0]
    if not stops:
        return None
    return StaircaseQuestion(model.digest, recipes, tuple(stops), chosen, int(threads))


def _cuts(workspace: Workspace, model: ModelSummary, recipe: Recipe, position: int) -> bool:
    """Whether a step says exactly, without data, which channels go."""
    head = Recipe(recipe.name, recipe.steps[: position + 1])
    try:
        preview: Preview = workspace.insights.preview(model.digest, head)
    except CoreError:
        return False
    return preview.exact and position < len(preview.report) and bool(preview.report[position].cuts)


def legend(staircases: tuple[Staircase, ...], value: float) -> str:
    """What each line is, and what it says at the slider's value."""
    rows = []
    for found in staircases:
        stair, first = at(found, value), found.stairs[0]
        words = "not timed here yet"
        if stair is not None:
            words = f"≈ {formatting.number(1e3 * stair.seconds)} ms"
            if first.at < stair.at and first.seconds:
                words += f", {formatting.percent_change(first.seconds, stair.seconds)}"
        color, name = palette.color(found.backend), formatting.escape(palette.label(found.backend))
        rows.append(
            f'<li><span style="border-color:{color}"></span>{name}<b>{formatting.escape(words)}</b>'
            "</li>"
        )
    layers = max(found.layers for found in staircases)
    untimed = max(found.untimed for found in staircases)
    rest = f"; {untimed} more have no time" if untimed else ""
    return (
        f'<ul class="lathe-stairs">{"".join(rows)}</ul>'
        f'<p class="lathe-caption">{layers} layers, timed one by one{rest}. Not the whole model: '
        "measure for that.</p>"
    )
