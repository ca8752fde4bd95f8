"""Advice applied: the recipe with the step that a piece of advice on the architecture asks for.

Which advice a pass follows is stated by the pass (`answers`); most advice is about training, and no
pass follows it.
"""

from __future__ import annotations

from core.passes.base import catalogue
from core.recipes import in_order, recipe_of
from core.records import Note, Recipe, Step


def applied(recipe: Recipe, note: Note) -> Recipe | None:
    """The recipe with what the advice asks for; None where no pass that is here follows it.

    A step of the same pass, or of one that it excludes, goes.
    """
    for name, kind in catalogue().items():
        if note.code not in kind.answers or kind.lacks():
            continue
        step = Step(name, {**kind().step().params, **kind.answers[note.code]})
        rest = [
            one
            for one in recipe.steps
            if one.pass_name != name
            and not (kind.family and catalogue()[one.pass_name].family == kind.family)
        ]
        return recipe_of(in_order((*rest, step)))
    return None
