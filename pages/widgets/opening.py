"""What the forms stand at when Optimize opens: a run's question, a recipe sent here, or a start."""

from __future__ import annotations

import streamlit as st

from core.passes.base import catalogue
from core.records import Recipe, Run, Step
from pages.widgets import measure_form, model_picker, recipe_form

START = Recipe("start", (Step("fold_batch_norm"),))


def fill_forms(run: Run | None) -> None:
    """Set every form once for each run opened and each recipe sent from another screen."""
    state = st.session_state
    sent = state.pop("pending_recipe", None)
    if sent is not None:
        model, recipe = sent
        state[model_picker.KEY] = model
        recipe_form.load(recipe)
        state["forms_of"] = "sent"
    elif run is not None and state.get("forms_of") != run.id:
        state[model_picker.KEY] = run.spec.model
        state["data.model"] = run.spec.model
        recipe_form.load(run.spec.recipes[-1])
        measure_form.load(run.spec)
        state["forms_of"] = run.id
    elif "forms_of" not in state:
        known = tuple(step for step in START.steps if step.pass_name in catalogue())
        recipe_form.load(Recipe(START.name, known))
        state["forms_of"] = "start"
