"""The recipe book: undo and redo, recipes kept under names, recipes as files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from core import recipes
from core.errors import CoreError
from core.records import Recipe
from core.workspace import Workspace
from core.workspace.passes import build
from pages.shared import downloads, formatting, recipe_form, recipe_history
from pages.shared.state import book

WIDTH = 320  # pixels: a long error must not widen the sheet
QUIET: Mapping[str, Any] = {"type": "tertiary"}


def show(workspace: Workspace, owner: str) -> None:
    """One row above the switches; draw it before them, since it says how they stood."""
    recipe_history.note(recipe_form.current())
    with st.container(horizontal=True, key="recipe_book", gap="small"):
        _step("Undo", "undo", recipe_history.back(), _undo)
        _step("Redo", "redo", recipe_history.ahead(), _redo)
        sheet = st.popover(
            "Recipes",
            icon=":material/bookmarks:",
            key=book.sheet.key,
            on_change="rerun",
            help="Keep this recipe under a name, take one up again, or open one from a file.",
            **QUIET,
        )
    if sheet.open:
        with sheet, st.container(width=WIDTH):
            _shelf(workspace, owner)


def take(recipe: Recipe) -> None:
    """Set the switches to a recipe, as one step that can be undone."""
    recipe_history.note(recipe_form.current())
    recipe_form.load(recipe)
    recipe_history.note(recipe_form.current())


def _step(label: str, icon: str, goal: Recipe | None, act: Callable[[], None]) -> None:
    words = f"{label}: {recipes.name_of(goal)}" if goal else f"Nothing to {label.lower()}."
    st.button(
        label,
        key=f"recipe.{icon}",
        icon=f":material/{icon}:",
        disabled=goal is None,
        help=formatting.plain(words),
        on_click=act,
        **QUIET,
    )


def _undo() -> None:
    _go(recipe_history.undo())


def _redo() -> None:
    _go(recipe_history.redo())


def _go(recipe: Recipe | None) -> None:
    if recipe is not None:
        recipe_form.load(recipe)
        recipe_history.settle(recipe_form.current())


def _shelf(workspace: Workspace, owner: str) -> None:
    """Keep, take up, rename, delete; to a file and from one."""
    if done := book.done.take():
        st.success(formatting.plain(done))
    if refused := book.refused.take():
        st.error(formatting.plain(refused))
    recipe = recipe_form.current()
    _keeping(workspace, owner, recipe)
    kept = {one.name: one for one in workspace.recipes.of(owner)}
    if kept:
        _kept(workspace, owner, kept)
    if lost := book.deleted.get():
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(f"“{formatting.plain(lost.name)}” is deleted.")
            st.button("Bring it back", on_click=_bring_back, args=(workspace, owner), **QUIET)
    _files(recipe)


def _keeping(workspace: Workspace, owner: str, recipe: Recipe) -> None:
    if not recipe.steps:
        st.caption("Switch a pass on, and the recipe can be kept under a name.")
        return
    with st.form("recipe.keep", border=False):
        st.text_input(
            "Keep this recipe as",
            key=book.name.key,
            placeholder=recipe.name,
            help="Only you see the recipes that you keep.",
        )
        asked = (workspace, owner, recipe)
        st.form_submit_button("Keep", width="stretch", on_click=_keep, args=asked)
    if taken := book.taken.get():
        st.warning(f"There is a recipe “{formatting.plain(taken)}” already.")
        st.button("Replace it", width="stretch", on_click=_replace, args=asked)


def _keep(workspace: Workspace, owner: str, recipe: Recipe) -> None:
    name = book.name.get().strip() or recipe.name
    book.taken.clear()
    if any(one.name == name for one in workspace.recipes.of(owner)):
        book.taken.set(name)
        return
    _put(workspace, owner, recipe, name, replace=False)


def _replace(workspace: Workspace, owner: str, recipe: Recipe) -> None:
    _put(workspace, owner, recipe, book.taken.take(), replace=True)


def _put(workspace: Workspace, owner: str, recipe: Recipe, name: str, replace: bool) -> None:
    try:
        kept = workspace.recipes.keep(recipe, name, owner, replace)
    except CoreError as error:
        book.refused.set(error.reason)
    else:
        book.name.set("")
        book.chosen.set(kept.name)
        book.done.set(f"“{kept.name}” is kept.")


def _kept(workspace: Workspace, owner: str, kept: Mapping[str, Recipe]) -> None:
    """The list, and what can be done with the one that is chosen."""
    if book.chosen.get() not in kept:
        book.chosen.set(next(iter(kept)))
    st.selectbox(f"Kept recipes ({len(kept)})", list(kept), key=book.chosen.key)
    chosen = kept[str(book.chosen.get())]
    st.caption(formatting.plain(recipes.title(chosen.steps)))
    asked = (workspace, owner, chosen)
    with st.container(horizontal=True):
        st.button("Apply", type="primary", key="recipe.apply", on_click=_apply, args=(chosen,))
        st.button("Rename …", key="recipe.rename", on_click=_ask_name, args=(chosen,))
        st.button("Delete", key="recipe.delete", on_click=_delete, args=asked)
    if book.renames.get():
        with st.form("recipe.naming", border=False):
            st.text_input("New name", key=book.new_name.key)
            st.form_submit_button("Rename", width="stretch", on_click=_rename, args=asked)


def _apply(recipe: Recipe) -> None:
    try:
        for step in recipe.steps:
            build(step)
    except CoreError as error:
        book.refused.set(f"“{recipe.name}” is of another version. {error.reason}")
        return
    take(recipe)
    book.done.set(f"The switches stand at “{recipe.name}”.{_left_out(recipe)}")


def _ask_name(recipe: Recipe) -> None:
    book.renames.set(not book.renames.get())
    book.new_name.set(recipe.name)


def _rename(workspace: Workspace, owner: str, recipe: Recipe) -> None:
    try:
        name = workspace.recipes.rename(recipe.name, book.new_name.get(), owner)
    except CoreError as error:
        book.refused.set(error.reason)
    else:
        book.renames.clear()
        book.chosen.set(name)


def _delete(workspace: Workspace, owner: str, recipe: Recipe) -> None:
    workspace.recipes.delete(recipe.name, owner)
    book.deleted.set(recipe)
    book.renames.clear()


def _bring_back(workspace: Workspace, owner: str) -> None:
    lost = book.deleted.take()
    if lost is not None:
        _put(workspace, owner, lost, lost.name, replace=False)


def _files(recipe: Recipe) -> None:
    """The recipe that stands there as a file, and one from a file."""
    st.download_button(
        "Export as JSON",
        recipes.written(recipe).encode(),
        file_name=f"{downloads.slug(recipe.name)}.json",
        mime="application/json",
        on_click="ignore",
        key="recipe.export",
        width="stretch",
        help="The command line takes the same file: optimize MODEL --recipe FILE -o OUT.onnx",
    )
    st.file_uploader(
        "Import a recipe (.json)", key=book.file.key, max_upload_size=1, on_change=_import
    )


def _import() -> None:
    file = book.file.get()
    if file is None:
        return
    try:
        recipe = recipes.read(file.getvalue(), file.name)
    except CoreError as error:
        book.refused.set(error.reason)
        return
    take(recipe)
    book.done.set(f"The switches stand at the recipe of {file.name}.{_left_out(recipe)}")


def _left_out(recipe: Recipe) -> str:
    """What the switches cannot show: a pass that runs twice, or in another order."""
    if recipes.same(recipe_form.current(), recipe):
        return ""
    asked = ", ".join(step.pass_name for step in recipe.steps)
    return (
        f" They run each pass once, in their own order, where the recipe asks for {asked}. The "
        "command line runs it as it is."
    )
