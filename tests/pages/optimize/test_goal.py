"""Goal bar: whose numbers a search shows, and the fields of a goal that was opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import streamlit as st

from core.records import Goal, Objective, Recipe, Run
from core.search import lookup
from pages.optimize import drafts, goal
from pages.optimize.state import state
from pages.shared import recipe_form
from tests.charts import builders as b

GOAL = Goal(Objective.FASTEST, 50.0, "openvino", 240.0)


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    kept: dict[str, object] = {}
    monkeypatch.setattr(st, "session_state", kept)
    return kept


@pytest.fixture
def stand(session, monkeypatch: pytest.MonkeyPatch) -> Callable[[Recipe], None]:
    """Stand the form at a recipe."""

    def at(recipe: Recipe) -> None:
        monkeypatch.setattr(recipe_form, "current", lambda: recipe)

    return at


def searched() -> Run:
    run = b.run()
    return replace(run, spec=replace(run.spec, goal=GOAL))


def test_a_search_that_is_opened_shows_its_best(stand):
    run = searched()
    best = lookup.opening(run)
    stand(best)
    goal.opened(run)
    assert goal.follows(run, best)
    assert not goal.follows(run, run.spec.recipes[0])


def test_another_recipe_of_a_search_shows_its_own_numbers(stand):
    run = searched()
    others = [one for one in run.spec.recipes if one != lookup.opening(run)]
    assert others
    for one in others:
        state.goal_at.clear()
        stand(one)
        goal.opened(run)
        assert not goal.follows(run, one)


def test_a_search_that_begins_is_followed_from_wherever_the_form_stands(stand):
    run = searched()
    for recipe in run.spec.recipes:
        stand(recipe)
        goal.follow(run.id, recipe)
        goal.opened(run)
        assert goal.follows(run, recipe)


def test_the_fields_take_every_goal_that_the_command_line_takes(stand):
    run = searched()
    stand(lookup.opening(run))
    goal.opened(run)
    assert goal.wanted() == GOAL
    for field, (least, most) in goal.BOUNDS.items():
        assert least <= field.get() <= most


@pytest.mark.parametrize("value", [["run", "recipe"], ["", ""]])
def test_what_a_search_shows_is_kept_over_a_reload(value):
    assert drafts._checked(state.goal_at, value) == tuple(value)


@pytest.mark.parametrize("value", ["run", ["run"], None, [1, 2, 3]])
def test_a_bad_note_of_it_is_not_taken(value):
    with pytest.raises(ValueError, match=r"goal\.at"):
        drafts._checked(state.goal_at, value)
