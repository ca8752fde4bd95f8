"""The recipes that a sweep tries unless it is told which: shares of each pass x arithmetic."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from core.passes.base import catalogue
from core.records import Recipe, Step

SHARES = (0.2, 0.4)
EXACT_FIRST = "fold_batch_norm"


def default(calibrated: bool, shares: Sequence[float] = SHARES) -> tuple[Recipe, ...]:
    """Fold, then every share of the pass that has one, each with every arithmetic.

    Args:
        calibrated: whether there are calibration images; passes that need them are left out else.
        shares: of channels to remove, between 0 and 1.
    """
    passes = catalogue()
    cuts: list[Step | None] = [None]
    cuts += [Step("prune_channels", {"ratio": share}) for share in shares]
    kinds: list[Step | None] = [None]
    kinds += [
        Step(name, dict(params))
        for name, kind in passes.items()
        if kind.family and (calibrated or not kind.needs_data)
        for params in kind.presets.values()
    ]
    order = list(passes)
    found = []
    for cut, kind in itertools.product(cuts, kinds):
        steps = [Step(EXACT_FIRST, {}), *(step for step in (cut, kind) if step)]
        steps.sort(key=lambda step: order.index(step.pass_name))
        found.append(Recipe(" + ".join(map(words, steps)), tuple(steps)))
    return tuple(found)


def words(step: Step) -> str:
    """A step as a name that fits into a table: `prune_channels ratio=0.2`."""
    return " ".join((step.pass_name, *(f"{k}={v}" for k, v in step.params.items())))
