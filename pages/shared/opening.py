"""What the forms stand at when Optimize opens: a run's question, a recipe sent here, or a start."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.recipes import apart, in_order, name_of, recipe_of
from core.records import Recipe, Run, Step
from core.search import lookup
from core.search.space import START
from core.workspace.passes import catalogue
from pages.shared import measure_form, recipe_book, recipe_form
from pages.shared.state import forms, visit


def fill_forms(run: Run | None, left: Recipe | None = None) -> None:
    """Set every form once for each run opened and each recipe sent from another screen.

    Args:
        run: that is shown.
        left: the recipe that this visitor left the forms at; they stand there but for it.
    """
    sent = visit.sent.take()
    if sent is not None:
        asked, recipe = sent
        _turn_to(asked)
        recipe_form.load(recipe)
        forms.filled_for.set(asked.id)
    elif left is not None:
        recipe_form.load(left)
        forms.filled_for.set(run.id if run is not None else "left")
    elif run is not None and forms.filled_for.get() != run.id:
        _turn_to(run)
        recipe_form.load(lookup.opening(run))
        forms.filled_for.set(run.id)
    elif not forms.filled_for.is_set():
        known = tuple(step for step in START.steps if step.pass_name in catalogue())
        recipe_form.load(Recipe(START.name, known))
        forms.filled_for.set("start")
    if added := forms.added.take():
        recipe_book.take(_joined(recipe_form.current(), added))


def _joined(recipe: Recipe, added: Sequence[Step]) -> Recipe:
    """A recipe with steps more, each instead of one of the same pass or family."""
    names = {step.pass_name for step in added}
    families = {catalogue()[name].family for name in names} - {""}
    rest = [
        step
        for step in recipe.steps
        if step.pass_name not in names and catalogue()[step.pass_name].family not in families
    ]
    return recipe_of(in_order((*rest, *added)))


def _turn_to(run: Run) -> None:
    forms.model.set(run.spec.model)
    forms.data_model.set(run.spec.model)
    measure_form.load(run.spec)


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
        key=forms.recipe_of(run.id).key,
        on_change=_load_chosen,
        args=(run.id, recipes),
        label_visibility="collapsed",
    )


def was_loaded() -> bool:
    """Whether a recipe was just loaded from outside the form, which must be drawn anew."""
    return forms.loaded.take()


def _load_chosen(run_id: str, recipes: dict[str, Recipe]) -> None:
    name = forms.recipe_of(run_id).get()
    if name in recipes:
        recipe_form.load(recipes[name])
        forms.loaded.set(True)
