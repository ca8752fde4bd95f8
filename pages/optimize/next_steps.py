"""What to do next, beside the tiles: changes of the measured recipe, each a button.

A change sets the switches, as one step that undo takes back; it measures nothing. Buttons are made
by a run of the whole script, and tiles are repainted by parts of it: where the tiles are those of
a draft, the style sheet shows the words for a draft in place of the buttons.
"""

from __future__ import annotations

import streamlit as st

from core.charts import steps, text
from core.records import ModelSummary, NextStep, Outcome, Run
from core.wording import sentence, suggested
from core.workspace import Workspace
from pages.optimize.state import state
from pages.shared import formatting, progress, recipe_book

LETTERS = 44  # of a button
TITLE = '<h2 class="lathe-next-title">What to do next</h2>'


def show(run: Run, outcome: Outcome | None, backend: str, workspace: Workspace) -> None:
    """The buttons for a recipe of a run; while that goes on, that they are still to come."""
    st.html(TITLE)
    state.next_for.settle(about(run, outcome, backend))
    if progress.is_live(run):
        _say("It is said here once everything is measured.")
        return
    found = workspace.insights.next_steps(run, outcome, backend) if outcome else None
    if found is None:
        _say("Change the recipe, and measure again.")
        return
    words = sentence(found.standing)
    if not found.steps:
        words = f"{words.rpartition('.')[0] or words}. Nothing simple is left to try."
    _say(steps.said(words))
    for at, step in enumerate(found.steps):
        _button(at, step)


def about(run: Run, outcome: Outcome | None, backend: str) -> str:
    """What the buttons are about: others are needed where this differs."""
    made = outcome.candidate.digest if outcome is not None and outcome.candidate else ""
    return f"{run.id} {run.progress.state.value} {made} {backend}"


def _button(at: int, step: NextStep) -> None:
    said = suggested(step)
    st.button(
        formatting.plain(text.shorten(steps.said(said.change), LETTERS)),
        key=f"next.{at}",
        width="stretch",
        disabled=bool(step.lacks),
        on_click=recipe_book.take,
        args=(step.recipe,),
        help=formatting.plain(f"Sets the switches to: {step.recipe.name}. Undo takes it back."),
    )
    _say(steps.said(said.why), "lathe-forecast" if step.forecast else "lathe-note")


def _say(words: str, kind: str = "lathe-note") -> None:
    st.html(f'<p class="{kind}">{formatting.escape(words)}</p>')


def draft(has_run: bool) -> str:
    """What to do about a recipe that was not measured."""
    back = " Undo, beside the switches, goes back." if has_run else ""
    return f'{TITLE}<p class="lathe-note">Press Measure to see what this recipe does.{back}</p>'


def introduction(model: ModelSummary, images: int | None) -> str:
    """Before anything is measured: what is done, and what comes next, as a list.

    Args:
        model: that is open.
        images: that passes can use; None where that is not known.
    """
    have = images is None or images > 0
    picture = (
        "Images are there: accuracy is measured, and passes repair what they break."
        if have
        else "Add images: without them only speed and size are measured. A few hundred do; "
        "labelled ones score accuracy."
    )
    listed = (
        (True, f"The model is open: {len(model.layers):,} layers that compute."),
        (have, picture),
        (False, "Set a goal, or switch passes on, and measure."),
        (False, "Download the model that was measured."),
    )
    return (
        f'<section class="lathe-next" aria-label="What to do next">{TITLE}<ol>'
        + "".join(
            f'<li class="{"done" if done else ""}">{formatting.escape(words)}</li>'
            for done, words in listed
        )
        + "</ol></section>"
    )
