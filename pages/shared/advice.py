"""Advice on the architecture: each piece with its number, and a button where a pass follows it.

The button leads to Optimize, where the step joins the recipe as one that undo takes back.
"""

from __future__ import annotations

import streamlit as st

from core.recipes import key, name_of, original
from core.records import ModelSummary, Note
from core.search.advice import applied
from core.wording import advised
from pages.shared import formatting, recipe_form, session
from pages.shared.state import forms


def show(model: ModelSummary) -> None:
    """A card for each piece."""
    if not model.advice:
        st.caption("Nothing in this architecture stands out.")
    for note in model.advice:
        with st.container(border=True):
            _card(note)


def _card(note: Note) -> None:
    item = advised(note)
    number = f" · {formatting.plain(item.figure)}" if item.figure else ""
    st.markdown(f"**{formatting.plain(item.title)}**{number}  \n{formatting.plain(item.text)}")
    recipe = recipe_form.current()
    changed, alone = applied(recipe, note), applied(original(), note)
    if changed is None or alone is None:
        return
    inside = key(changed.steps) == key(recipe.steps)
    if st.button(
        "In the recipe" if inside else "Apply",
        key=f"advice.{note.code}",
        help=formatting.plain(f"Adds {name_of(alone)} to the recipe. Undo takes it back."),
    ):
        forms.added.set(changed.steps)
        st.switch_page(session.OPTIMIZE)
