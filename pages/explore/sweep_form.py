"""Which recipes a sweep tries: every combination of a grid, or a list of one's own.

What can be varied, and the recipes of a grid, are `core.search.space`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from core.recipes import distinct
from core.records import ModelSummary, Recipe
from core.search.space import AS_IT_IS, Axis, Variant, axes_of, combine, families
from core.workspace.passes import catalogue
from pages.explore.state import state
from pages.shared import (
    formatting,
    opening,
    precision_control,
    recipe_book,
    recipe_form,
    session,
)

GRID_MODE, LIST_MODE = "Grid", "List"
MOST_RECIPES = 200


def show(model: ModelSummary, has_calibration: bool) -> tuple[Recipe, ...]:
    """Draw the grid or the list; the recipes that they stand for, without the original."""
    opening.fill_forms(None)
    mode = st.segmented_control(
        "Recipes",
        [GRID_MODE, LIST_MODE],
        default=GRID_MODE,
        required=True,
        key=state.mode.key,
        persist_state="session",
    )
    off = precision_control.stored_as(model)
    return grid(has_calibration, off) if mode == GRID_MODE else chosen_list(model)


def grid(has_calibration: bool, off: str = AS_IT_IS) -> tuple[Recipe, ...]:
    """One row of pills per axis; every combination is a recipe.

    Args:
        has_calibration: without it, what needs images is not offered.
        off: what leaving the model's arithmetic alone is called.
    """
    axes = axes_of(catalogue())
    picked: list[Sequence[Variant]] = []
    dropped: list[str] = []
    for axis in axes:
        usable = [v for v in axis.variants if has_calibration or not v.needs_data]
        dropped += [v.label for v in axis.variants if v not in usable]
        picked.append(_pills(axis, usable, off))
    if dropped:
        st.caption(f"Needs calibration images: {formatting.plain(', '.join(dropped))}.")
    return combine(picked)


def chosen_list(model: ModelSummary) -> tuple[Recipe, ...]:
    """Recipes added one by one from the switches that Optimize has too."""
    known = state.listed.begin({})
    recipe_book.show(session.workspace(), session.owner())
    recipe_form.show(model)
    if st.button("Add this recipe", key="explore.add", width="stretch"):
        recipe = recipe_form.current()
        if recipe.steps:
            known = {added.name: added for added in distinct([*known.values(), recipe])}
            state.listed.set(known)
            state.kept.set(list(known))
    if not known:
        st.caption("Set the switches, add the recipe, and so on; then start.")
        return ()
    state.kept.begin(list(known))
    kept = st.multiselect(
        "Recipes of the sweep", list(known), key=state.kept.key, persist_state="session"
    )
    return tuple(known[name] for name in kept)


def _pills(axis: Axis, usable: Sequence[Variant], off: str) -> Sequence[Variant]:
    by_name = {variant.name: variant for variant in usable}
    chosen = state.axis(axis.name)
    chosen.begin([name for name in axis.start if name in by_name])
    shown = _in_the_row(axis, by_name, off)
    chosen.settle([name for name in chosen.get() if name in shown])
    names = st.pills(
        axis.label,
        shown,
        selection_mode="multi",
        format_func=lambda name: _called(by_name.get(name), off) or name,
        key=chosen.key,
        help=axis.help,
        persist_state="session",
    )
    if len(shown) < len(by_name):
        names = [*names, *_others(axis, by_name, shown)]
    return [by_name[name] for name in names if name in by_name]


def _called(variant: Variant | None, off: str) -> str:
    """What a value says; leaving the arithmetic alone is called what the model is stored as."""
    label = variant.label if variant is not None else ""
    return off if label == AS_IT_IS else label


def _in_the_row(axis: Axis, by_name: Mapping[str, Variant], off_name: str) -> list[str]:
    """All values of a pass; of a family off and the plain ones."""
    if axis.name not in families(catalogue()):
        return list(by_name)
    row = precision_control.plain([variant.label for variant in by_name.values()], off_name)
    by_label = {variant.label: name for name, variant in by_name.items()}
    off = [name for name, variant in by_name.items() if variant.step is None]
    return [*off, *(by_label[label] for label in row if by_label[label] not in off)]


def _others(axis: Axis, by_name: Mapping[str, Variant], shown: Sequence[str]) -> list[str]:
    """The values that are not in the row, in a list of their own."""
    return st.multiselect(
        f"Other {axis.label.lower()}",
        [name for name in by_name if name not in shown],
        format_func=lambda name: by_name[name].label if name in by_name else name,
        key=state.axis_others(axis.name).key,
        placeholder="None",
        persist_state="session",
    )
