"""Undo and redo: the recipes that the switches stood at, as far as this session moved them."""

from __future__ import annotations

import contextlib
import json

from core.recipes import brief, understood
from core.records import Json, Recipe, from_json, to_json
from pages.shared.field import Field
from pages.shared.state import book

MOST = 100  # steps back
MOST_KEPT_BYTES = 12 << 10  # of each direction in the draft, which is kept at every step
PAST, FUTURE = "past", "future"


def note(recipe: Recipe) -> None:
    """Take a step if the switches were moved since the last look; nothing lies ahead of it."""
    standing = book.standing.get()
    if standing is None:
        book.standing.set(recipe)
    elif standing.steps != recipe.steps:
        book.past.set((*book.past.get(), brief(standing))[-MOST:])
        book.future.set(())
        book.standing.set(recipe)


def settle(recipe: Recipe) -> None:
    """Where the form itself moved the switches, as it does without images: that is no step."""
    book.standing.set(recipe)


def back() -> Recipe | None:
    """The recipe before this one, which undo goes to."""
    return book.past.get()[-1] if book.past.get() else None


def ahead() -> Recipe | None:
    """The recipe that redo goes to."""
    return book.future.get()[-1] if book.future.get() else None


def undo() -> Recipe | None:
    """Go one step back; the recipe to set the switches to."""
    return _go(book.past, book.future)


def redo() -> Recipe | None:
    """Go one step ahead; the recipe to set the switches to."""
    return _go(book.future, book.past)


def _go(source: Field[tuple[Recipe, ...]], other: Field[tuple[Recipe, ...]]) -> Recipe | None:
    steps, standing = source.get(), book.standing.get()
    if not steps or standing is None:
        return None
    source.set(steps[:-1])
    other.set((*other.get(), brief(standing))[-MOST:])
    return steps[-1]


def kept() -> Json:
    """The steps in both directions as a draft keeps them: the nearest, as many as have room."""
    return {PAST: _packed(book.past.get()), FUTURE: _packed(book.future.get())}


def restore(found: object) -> None:
    """Go on with the steps of a draft; what cannot be read is left out."""
    for name, steps in ((PAST, book.past), (FUTURE, book.future)):
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
            read = from_json(tuple[Recipe, ...], found[name])  # type: ignore[index]
            steps.set(tuple(map(understood, read))[-MOST:])


def _packed(steps: tuple[Recipe, ...]) -> list[Json]:
    found: list[Json] = []
    room = MOST_KEPT_BYTES
    for recipe in reversed(steps):
        one = to_json(recipe)
        room -= len(json.dumps(one))
        if room < 0:
            break
        found.append(one)
    return found[::-1]
