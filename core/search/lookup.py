"""Recipe lookup: what became, in a run, of a recipe that asks for the same.

What asks for the same is `core.recipes`' rule: names and parameters left to defaults do not count.
"""

from __future__ import annotations

from core.recipes import same
from core.records import Outcome, Recipe, Run
from core.search.choose import best


def asks(run: Run, model: str, recipe: Recipe) -> bool:
    """Whether a run measures this recipe on the model of this digest."""
    return run.spec.model == model and any(same(asked, recipe) for asked in run.spec.recipes)


def find(run: Run, model: str, recipe: Recipe) -> Outcome | None:
    """What became of the recipe on the model of this digest, as far as it is known."""
    if run.spec.model != model:
        return None
    return next((outcome for outcome in run.outcomes if same(outcome.recipe, recipe)), None)


def alike(run: Run, recipe: Recipe) -> Outcome | None:
    """The newest outcome of a recipe with the same passes, whatever their parameters."""
    passes = [step.pass_name for step in recipe.steps]
    return next(
        (
            outcome
            for outcome in reversed(run.outcomes)
            if [step.pass_name for step in outcome.recipe.steps] == passes
        ),
        None,
    )


def opening(run: Run) -> Recipe:
    """The recipe that a run opens with: its best, or its last where none is finished."""
    found = best(run)
    return found.recipe if found is not None else run.spec.recipes[-1]
