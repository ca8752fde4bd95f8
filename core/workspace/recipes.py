"""The room of recipes: those that visitors keep under names of their own."""

from __future__ import annotations

from core.records import Recipe
from core.runs import names
from core.runs.installation import Installation


class Recipes:
    """Kept recipes, each owner's for that owner alone. Thread-safe."""

    def __init__(self, installation: Installation) -> None:
        """Nothing is read yet."""
        self._at = installation

    def of(self, owner: str) -> tuple[Recipe, ...]:
        """The recipes of this owner, each under the name that was given to it, newest first."""
        return self._at.store.recipes(owner)

    def keep(self, recipe: Recipe, name: str, owner: str, replace: bool = False) -> Recipe:
        """Keep a recipe.

        Args:
            recipe: its steps.
            name: that it gets.
            owner: whose it is.
            replace: whether one of the same name goes.

        Raises:
            StoreError: no good name, one that is taken, or no room.
        """
        kept = Recipe(names.given(name), recipe.steps)
        self._at.store.keep_recipe(owner, kept, replace)
        return kept

    def rename(self, before: str, after: str, owner: str) -> str:
        """Give a kept recipe another name; the name as it is kept.

        Raises:
            StoreError: there is no such recipe, no good name, or one that is taken.
        """
        name = names.given(after)
        if name != before:
            self._at.store.rename_recipe(owner, before, name)
        return name

    def delete(self, name: str, owner: str) -> None:
        """Forget a kept recipe; runs that measured it stay."""
        self._at.reserve.with_room(lambda: self._at.store.delete_recipe(owner, name))
