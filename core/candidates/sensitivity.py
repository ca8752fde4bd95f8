"""What pruning would cost a model, group by group, before anything is pruned."""

from __future__ import annotations

import numpy as np

from core.graph import Graph
from core.passes.base import Statistics
from core.reconstruction.forecast import SLACK, agreement
from core.reconstruction.study import study
from core.records import LayerEffect, Sensitivity

IMAGES = 256  # whose outputs say how much error an answer bears
ERRORS = tuple(float(e) for e in np.geomspace(1e-4, 10.0, 16))


def sensitivity(graph: Graph, statistics: Statistics) -> Sensitivity:
    """Measure each group at each depth alone, and how much error the answers bear.

    Raises:
        CoreError: the images do not fit the model, or it does not run.
    """
    learnt = study(graph, statistics)
    free = [group for group in learnt.channels.groups if not group.frozen]
    effects = [
        LayerEffect(
            group.layers,
            f"{effect.removed / effect.channels:.0%}",
            effect.error,
            effect.agreement,
            effect.removed / effect.channels,
        )
        for group, found in learnt.effects(learnt.rankings(free)).items()
        for effect in found.values()
    ]
    return Sensitivity(tuple(effects), _tolerance(graph, statistics), SLACK)


def _tolerance(graph: Graph, statistics: Statistics) -> tuple[tuple[float, float], ...]:
    """How many answers stay under so much error; nothing where the outputs are no classes."""
    names = [value.name or "" for value in graph.graph.outputs]
    if len(names) != 1:
        return ()
    rows: list[np.ndarray] = []
    for values in statistics.activations(graph, names):
        rows.append(values[names[0]].reshape(len(values[names[0]]), -1))
        if sum(map(len, rows)) >= IMAGES:
            break
    outputs = np.concatenate(rows).astype(np.float64)
    if outputs.shape[1] < 2:
        return ()
    return tuple((error, agreement(outputs, error)) for error in ERRORS)
