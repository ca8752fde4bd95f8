"""The measured layer times that a recipe asks for, before it is built."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from core.errors import PassPrecondition
from core.measure import Setting, staircase
from core.passes.base import build
from core.pipeline.client import Workshop
from core.records import Recipe

MULTIPLE = 8  # channel counts are timed in steps of this: kernels work in blocks of 8 or 16
Told = Callable[[int, int], None]
Built = Callable[[Recipe, Path], Path | None]


def wanted_on(recipe: Recipe) -> str:
    """The backend whose layer times the passes of a recipe ask for; empty if none does.

    Raises:
        PassPrecondition: no such pass or parameter, or two passes that ask for two backends.
    """
    asked = {backend for step in recipe.steps if (backend := build(step).timed_on())}
    if len(asked) > 1:
        raise PassPrecondition(
            f"The passes of this recipe aim at different backends: {', '.join(sorted(asked))}.",
            "Aim all of them at the one that you ship on.",
        )
    return next(iter(asked), "")


def table(
    recipe: Recipe,
    model: Path,
    workshop: Workshop,
    folder: Path,
    built: Built,
    threads: int = 1,
    told: Told = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Path | None:
    """The table that the recipe needs, with every layer timed that its passes will look up.

    A pass that follows another timed one (pruning what was decomposed) meets layers that the model
    does not have yet, so that what the steps before it make is built first.

    Args:
        recipe: the passes.
        model: an admitted model.
        workshop: writes the micro-models.
        folder: where tables are kept; what is there is not timed again.
        built: builds a recipe, given a table; None if nothing came of it.
        threads: 0 for all cores.
        told: called with how many layers are timed, of how many.
        cancelled: asked while it runs.

    Returns:
        None if the recipe needs no table.

    Raises:
        PassPrecondition: see `wanted_on`.
        BackendUnavailable: the backend is not here.
        Cancelled, WorkerError, BackendError
    """
    backend = wanted_on(recipe)
    if not backend:
        return None
    setting = Setting.of(backend, threads)
    path = staircase.cache_path(folder, setting)
    for before, precision in stages(recipe):
        reached = built(before, path) if before.steps else model
        if reached is not None:
            chains = workshop.layer_chains(reached, MULTIPLE, precision)
            staircase.measure(chains, setting, path, workshop.micro_models, told, cancelled)
    return path


def stages(recipe: Recipe) -> Iterator[tuple[Recipe, str]]:
    """What stands before each step that asks for times, and the arithmetic that it asks for.

    Before the first that is nothing, before the last all others.
    """
    timed = [at for at, step in enumerate(recipe.steps) if build(step).timed_on()]
    for position, at in enumerate(timed):
        before = recipe.steps[:at] if position else ()
        yield replace(recipe, steps=before), build(recipe.steps[at]).timed_in()
