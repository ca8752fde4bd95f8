"""Histograms of one layer: its weights, and the values that leave it over some images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from core import data
from core import graph as graphs
from core.analysis.topology import WEIGHT_AT, topology
from core.analysis.values import constant_tensor, node_name
from core.calibration import Probe
from core.calibration.services import Services
from core.graph import Graph
from core.records import Distributions, Histogram, Topology

BINS = 80
MOST_COUNTED = 2_000_000
MOST_LEVELS = 256  # of eight bits
FLOATS = ("float", "float16", "bfloat16", "double")
Array = np.ndarray[Any, Any]


def distributions(graph: Graph, layer: str, services: Services, images: int) -> Distributions:
    """Histograms of a layer.

    Args:
        graph: the model.
        layer: its name, as in the topology; a model without it has nothing to show.
        services: calibration images; without any there are weights only.
        images: of which the activations are taken, at most.

    Raises:
        CoreError: the images do not fit the model, or it does not run.
    """
    found = topology(graph)
    place = _place(found, layer)
    if place is None:
        return Distributions()
    node = next((one for one in graph.graph if node_name(one) == found.nodes[place].name), None)
    weights = _weights(graph, node, found) if node is not None else None
    value = leaving(found, place)
    if not value or services.count == 0:
        return Distributions(weights, None, 0, value)
    activations, seen = _activations(graph, value, services, images)
    return Distributions(weights, activations, seen, value)


def _place(found: Topology, layer: str) -> int | None:
    named = [place for place, node in enumerate(found.nodes) if node.name == layer]
    own = [place for place in named if found.nodes[place].layer == place]
    return next(iter(own or [found.nodes[place].layer for place in named]), None)


def leaving(found: Topology, layer: int) -> str:
    """Name of the last real-valued output of the nodes of a layer; empty where there is none."""
    made = [
        node.makes[0]
        for node in found.nodes
        if node.layer == layer and node.makes and node.dtype in FLOATS and not node.is_constant
    ]
    return made[-1] if made else ""


def _weights(graph: Graph, node: ir.Node, found: Topology) -> Histogram | None:
    """Of the weights as the model computes with them: where they are unpacked, that is run."""
    at = WEIGHT_AT.get(node.op_type, 0)
    value = node.inputs[at] if 0 < at < len(node.inputs) else None
    if value is None:
        return None
    tensor = constant_tensor(value)
    if tensor is not None:
        return histogram([tensor.numpy()])
    if value.name not in {name for one in found.nodes if one.is_constant for name in one.makes}:
        return None  # the product of two activations has no weights
    feeds = next(data.synthetic_feeds(graphs.input_specs(graph), 1))
    name = value.name or ""
    return histogram([Probe(graph, [name], as_written=True, once=True).run(feeds)[name]])


def _activations(
    graph: Graph, value: str, services: Services, images: int
) -> tuple[Histogram | None, int]:
    """Of a value over the first images, and over how many."""
    run = services.runner_as_written(graph, [value])
    kept: list[Array] = []
    seen = 0
    for feeds in services.feeds():
        kept.append(run(feeds)[value])
        seen += min(len(array) for array in feeds.values())
        if seen >= images:
            break
    return histogram(kept), seen


def histogram(parts: Sequence[Array]) -> Histogram | None:
    """Of all finite numbers of some arrays; of very many every n-th one is counted."""
    whole = sum(part.size for part in parts)
    step = max(1, -(-whole // MOST_COUNTED))
    some = [part.reshape(-1)[::step].astype(np.float64) for part in parts]
    values = np.concatenate(some) if some else np.empty(0)
    values = values[np.isfinite(values)]
    if not values.size:
        return None
    low, high = float(values.min()), float(values.max())
    ends = (low, high) if low < high else (low - 0.5, high + 0.5)
    counts, _ = np.histogram(values, BINS, ends)
    levels = len(np.unique(values))
    return Histogram(
        low=ends[0],
        high=ends[1],
        counts=tuple(int(count) for count in counts),
        mean=float(values.mean()),
        deviation=float(values.std()),
        zeros=float((values == 0).mean()),
        levels=levels if levels <= MOST_LEVELS else 0,
        whole=whole,
    )
