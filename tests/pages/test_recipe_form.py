"""The form asks only what the passes themselves declare."""

import pytest
import streamlit as st

from core.passes.base import build, catalogue, parameters
from core.records import Recipe, Step
from pages.widgets import recipe_form

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


@pytest.mark.parametrize("name", PASSES)
def test_every_neighbour_is_a_recipe_that_the_pass_takes(name):
    recipe = Recipe("r", (defaults(name),))
    for neighbour in recipe_form.neighbours(recipe):
        build(neighbour.steps[0])


@pytest.mark.parametrize("name", PASSES)
def test_neighbours_cover_every_stop_of_every_visible_slider(name):
    recipe = Recipe("r", (defaults(name),))
    found = list(recipe_form.neighbours(recipe))
    visible = [
        about
        for default, about in parameters(catalogue()[name]).values()
        if recipe_form.is_slider(default, about) and not about.expert
    ]
    if not visible:
        assert not found
    for about in visible:
        assert any(about.low in n.steps[0].params.values() for n in found) or not about.step


def test_steps_run_in_the_order_of_the_form():
    recipe_form.load(Recipe("r", tuple(Step(name) for name in reversed(PASSES))))
    assert [step.pass_name for step in recipe_form.current().steps] == PASSES


@pytest.mark.parametrize(
    ("name", "params", "title"),
    [
        ("quantize_int8", {"goal": "safe"}, "int8 safe"),
        ("quantize_int8", {"goal": "within_points", "points": 2.0}, "int8 within 2 points"),
        ("quantize_int8", {"goal": "within_ms", "milliseconds": 3.5}, "int8 within 3.5 ms"),
        ("quantize_weights", {"bits": "4"}, "int4 weights"),
        ("quantize_weights", {"bits": "4", "size": 0.3}, "int4 weights 30 %"),
        ("prune_channels", {"ratio": 0.35}, "Prune channels 35 %"),
        ("prune_channels", {"budget": "macs", "target": 0.6}, "Prune channels macs to 60 %"),
        ("replace_convolutions", {"speedup": 2.0}, "Replace convolutions 2×"),
    ],
)
def test_a_step_is_called_by_what_counts(name, params, title):
    assert recipe_form.step_title(Step(name, params)) == title


def test_the_title_carries_the_number_that_was_moved():
    with_ratio = [n for n in PASSES if "ratio" in parameters(catalogue()[n])]
    if not with_ratio:
        pytest.skip("no pass here has a ratio")
    step = Step(with_ratio[0], dict(defaults(with_ratio[0]).params) | {"ratio": 0.35})
    assert recipe_form.title((step,)).endswith("35 %")
