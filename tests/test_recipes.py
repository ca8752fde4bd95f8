"""Recipes: when two ask for the same, and what each is called."""

from __future__ import annotations

import pytest

from core import recipes
from core.errors import PassPrecondition
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
        ("prune_channels", {"budget": "macs", "target": 0.6}, "Prune channels MACs to 60 %"),
        ("replace_convolutions", {"speedup": 2.0}, "Replace convolutions 2×"),
    ],
)
def test_a_step_is_called_by_what_counts(name, params, title):
    assert recipes.step_title(Step(name, params)) == title


def test_the_title_carries_the_number_that_was_moved():
    kind = catalogue()["prune_channels"]
    step = Step("prune_channels", {**kind().step().params, "ratio": 0.35})
    assert recipes.title((step,)).endswith("35 %")


def test_a_file_is_the_recipe_that_was_written():
    recipe = Recipe("Kürzen", (FOLD, CUT))
    assert recipes.read(recipes.written(recipe).encode(), "r.json") == recipe
    assert recipes.read(b"\xef\xbb\xbf" + recipes.written(recipe).encode(), "r.json") == recipe


def step(name: str, **params: object) -> bytes:
    return recipes.written(Recipe("r", (Step(name, params),))).encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a readable recipe: no JSON"),
        (b"\xff\xfe\x00", "not a readable recipe: no JSON"),
        (b"[" * 50_000, "not a readable recipe: no JSON"),
        (b"9" * 5_000, "not a readable recipe: no JSON"),
        (b"[1]", "not a readable recipe, which is"),
        (b'"text"', "not a readable recipe, which is"),
        (b'{"name": 3, "steps": []}', "not a readable recipe, which is"),
        (b'{"name": "r", "steps": {"fold_batch_norm": {}}}', "not a readable recipe, which is"),
        (b'{"name": "r", "steps": [{"pass_name": "x", "params": 1}]}', "which is"),
        (b" " * (recipes.MOST_BYTES + 1), "too large for a recipe: 66 kB, and at most 66 kB"),
        (step("melt"), "no pass named 'melt'; known: simplify"),
        (step("m" * 60_000), "no pass named 'mmm"),
        (step("prune_channels", depth=1), "prune_channels has no parameter 'depth'; it takes"),
        (step("prune_channels", **{"d" * 60_000: 1}), "prune_channels has no parameter 'ddd"),
        (step("prune_channels", ratio="0.3"), "prune_channels.ratio is '0.3'; it takes a number"),
        (step("prune_channels", ratio=7), "ratio is 7; it lies between"),
        (step("prune_channels", ratio=float("nan")), "ratio is nan; it lies between"),
        (step("prune_channels", ratio=True), "ratio is True; it takes a number"),
        (step("prune_channels", repair="yes"), "repair is 'yes'; it takes true or false"),
        (step("prune_channels", backend={"a": 1}), "backend is {'a': 1}; it takes one of"),
        (step("prune_channels", exclude="conv1"), "exclude is 'conv1'; it takes a list of names"),
    ],
)
def test_what_is_no_recipe_is_told_in_one_line(content: bytes, words: str):
    with pytest.raises(PassPrecondition) as told:
        recipes.read(content, "forged.json")
    assert words in told.value.message
    assert len(told.value.message) < 1_000
    assert "\n" not in told.value.message


def test_a_short_recipe_is_the_same_and_leaves_defaults_out():
    whole = Recipe("whole", (catalogue()["prune_channels"](ratio=0.3).step(),))
    assert recipes.brief(whole).steps == (CUT,)
    assert recipes.same(recipes.brief(whole), whole)
    gone = Recipe("r", (Step("forgotten", {"x": 1}),))
    assert recipes.brief(gone) == gone


def test_what_no_pass_takes_is_left_out_where_that_is_better_than_nothing():
    recipe = Recipe("r", (FOLD, Step("forgotten"), Step("prune_channels", {"ratio": 7})))
    assert recipes.understood(recipe) == Recipe("r", (FOLD,))
