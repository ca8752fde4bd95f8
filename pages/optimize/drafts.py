"""The forms of Optimize as this visitor left them: across a reload, in a new tab, after a restart.

A link to a run goes first: it opens at what that run was asked.
"""

from __future__ import annotations

import contextlib

import streamlit as st

from core.errors import CoreError
from core.records import Json, Recipe, Step, from_json, to_json
from core.workspace import Workspace
from core.workspace.passes import build, catalogue
from pages.shared import measure_form, model_picker, recipe_form

SEEN = "draft"  # what was kept last, or began with; its presence says that a session has begun
FIELDS = (
    model_picker.KEY,
    "data.model",
    "data.calibration",
    "data.evaluation",
    measure_form.BACKENDS,
    measure_form.THREADS,
    measure_form.IMAGES,
    measure_form.BUDGET,
)
RECIPE, RUN = "recipe", "run"


def begin(workspace: Workspace, owner: str) -> Recipe | None:
    """Set the forms, once a session, to what was left; the recipe that then stands there, if any.

    An address that names another run than the one that was left is not this visitor's draft.
    """
    state = st.session_state
    if SEEN in state:
        return None
    left = state[SEEN] = workspace.runs.draft(owner)
    asked = st.query_params.get("run", "")
    if not left or (asked and asked != left.get(RUN)):
        return None
    for name in FIELDS:
        if name in left and name not in state:
            with contextlib.suppress(TypeError, ValueError):
                state[name] = _checked(name, left[name])
    run = left.get(RUN)
    if isinstance(run, str) and run and RUN not in state:
        with contextlib.suppress(CoreError):  # it was deleted: the forms stand without it
            state[RUN] = workspace.runs.get(run).id
    return _recipe(left.get(RECIPE))


def keep(workspace: Workspace, owner: str) -> None:
    """Keep where the forms stand, if they were moved."""
    state = st.session_state
    draft: Json = {name: state[name] for name in FIELDS if state.get(name) is not None}
    draft[RECIPE] = to_json(recipe_form.current())
    draft[RUN] = state.get(RUN, "")
    if draft != state.get(SEEN):
        state[SEEN] = draft
        workspace.runs.keep_draft(owner, draft)


def _checked(name: str, value: object) -> object:
    """A value of the kind that its widget takes.

    Raises:
        ValueError: of another kind.
    """
    if name in (measure_form.BACKENDS, measure_form.THREADS):
        kind = str if name == measure_form.BACKENDS else int
        if not isinstance(value, list) or not all(isinstance(one, kind) for one in value):
            raise ValueError(name)
        known = measure_form.THREAD_WORDS
        return [one for one in value if kind is str or one in known]
    if name == measure_form.BUDGET:
        if value not in measure_form.BUDGETS_S:
            raise ValueError(name)
    elif name == measure_form.IMAGES:
        if not isinstance(value, int) or value < 0:
            raise ValueError(name)
    elif not isinstance(value, str):
        raise ValueError(name)
    return value


def _recipe(found: object) -> Recipe | None:
    """The recipe, without the passes and parameters that this version does not take."""
    try:
        recipe = from_json(Recipe, found)
    except (TypeError, ValueError, KeyError, AttributeError):
        return None
    steps = tuple(step for step in recipe.steps if _is_known(step))
    return Recipe(recipe.name, steps)


def _is_known(step: Step) -> bool:
    if step.pass_name not in catalogue():
        return False
    try:
        build(step)
    except CoreError:
        return False
    return True
