"""Bias correction: what quantization shifts on average is added back, layer after layer.

    b += E[y - y_q | the activation function behind y has a slope there]

y is a layer's output before its activation in the float graph, y_q the same in the quantized one
with all layers before it corrected already, averaged over images and places per channel. Where a
ReLU makes zero of y, nothing of y_q matters but that it stays below: inputs clipped by their range
shift many such places far, and a mean over all of them (Nagel et al.) moves the others away from
where they belong, tenfold on a DenseNet. What is known of few images is shrunk by its own variance
(the positive part of James and Stein). The order matters: a shift that a layer inherits is mended
where it arises, and correcting two neighbours at once would mend it twice. Each piece of both nets
runs once.

Source: Nagel et al. 2019, arXiv:1906.04721, section 4.2 and appendix D (empirical correction).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir

from core.compress.graph_executor.executor import GraphExecutor
from core.compress.linalg import parallel
from core.compress.quantization import shared_weights
from core.compress.quantization.bn_statistics import clip_bounds
from core.compress.quantization.image_budget import affordable, each_net
from core.compress.quantization.images import CalibrationSplit
from core.compress.quantization.qdq_writer import QuantizationPlan, written
from core.compress.refit.linear_layers import Layer

Array = np.ndarray[Any, Any]
Range = tuple[float, float]

EVERYTHING = (-np.inf, np.inf)
TINY = 1e-30


def corrected(
    graph: ir.Model,
    plan: QuantizationPlan,
    layers: Mapping[str, Layer],
    images: CalibrationSplit,
    largest: int,
) -> QuantizationPlan:
    """The plan with corrected biases.

    Args:
        graph: the float graph, with logits as outputs.
        plan: its quantization.
        layers: node name -> layer of `graph`.
        images: calibration images.
        largest: how many of them are used at most.
    """
    names = [n for n in plan.selection.weighted if n in plan.weights]
    outputs = {name: layers[name].node.outputs[0] for name in names}
    quantized = written(graph, plan)
    nodes = {node.name: node for node in quantized.graph}
    before = [outputs[name].name or "" for name in names]
    after = [nodes[name].outputs[0].name or "" for name in names]
    feeds = list(images.calibration(affordable(graph, images, largest)))
    exact = GraphExecutor(graph, images.runner, feeds, each_net())
    rounded = GraphExecutor(quantized, images.runner, feeds, each_net())
    weights, shifts = dict(plan.weights), dict[str, Array]()
    heads = shared_weights.firsts(layers[name].node for name in names)
    for at, name in enumerate(names):
        exact.reach([before[at]])
        rounded.reach([after[at]])
        wanted, found = exact.values(before[at]), rounded.values(after[at])
        shift = shifts.get(heads[name])  # layers with one weight have one bias
        if shift is None:
            shift = mean_shift(wanted, found, layers[name].channel_axis, _steep(outputs[name]))
            shifts[name] = shift
        shifted = parallel.each(functools.partial(_shifted, by=shift), found)
        rounded.replace(after[at], shifted)
        old, more = weights[name].bias, shift.reshape(-1)
        weights[name] = replace(weights[name], bias=more if old is None else old + more)
    return replace(plan, weights=weights)


def _shifted(y: Array, by: Array) -> Array:
    """What a bias does to an output: it only adds."""
    return np.asarray(y + by.astype(y.dtype))


def mean_shift(wanted: Sequence[Array], found: Sequence[Array], axis: int, steep: Range) -> Array:
    """Mean difference per channel where the wanted values lie inside; of the outputs' rank.

    It is scaled down by as much as it differs from image to image: a channel that is seldom active
    is known from few of them.
    """
    axes = tuple(a for a in range(1, wanted[0].ndim) if a != axis % wanted[0].ndim)

    def summed(batch: tuple[Array, Array]) -> tuple[Array, Array]:
        y, y_q = batch
        off = y - y_q
        if steep == EVERYTHING:
            count = np.full((len(y), *[1] * (y.ndim - 1)), np.prod([y.shape[a] for a in axes]))
            return off.sum(axes, dtype=np.float64, keepdims=True), count
        inside = (y > steep[0]) & (y < steep[1])
        off *= inside
        return off.sum(axes, dtype=np.float64, keepdims=True), inside.sum(axes, keepdims=True)

    # One image after another stays in the cache, a batch of them would not.
    singly = [
        (y[i : i + 1], y_q[i : i + 1])
        for y, y_q in zip(wanted, found, strict=True)
        for i in range(len(y))
    ]
    found_sums, found_counts = zip(*parallel.each(summed, singly), strict=True)
    sums, counts = np.concatenate(found_sums), np.concatenate(found_counts)
    every = np.maximum(counts.sum(0, keepdims=True), 1)
    mean = sums.sum(0, keepdims=True) / every
    doubt = ((sums - mean * counts) ** 2).sum(0, keepdims=True) / every**2
    return np.asarray(mean * np.maximum(1 - doubt / np.maximum(mean**2, TINY), 0))


def _steep(output: ir.Value) -> Range:
    """Between which values the only function that reads this tensor is not flat."""
    readers = {use.node for use in output.uses()}
    if output.is_graph_output() or len(readers) != 1:
        return EVERYTHING
    (reader,) = readers
    if reader.op_type == "Relu":
        return 0.0, np.inf
    if reader.op_type != "Clip":
        return EVERYTHING
    low, high = clip_bounds(reader)
    return -np.inf if low is None else low, np.inf if high is None else high
