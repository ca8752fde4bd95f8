"""Recipes: when two ask for the same, and what each is called."""

from __future__ import annotations

import pytest

from core import recipes
from core.passes.base import catalogue
from core.records import Recipe, Step, from_json, to_json

FOLD, CUT = Step("fold_batch_norm"), Step("prune_channels", {"ratio": 0.3})


@pytest.mark.parametrize("name", catalogue())
def test_what_is_left_to_defaults_is_the_same_as_spelled_out(name):
    whole = Recipe("whole", (catalogue()[name]().step(),))
    assert recipes.same(Recipe("short", (Step(name),)), whole)
    assert recipes.same(from_json(Recipe, to_json(whole)), whole)  # lists for tuples


def test_a_name_makes_no_difference_but_a_number_and_an_order_do():
    cut = Recipe("a", (FOLD, CUT))
    assert recipes.same(cut, Recipe("b", (FOLD, CUT)))
    deeper = Step("prune_channels", {"ratio": 0.4})
    assert not recipes.same(cut, Recipe("a", (FOLD, deeper)))
    assert not recipes.same(cut, Recipe("a", (CUT, FOLD)))
    assert not recipes.same(cut, Recipe("a", (FOLD,)))


def test_a_step_that_no_pass_takes_is_the_same_as_itself_only():
    gone = Step("forgotten", {"x": 1})
    assert recipes.canonical((gone, FOLD))[0] == gone
    assert recipes.same(Recipe("", (gone,)), Recipe("", (gone,)))
    assert not recipes.same(Recipe("", (gone,)), Recipe("", (Step("forgotten"),)))
    assert recipes.title((gone,)) == "forgotten"


def test_of_recipes_that_ask_for_the_same_the_first_stays_and_no_two_names_are_alike():
    short = Recipe("x", (Step("prune_channels"),))
    whole = Recipe("y", (catalogue()["prune_channels"]().step(),))
    other, third = Recipe("x", (FOLD,)), Recipe("x (2)", (FOLD, CUT))
    found = recipes.distinct([short, whole, other, third])
    assert [recipe.name for recipe in found] == ["x", "x (2)", "x (2) (2)"]
    assert [recipe.steps for recipe in found] == [short.steps, other.steps, third.steps]


def test_the_baseline_has_one_name_whatever_it_was_stored_under():
    assert recipes.name_of(Recipe("baseline")) == recipes.original().name == "original"
    assert recipes.name_of(Recipe("mine", (FOLD,))) == "mine"
    assert recipes.name_of(Recipe("", (FOLD,))) == recipes.title((FOLD,))


def test_a_name_promises_nothing_that_is_missing():
    recipe = Recipe("fold, cut", (FOLD, CUT))
    assert recipes.without(recipe, ()) is recipe
    assert recipes.without(recipe, ("Cut", "Cut")).name == "fold, cut without Cut"
    assert recipes.without(recipe, ("Cut",)).steps == recipe.steps


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
    assert recipes.step_title(Step(name, params)) == title


def test_the_title_carries_the_number_that_was_moved():
    kind = catalogue()["prune_channels"]
    step = Step("prune_channels", {**kind().step().params, "ratio": 0.35})
    assert recipes.title((step,)).endswith("35 %")
