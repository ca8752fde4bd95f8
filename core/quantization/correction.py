"""Bias correction: what quantization shifts on average is added back, layer after layer.

    b += E[y] - E[y_q]

y is a layer's output before its activation in the float graph, y_q the same in the quantized one
with all layers before it corrected already, both averaged over images and places per channel. That
order matters: a shift that a layer inherits is mended where it arises. Layers are taken in waves
of neighbours; within a wave only each layer's own share is corrected,
    b += (W - W_q) E[x],
which needs no run.

Source: Nagel et al. 2019, arXiv:1906.04721, section 4.2 and appendix D (empirical correction).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir

from core.quantization.grids import Weight
from core.quantization.judge import Images
from core.quantization.writer import Plan, written
from core.reconstruction.layers import Layer

Array = np.ndarray[Any, Any]

WAVES = 8


def corrected(
    graph: ir.Model, plan: Plan, layers: Mapping[str, Layer], images: Images, largest: int
) -> Plan:
    """The plan with corrected biases.

    Args:
        graph: the float graph, with logits as outputs.
        plan: its quantization.
        layers: node name -> layer of `graph`.
        images: calibration images.
        largest: how many of them are used.
    """
    names = [n for n in plan.selection.weighted if n in plan.weights]
    before = {name: layers[name].node.outputs[0].name or "" for name in names}
    wanted = _means(graph, list(before.values()), images, largest, layers, before)
    size = max(1, -(-len(names) // WAVES))
    for start in range(0, len(names), size):
        wave = names[start : start + size]
        plan = _wave(graph, plan, wave, layers, images, largest, wanted, before)
    return plan


def _wave(
    graph: ir.Model,
    plan: Plan,
    wave: Sequence[str],
    layers: Mapping[str, Layer],
    images: Images,
    largest: int,
    wanted: Mapping[str, Array],
    before: Mapping[str, str],
) -> Plan:
    quantized = written(graph, plan)
    nodes = {node.name: node for node in quantized.graph}
    after = {name: nodes[name].outputs[0].name or "" for name in wave}
    found = _means(quantized, list(after.values()), images, largest, layers, after)
    weights = dict(plan.weights)
    for name in wave:
        shift = wanted[before[name]] - found[after[name]]
        old = weights[name].bias
        weights[name] = replace(weights[name], bias=shift if old is None else old + shift)
    return replace(plan, weights=weights)


def _means(
    graph: ir.Model,
    tensors: Sequence[str],
    images: Images,
    largest: int,
    layers: Mapping[str, Layer],
    owner: Mapping[str, str],
) -> dict[str, Array]:
    """Tensor -> its mean per channel."""
    axes = {owner[name]: layers[name].channel_axis for name in owner}
    sums: dict[str, Array] = {}
    count = 0
    for values in images.values(graph, tensors, largest):
        count += len(next(iter(values.values())))
        for name in tensors:
            rows = np.moveaxis(values[name], axes[name], -1)
            each = rows.reshape(len(rows), -1, rows.shape[-1]).mean(1, dtype=np.float64).sum(0)
            sums[name] = sums.get(name, 0.0) + each
    return {name: total / count for name, total in sums.items()}


def own_share(weight: Weight, layer: Layer, mean: Array) -> Weight:
    """The weight with the shift mended that its rounding alone causes.

    Args:
        weight: the integers of the layer.
        layer: its float weights.
        mean: (groups, d), mean of the layer's inputs.
    """
    matrix = layer.matrix()
    values = weight.values()
    if layer.node.op_type != "Conv" and weight.axis == 1:
        values = values.T
    difference = matrix - values.reshape(matrix.shape).astype(np.float64)
    shift = np.einsum("goi,gi->go", difference, mean).reshape(-1)
    return replace(weight, bias=shift if weight.bias is None else weight.bias + shift)
