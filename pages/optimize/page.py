"""Optimize, the first screen: a recipe, and what it does to the model that is open."""

from __future__ import annotations

import streamlit as st

from core.records import Run
from core.search import lookup
from core.workspace.forecasts import before_pruning
from pages.optimize import drafts, first_sight, goal, results, samples, staircase, why
from pages.optimize.state import state
from pages.optimize.view import Board
from pages.shared import (
    data_picker,
    downloads,
    formatting,
    measure_form,
    model_picker,
    opening,
    progress,
    recipe_book,
    recipe_form,
    result_card,
    sensitivity,
    session,
    size_form,
    skip_links,
)
from pages.shared.data_picker import Data
from pages.shared.state import visit

POLL_S = 0.8


@session.spoken()
def show() -> None:
    """Sidebar: model, data and recipe. Main part: the answer, the charts, every row."""
    workspace, owner = session.workspace(), session.owner()
    left = drafts.begin(workspace, owner)
    run = session.current_run()
    if first_sight.is_due(run):
        first_sight.show(workspace, owner)
        return
    opening.fill_forms(run, left)
    with st.sidebar:
        model = model_picker.show(workspace, owner, run)
        if model is None:
            return
        if run is not None and run.spec.model != model.digest:
            visit.run.leave()
            run = None
        data = data_picker.show(workspace, owner, model, run)
        if run is None and model_picker.has_arrived(model):
            measure_form.look_at(workspace, model, owner)
            state.arrived.set(model.digest)
            run = session.current_run()
    goal.opened(run)
    board = Board.lay_out(workspace, model, run)
    if run is not None:
        board.answer(recipe_form.current(), run)
    with st.sidebar:
        images = data_picker.calibration_images(workspace, owner, data)
        recipe_panel(board, images if run is None else None)
    busy = run is not None and progress.is_live(run) and run.owner == owner
    ask(board, data, busy, owner)
    if notice := visit.notice.take():
        board.notice.error(formatting.plain(notice))
    if run is None:
        board.introduce(images)
    else:
        st.fragment(numbers, run_every=POLL_S if progress.is_live(run) else None)(board, run)
    with st.expander("What pruning each layer would cost"):
        sensitivity.of_pruning(workspace, model.digest, before_pruning(model), data)
    samples.show(workspace, model)
    if state.arrived.is_set():
        skip_links.lead(state.arrived.get())
    model_picker.settle()


def ask(board: Board, data: Data, busy: bool, owner: str) -> None:
    """The goal, and the button that measures the recipe alone."""
    with board.goal:
        searches = goal.show(board.workspace, board.model, data, busy)
    if not (measure_form.button(board.measure, busy=busy) or searches):
        return
    if data.misfit:
        visit.notice.set(data.misfit)
    else:
        wanted = goal.question if searches else measure_form.spec
        recipe = recipe_form.current()
        run = measure_form.submit(board.workspace, wanted(board.model, recipe, data), owner)
        if searches and run:
            goal.follow(run, recipe)
    st.rerun()


@st.fragment
@session.spoken()
def recipe_panel(board: Board, images: int | None) -> None:
    """The switches; wherever they are moved to is answered at once with what is exact."""
    st.header("Recipe")
    recipe_book.show(board.workspace, session.owner())
    behind = staircase.Behind(board.workspace, board.model)
    recipe = recipe_form.show(board.model, behind, images)
    st.header("Measure on")
    size_form.show(board.workspace, board.model, data_picker.chosen())
    measure_form.show(board.workspace.runs.backends())
    board.paint_draft(recipe)
    drafts.keep(board.workspace, session.owner())
    behind.fill()
    board.warm(recipe)


@session.spoken()
def numbers(board: Board, first: Run) -> None:
    """Numbers as they come in; when the run ends or goes on, the whole page is made anew."""
    run = board.workspace.runs.get(first.id)
    if progress.is_live(first) != progress.is_live(run) or opening.was_loaded():
        st.rerun()
    with board.progress:
        progress.show(run)
        opening.choose_recipe(run)
    recipe = recipe_form.current()
    board.paint_run(recipe, run)
    goal.tried(run)
    if not progress.is_live(run):
        downloads.show(run, board.workspace)
    outcome = board.outcome(run, recipe)
    if not progress.is_live(run):
        why.show(run, outcome, board.workspace)
    results.show(run, outcome)
    # A click in its chart changes the recipe, and what was clicked must not vanish for it.
    sensitivity.show(outcome or lookup.alike(run, recipe))
    if not progress.is_live(run):
        result_card.show(run)


show()
