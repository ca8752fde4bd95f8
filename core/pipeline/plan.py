"""What the steps of a recipe need, held against what is there, before any of them starts.

A step that cannot fit is known to fail at once, not after the minutes that the steps before it
take. Where an earlier step makes the model smaller, what counts is the smaller model.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from core.calibration.services import Services
from core.compress.linalg import parallel
from core.compress.refit.needs import Workload, refusal, remedy
from core.devices.local import memory
from core.errors import NotEnoughMemory, PassError
from core.passes.base import Graph, build
from core.records import Recipe, Step

log = logging.getLogger(__name__)


def workload(services: Services) -> Workload:
    """What passes are given to work on."""
    return Workload(services.count, services.batch, parallel.count())


def refusals(
    graph: Graph, recipe: Recipe, work: Workload, before: Callable[[int], Graph]
) -> tuple[NotEnoughMemory | None, ...]:
    """For each step the reason why it cannot even start, or None.

    Args:
        graph: the model before the first step.
        recipe: the steps.
        work: images, batch and workers.
        before: the graph that the step of this index would get, as far as it is known without
            data; asked only for a step that does not fit the model as it is.
    """
    there = memory.budget_bytes()
    found: list[NotEnoughMemory | None] = []
    for index, step in enumerate(recipe.steps):
        refused = _refusal(graph, step, work, there)
        if refused and index:
            refused = _refusal(before(index), step, work, there)
        found.append(refused)
    return tuple(found)


def _refusal(graph: Graph, step: Step, work: Workload, there: int) -> NotEnoughMemory | None:
    try:
        chosen = build(step)
        said = refusal(chosen, graph, work, there)
        if not said:
            return None
        chosen.requires(graph)
        return NotEnoughMemory(said, remedy(chosen, graph, work))
    except PassError:
        return None  # the step itself will say why, and it is not the memory
    except Exception:  # a statement that fails is no reason not to try
        log.exception("%s does not say what it needs", step.pass_name)
        return None
