"""What the forms stand at when Optimize opens: a run's question, a recipe sent here, or a start."""

from __future__ import annotations

import streamlit as st

from core.recipes import apart, name_of
from core.records import Recipe, Run
from core.search.choose import best
from core.search.space import START
from core.workspace.passes import catalogue
from pages.shared import measure_form, model_picker, recipe_form

LOADED = "recipe_loaded"  # set by whoever changes the recipe from outside its form


def fill_forms(run: Run | None, left: Recipe | None = None) -> None:
    """Set every form once for each run opened and each recipe sent from another screen.

    Args:
        run: that is shown.
        left: the recipe that this visitor left the forms at; they stand there but for it.
    """
    state = st.session_state
    sent = state.pop("pending_recipe", None)
    if sent is not None:
        asked, recipe = sent
        state[model_picker.KEY] = state["data.model"] = asked.spec.model
        measure_form.load(asked.spec)
        recipe_form.load(recipe)
        state["forms_of"] = asked.id
    elif left is not None:
        recipe_form.load(left)
        state["forms_of"] = run.id if run is not None else "left"
    elif run is not None and state.get("forms_of") != run.id:
        state[model_picker.KEY] = run.spec.model
        state["data.model"] = run.spec.model
        recipe_form.load(opening_recipe(run))
        measure_form.load(run.spec)
        state["forms_of"] = run.id
    elif "forms_of" not in state:
        known = tuple(step for step in START.steps if step.pass_name in catalogue())
        recipe_form.load(Recipe(START.name, known))
        state["forms_of"] = "start"


def opening_recipe(run: Run) -> Recipe:
    """The recipe that a run opens with: its best, or its last where none is finished."""
    found = best(run)
    return found.recipe if found is not None else run.spec.recipes[-1]


def choose_recipe(run: Run) -> None:
    """Where a run has several recipes: which of them the screen shows."""
    names = apart({at: name_of(recipe) for at, recipe in enumerate(run.spec.recipes)})
    recipes = {names[at]: recipe for at, recipe in enumerate(run.spec.recipes)}
    if len(recipes) <= 2:
        return
    st.selectbox(
        f"One of the {len(recipes)} recipes of this run",
        list(recipes),
        index=None,
        placeholder="Show another recipe of this run",
        key=f"recipe_of.{run.id}",
        on_change=_load_chosen,
        args=(run.id, recipes),
        label_visibility="collapsed",
    )


def was_loaded() -> bool:
    """Whether a recipe was just loaded from outside the form, which must be drawn anew."""
    return bool(st.session_state.pop(LOADED, False))


def _load_chosen(run_id: str, recipes: dict[str, Recipe]) -> None:
    name = st.session_state.get(f"recipe_of.{run_id}")
    if name in recipes:
        recipe_form.load(recipes[name])
        st.session_state[LOADED] = True
