"""Explore: many recipes at once, and what each costs in accuracy for what it gains."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from core.charts.summary import headline
from core.errors import CoreError
from core.recipes import original
from core.records import ExperimentSpec, ModelSummary, Recipe, Run
from core.workspace import Workspace
from pages.explore import sweep_form, tradeoff
from pages.explore.state import state
from pages.shared import (
    data_picker,
    downloads,
    formatting,
    measure_form,
    model_picker,
    progress,
    result_card,
    session,
    size_form,
)
from pages.shared.state import forms

POLL_S = 1.5


def show() -> None:
    """Sidebar: model, data and grid. Main part: what it takes, then the trade-off as it comes."""
    workspace, owner = session.workspace(), session.owner()
    run = opened(workspace)
    fill_forms(run)
    st.title("Explore")
    start = st.container()
    with st.sidebar:
        st.header("Model and data")
        model = model_picker.show(workspace, owner, run)
        if model is None:
            return
        data = data_picker.show(workspace, owner, model, run)
        st.header("Recipes to try")
        recipes = sweep_form.show(model, bool(data.calibration))
        st.header("Measure")
        size_form.show(workspace, model, data)
        measure_form.show(workspace.runs.backends())
    with start:
        ask(workspace, owner, question(model, recipes, data), data.misfit)
        if recipes:
            with st.expander(f"The recipes ({len(recipes):,})"):
                st.markdown("\n".join(f"1. {formatting.plain(recipe.name)}" for recipe in recipes))
    model_picker.settle()
    if run is None:
        st.info("Choose recipes to try, then start: the trade-off appears here as it is measured.")
        return
    st.fragment(results, run_every=POLL_S if progress.is_live(run) else None)(workspace, run)


def opened(workspace: Workspace) -> Run | None:
    """The run of the address, or the last sweep that this visitor looked at here."""
    run_id = session.asked_for(state.run)
    if not run_id:
        return None
    try:
        run = workspace.runs.get(run_id)
    except CoreError as error:
        state.run.leave()
        st.error(formatting.plain(error.message))
        return None
    state.run.set(run.id)
    return run


def fill_forms(run: Run | None) -> None:
    """Set model, images and backends once to what a reopened sweep was asked."""
    if run is not None and state.filled_for.get() != run.id:
        state.filled_for.set(run.id)
        forms.model.set(run.spec.model)
        forms.data_model.set(run.spec.model)
        measure_form.load(run.spec)


def question(
    model: ModelSummary, recipes: tuple[Recipe, ...], data: data_picker.Data
) -> ExperimentSpec:
    """The sweep that the forms ask for."""
    asked = measure_form.spec(model, original(), data)
    title = f"{model.name}: {len(recipes)} recipes"
    return replace(asked, title=title, recipes=(original(), *recipes))


def ask(workspace: Workspace, owner: str, spec: ExperimentSpec, misfit: str = "") -> None:
    """What the sweep will take, and the button that starts it unless the images do not fit."""
    words, button = st.columns([5, 1], vertical_alignment="center")
    count = len(spec.recipes) - 1
    refusal = formatting.plain(misfit) or refuse(spec)
    words.markdown(refusal or formatting.plain(cost(spec)))
    if button.button(
        "Start",
        type="primary",
        key="explore.start",
        width="stretch",
        disabled=bool(refusal) or count == 0,
    ):
        try:
            run_id = workspace.runs.submit(spec, owner)
        except CoreError as error:
            st.error(formatting.plain(f"{error.message} {error.remedy}".strip()))
            return
        state.run.link(run_id)
        state.filled_for.set(run_id)  # they stand at its question already
        st.rerun()


def refuse(spec: ExperimentSpec) -> str:
    """Why this sweep cannot start; empty if it can."""
    count = len(spec.recipes) - 1
    if not count:
        return "No recipe is chosen yet."
    if count > sweep_form.MOST_RECIPES:
        return f"{count:,} recipes are too many for one sweep: {sweep_form.MOST_RECIPES} at most."
    return "" if spec.backends else "Choose at least one backend."


def cost(spec: ExperimentSpec) -> str:
    """How many comparisons the sweep holds, and the time that its budget allows for latency."""
    count, backends, threads = len(spec.recipes) - 1, len(spec.backends), len(spec.threads)
    pairs = count * backends * threads
    text = f"{plural(count, 'recipe')} on {plural(backends, 'backend')}"
    if threads > 1:
        text += f" with {threads} thread counts"
    longest = formatting.duration(pairs * spec.latency_budget_s)
    text += f": {plural(pairs, 'latency comparison')}, at most {longest}"
    if spec.evaluation:
        text += ", and accuracy on every backend besides"
    return f"{text}. A sweep that was stopped goes on where it was."


def plural(count: int, noun: str) -> str:
    """A count with its noun."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def results(workspace: Workspace, first: Run) -> None:
    """The trade-off as it comes in; when the run ends, the whole page is asked for once more."""
    run = workspace.runs.get(first.id) if progress.is_live(first) else first
    if progress.is_live(first) and not progress.is_live(run):
        st.rerun()
    st.header(formatting.plain(run.spec.title))
    progress.show(run)
    st.markdown(f"**{formatting.plain(headline(run))}**")
    outcome = tradeoff.show(run)
    tradeoff.table(run)
    if not progress.is_live(run) and run.measurements:
        downloads.show(run, workspace, outcome)
        result_card.show(run, outcome)


show()
