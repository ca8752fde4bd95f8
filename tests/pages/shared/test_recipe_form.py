"""The form asks only what the passes themselves declare."""

import pytest
import streamlit as st

from core.passes.base import build, catalogue, parameters
from core.records import Recipe, Step
from pages.shared import recipe_form

PASSES = list(catalogue())


@pytest.fixture(autouse=True)
def session(monkeypatch):
    kept = {}
    monkeypatch.setattr(st, "session_state", kept)
    return kept


def defaults(name):
    kind = catalogue()[name]
    return Step(name, {p: default for p, (default, _) in parameters(kind).items()})


@pytest.mark.parametrize("name", PASSES)
def test_a_recipe_goes_through_the_switches_unchanged(name):
    recipe_form.load(Recipe("r", (Step(name),)))
    (step,) = recipe_form.current().steps
    assert build(step) == build(defaults(name))


def test_no_switch_on_is_the_original():
    recipe_form.load(Recipe("original"))
    assert recipe_form.current() == Recipe("original")


def test_steps_run_in_the_order_of_the_form():
    recipe_form.load(Recipe("r", tuple(Step(name) for name in reversed(PASSES))))
    assert [step.pass_name for step in recipe_form.current().steps] == PASSES
