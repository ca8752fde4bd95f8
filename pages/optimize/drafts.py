"""The forms of Optimize as this visitor left them: across a reload, in a new tab, after a restart.

A link to a run goes first: it opens at what that run was asked.
"""

from __future__ import annotations

import contextlib
from typing import Any

from core.errors import CoreError
from core.recipes import understood
from core.records import Json, Recipe, from_json, to_json
from core.workspace import Workspace
from pages.optimize import goal
from pages.optimize.state import state
from pages.shared import measure_form, recipe_form, recipe_history
from pages.shared.field import Field
from pages.shared.state import forms, visit

FIELDS: tuple[Field[Any], ...] = (
    forms.model,
    forms.data_model,
    forms.calibration,
    forms.evaluation,
    forms.backends,
    forms.threads,
    forms.images,
    forms.budget,
    state.objective,
    state.max_drop,
    state.goal_backend,
    state.minutes,
    state.goal_at,
    state.backend,
)
RECIPE, RUN, STEPS = "recipe", "run", "steps"


def begin(workspace: Workspace, owner: str) -> Recipe | None:
    """Set the forms, once a session, to what was left; the recipe that then stands there, if any.

    An address that names another run than the one that was left is not this visitor's draft.
    """
    if state.draft.is_set():
        return None
    left = state.draft.begin(workspace.runs.draft(owner))
    asked = visit.run.given()
    if not left or (asked and asked != left.get(RUN)):
        return None
    for field in FIELDS:
        if field.key in left and not field.is_set():
            with contextlib.suppress(TypeError, ValueError):
                field.set(_checked(field, left[field.key]))
    recipe_history.restore(left.get(STEPS))
    run = left.get(RUN)
    if isinstance(run, str) and run and not visit.run.is_set():
        with contextlib.suppress(CoreError):  # it was deleted: the forms stand without it
            visit.run.set(workspace.runs.get(run).id)
    return _recipe(left.get(RECIPE))


def keep(workspace: Workspace, owner: str) -> None:
    """Keep where the forms stand, if they were moved."""
    standing = {field.key: field.get() for field in FIELDS if field.is_set()}
    draft: Json = {name: value for name, value in standing.items() if value is not None}
    draft[RECIPE] = to_json(recipe_form.current())
    draft[RUN] = visit.run.get()
    draft[STEPS] = recipe_history.kept()
    if draft != state.draft.get():
        state.draft.set(draft)
        workspace.runs.keep_draft(owner, draft)


def _checked(field: Field[Any], value: object) -> object:
    """A value of the kind that its widget takes.

    Raises:
        ValueError: of another kind.
    """
    if field in (forms.backends, forms.threads):
        kind = str if field == forms.backends else int
        if not isinstance(value, list) or not all(isinstance(one, kind) for one in value):
            raise ValueError(field.key)
        known = measure_form.THREAD_WORDS
        return [one for one in value if kind is str or one in known]
    if field == forms.budget:
        if value not in measure_form.BUDGETS_S:
            raise ValueError(field.key)
    elif field == forms.images:
        if not isinstance(value, int) or value < 0:
            raise ValueError(field.key)
    elif field in (*goal.BOUNDS, state.goal_at):
        return _of_goal(field, value)
    elif not isinstance(value, str) or (field == state.objective and value not in goal.OBJECTIVES):
        raise ValueError(field.key)
    return value


def _of_goal(field: Field[Any], value: object) -> object:
    """A number of the goal bar within its bounds, or the note of which search is followed.

    Raises:
        ValueError: of another kind.
    """
    if field == state.goal_at:
        if not isinstance(value, list) or len(value) != 2:
            raise ValueError(field.key)
        return tuple(map(str, value))
    least, most = goal.BOUNDS[field]
    if not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError(field.key)
    return float(value)


def _recipe(found: object) -> Recipe | None:
    """The recipe, without the passes and parameters that this version does not take."""
    try:
        return understood(from_json(Recipe, found))
    except (TypeError, ValueError, KeyError, AttributeError):
        return None
