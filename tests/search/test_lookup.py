"""A recipe is found in a run by what it asks for, not by what it is called."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.passes.base import build
from core.records import Recipe, Step
from core.search import lookup
from core.search.choose import best
from tests.charts import builders as b

RUN = b.run()
PRUNED = next(o for o in RUN.outcomes if o.candidate and o.candidate.digest == b.PRUNED)


def spelled_out(recipe: Recipe) -> Recipe:
    """The same recipe under another name, every default spelled out."""
    return Recipe("another name", tuple(build(step).step() for step in recipe.steps))


def moved(recipe: Recipe) -> Recipe:
    """The same passes, one of them asked for something else."""
    *head, last = recipe.steps
    return Recipe(recipe.name, (*head, Step(last.pass_name, {**last.params, "ratio": 0.77})))


def test_a_recipe_is_found_under_any_name_and_with_its_defaults_spelled_out():
    asked = spelled_out(PRUNED.recipe)
    assert asked != PRUNED.recipe
    assert lookup.find(RUN, b.BASE, asked) is PRUNED
    assert lookup.asks(RUN, b.BASE, asked)


@pytest.mark.parametrize("recipe", [moved(PRUNED.recipe), Recipe("x", (Step("not known"),))])
def test_another_recipe_is_not_found(recipe: Recipe):
    assert lookup.find(RUN, b.BASE, recipe) is None
    assert not lookup.asks(RUN, b.BASE, recipe)


def test_a_recipe_of_another_model_is_not_found():
    assert lookup.find(RUN, "f" * 64, PRUNED.recipe) is None
    assert not lookup.asks(RUN, "f" * 64, PRUNED.recipe)


def test_what_has_the_same_passes_is_alike():
    assert lookup.alike(RUN, moved(PRUNED.recipe)) is PRUNED
    assert lookup.alike(RUN, Recipe("x", (Step("not known"),))) is None


def test_a_run_opens_at_its_best_and_an_unfinished_one_at_its_last():
    assert lookup.opening(RUN) == best(RUN).recipe
    assert lookup.opening(replace(RUN, outcomes=())) == RUN.spec.recipes[-1]
