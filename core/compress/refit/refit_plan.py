"""Refit plan: which layers, to what each is fitted, and which go in pairs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.analysis.shapes import facts
from core.calibration.services import Graph
from core.compress.graph_executor.spill_cache import Array
from core.compress.refit.linear_layers import Layer, find
from core.compress.refit.pairwise_layers import Pair, pair
from core.compress.refit.pairwise_refit import WIDEST
from core.compress.refit.residual_targets import ResidualTarget, plain, residual_target


@dataclass(frozen=True, eq=False)
class ChannelMapping:
    """Which tensor of the original a layer's output stands for.

    Attributes:
        original: its name.
        keep: which of its channels, in order; None for all.
    """

    original: str
    keep: Array | None = None


@dataclass(frozen=True, eq=False)
class RefitTask:
    """A layer with its aim, and the original's tensor that the aim's tensor stands for."""

    layer: Layer
    target: ResidualTarget
    source: str
    keep: Array | None


def refit_tasks(
    graph: Graph, mappings: Mapping[str, ChannelMapping], original: Graph
) -> list[RefitTask]:
    """The layers from the first that differs from the original on."""
    order = {v.name or "": i for i, node in enumerate(graph.graph) for v in node.outputs}
    old = {v.name for node in original.graph for v in node.outputs}
    twins = {layer.output: layer for layer in find(original)}
    known, changed, tasks = facts(graph), False, []
    for layer in find(graph):
        twin, mapping = twins.get(layer.output), mappings.get(layer.output)
        changed = changed or twin is None or not np.array_equal(twin.matrix(), layer.matrix())
        if mapping is None or not changed or mapping.original not in old:
            continue
        goal = residual_target(layer, order, known)
        if goal.tensor != layer.output and goal.tensor not in old:
            goal = plain(layer)
        source = mapping.original if goal.tensor == layer.output else goal.tensor
        tasks.append(RefitTask(layer, goal, source, mapping.keep))
    return tasks


def pairs_of(
    graph: Graph,
    tasks: Sequence[RefitTask],
    mappings: Mapping[str, ChannelMapping],
    original: Graph,
    constrained: Collection[str],
) -> dict[str, Pair]:
    """Layers that have lost channels with the one layer that reads them, by the reader's output."""
    wide = {layer.output: len(layer.bias()) for layer in find(original)}
    layers, known = find(graph), facts(graph)
    fitted = {c.layer.output for c in tasks} - set(constrained)
    readers, found = {layer.node: layer for layer in layers}, {}
    for maker in layers:
        mapping = mappings.get(maker.output)
        if mapping is None or len(maker.bias()) >= wide.get(mapping.original, 0):
            continue
        both = pair(maker, readers, known)
        if both is None or maker.matrix().shape[2] > WIDEST:
            continue
        if maker.output in fitted and both.reader.output in fitted:
            found[both.reader.output] = both
    return found
