"""Previews at once: what was asked for or will be asked for next is computed ahead and kept."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable

from core.errors import CoreError, WorkerError
from core.records import Preview, Recipe, to_json

KEPT = 2048
Key = tuple[str, str]
Compute = Callable[[str, Recipe], Preview]


class Previews:
    """A cache of previews with one thread that fills it ahead. Thread-safe."""

    def __init__(self, compute: Compute) -> None:
        """`compute` may be slow, and may raise a CoreError.

        That is kept as the answer, but for the death of a child.
        """
        self._compute = compute
        self._known: OrderedDict[Key, Preview | CoreError] = OrderedDict()
        self._wanted: OrderedDict[Key, Recipe] = OrderedDict()
        self._guard = threading.Condition()
        self._thread: threading.Thread | None = None

    def get(self, model: str, recipe: Recipe) -> Preview:
        """The preview of a recipe.

        Raises:
            CoreError: whatever computing it raised.
        """
        key = _key(model, recipe)
        with self._guard:
            found = self._known.get(key)
            self._wanted.pop(key, None)
        if found is None:
            found = self._computed(key, recipe)
        if isinstance(found, CoreError):
            raise found
        return found

    def warm(self, model: str, recipes: Iterable[Recipe]) -> None:
        """Compute these in the background; what was asked for earlier and not begun is dropped."""
        with self._guard:
            keys = {_key(model, recipe): recipe for recipe in recipes}
            self._wanted = OrderedDict(
                (key, recipe) for key, recipe in keys.items() if key not in self._known
            )
            if self._wanted and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._fill, daemon=True)
                self._thread.start()

    def _fill(self) -> None:
        while True:
            with self._guard:
                if not self._wanted:
                    self._thread = None
                    return
                key, recipe = self._wanted.popitem(last=False)
            self._computed(key, recipe)

    def _computed(self, key: Key, recipe: Recipe) -> Preview | CoreError:
        try:
            found: Preview | CoreError = self._compute(key[0], recipe)
        except CoreError as error:
            found = error
        if isinstance(found, WorkerError):
            return found  # a child that died says nothing of the next one: not remembered
        with self._guard:
            self._known[key] = found
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        return found


def _key(model: str, recipe: Recipe) -> Key:
    return model, json.dumps(to_json(recipe.steps), sort_keys=True)
