"""Previews on demand: what was asked for or will be asked for next is computed ahead and kept."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable

from core.recipes import key as asked_for
from core.records import Preview, Recipe
from core.runs.on_demand import OnDemand, Shelf, Step, Turns, key_of

KEPT = 2048
Compute = Callable[[str, Recipe], Preview]


class Previews:
    """Previews of recipes. Thread-safe."""

    def __init__(self, compute: Compute) -> None:
        """`compute` may be slow, and may raise a CoreError.

        That is kept as the answer, but for the death of a child.
        """
        self._compute = compute
        self._turns = Turns(wanted=lambda: False, patience_s=float("inf"))
        shelf: Shelf[Preview] = Shelf(Preview, most=KEPT)
        self._previews = OnDemand(self._turns, shelf)
        self._ahead: tuple[str, ...] = ()

    def get(self, model: str, recipe: Recipe) -> Preview:
        """The preview of a recipe.

        Raises:
            CoreError: whatever computing it raised.
        """
        return self._previews.now(_key(model, recipe), self._work(model, recipe))

    def warm(self, model: str, recipes: Iterable[Recipe]) -> None:
        """Compute these in the background; what was asked for earlier and not begun is dropped."""
        for key in self._ahead:
            self._previews.stop(key)
        wanted = {_key(model, recipe): recipe for recipe in recipes}
        self._ahead = tuple(wanted)
        for key, recipe in wanted.items():
            with contextlib.suppress(Exception):  # it surfaces where this very one is asked for
                self._previews.ask(key, self._work(model, recipe))

    def close(self) -> None:
        """Begin nothing more."""
        self._turns.close()

    def _work(self, model: str, recipe: Recipe) -> Callable[[Step], Preview]:
        return functools.partial(_computed, self._compute, model, recipe)


def _computed(compute: Compute, model: str, recipe: Recipe, _: Step) -> Preview:
    return compute(model, recipe)


def _key(model: str, recipe: Recipe) -> str:
    return key_of(model, asked_for(recipe.steps))
