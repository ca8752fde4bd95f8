"""Undo and redo: every move is one step, bounded, and kept for the next visit."""

from __future__ import annotations

import json

import pytest
import streamlit as st

from core.records import Recipe, Step, to_json
from pages.shared import recipe_form, recipe_history
from pages.shared.recipe_history import MOST, MOST_KEPT_BYTES


@pytest.fixture(autouse=True)
def session(monkeypatch):
    kept = {}
    monkeypatch.setattr(st, "session_state", kept)
    return kept


def cut(ratio: float) -> Recipe:
    return Recipe(f"cut {ratio}", (Step("prune_channels", {"ratio": ratio}),))


def stand(recipe: Recipe) -> Recipe:
    """The switches are moved, and looked at."""
    recipe_form.load(recipe)
    recipe_history.note(recipe_form.current())
    return recipe_form.current()


def go(recipe: Recipe | None) -> Recipe:
    """What a click on undo or redo does."""
    assert recipe is not None
    recipe_form.load(recipe)
    recipe_history.settle(recipe_form.current())
    return recipe_form.current()


def test_one_goes_back_and_ahead_through_what_the_switches_stood_at():
    stood = [stand(cut(ratio)) for ratio in (0.1, 0.2, 0.3)]
    assert go(recipe_history.undo()) == stood[1]
    assert go(recipe_history.undo()) == stood[0]
    assert recipe_history.undo() is None
    assert go(recipe_history.redo()) == stood[1]
    assert go(recipe_history.redo()) == stood[2]
    assert recipe_history.redo() is None


def test_a_new_move_ends_what_lay_ahead():
    for ratio in (0.1, 0.2, 0.3):
        stand(cut(ratio))
    go(recipe_history.undo())
    stand(cut(0.5))
    assert recipe_history.redo() is None
    assert go(recipe_history.undo()).steps[0].params["ratio"] == 0.2


def test_what_did_not_move_is_no_step_nor_is_what_the_form_moved_itself():
    stand(cut(0.1))
    stand(cut(0.1))
    assert recipe_history.back() is None
    recipe_form.load(cut(0.4))
    recipe_history.settle(recipe_form.current())
    recipe_history.note(recipe_form.current())
    assert recipe_history.back() is None


def test_steps_are_bounded():
    for at in range(MOST + 20):
        stand(cut(round(0.001 + at / 1000, 3)))
    back = 0
    while recipe := recipe_history.undo():
        go(recipe)
        back += 1
    assert back == MOST


def test_the_nearest_steps_are_kept_for_the_next_visit(session):
    for at in range(MOST):
        names = [f"layer{at}_{n}" for n in range(20)]
        stand(Recipe("r", (Step("prune_channels", {"ratio": 0.3, "exclude": names}),)))
    go(recipe_history.undo())
    standing, before = recipe_form.current(), recipe_history.back()
    kept = json.loads(json.dumps(recipe_history.kept()))
    assert len(json.dumps(kept["past"])) <= 1.1 * MOST_KEPT_BYTES
    session.clear()
    recipe_history.restore(kept)
    recipe_form.load(standing)
    recipe_history.note(recipe_form.current())
    assert to_json(recipe_history.back()) == to_json(before)
    assert 5 < len(kept["past"]) < MOST
    assert go(recipe_history.redo()).steps[0].params["exclude"][0] == f"layer{MOST - 1}_0"


@pytest.mark.parametrize(
    "found", [None, [], 3, {"past": 1}, {"past": [1]}, {"past": [{"name": "r", "steps": 2}]}]
)
def test_what_cannot_be_read_is_no_history(found):
    recipe_history.restore(found)
    assert recipe_history.back() is None


def test_steps_of_another_version_are_left_out():
    old = {"name": "r", "steps": [{"pass_name": "gone"}, {"pass_name": "fold_batch_norm"}]}
    recipe_history.restore({"past": [old]})
    assert recipe_history.back() == Recipe("r", (Step("fold_batch_norm"),))
