"""Bias correction: what quantization shifts on average is added back, layer after layer.

    b += E[y] - E[y_q]

y is a layer's output before its activation in the float graph, y_q the same in the quantized one
with all layers before it corrected already, both averaged over images and places per channel. The
order matters: a shift that a layer inherits is mended where it arises, and correcting two
neighbours at once would mend it twice. Each piece of the net runs once (see `pieces`), so the cost
is that of two forward runs.

Source: Nagel et al. 2019, arXiv:1906.04721, section 4.2 and appendix D (empirical correction).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir

from core.quantization.judge import Images, Tensors
from core.quantization.pieces import Pieces
from core.quantization.writer import Plan, written
from core.reconstruction.layers import Layer

Array = np.ndarray[Any, Any]


def corrected(
    graph: ir.Model, plan: Plan, layers: Mapping[str, Layer], images: Images, largest: int
) -> Plan:
    """The plan with corrected biases.

    Args:
        graph: the float graph, with logits as outputs.
        plan: its quantization.
        layers: node name -> layer of `graph`.
        images: calibration images.
        largest: how many of them are used at most.
    """
    names = [n for n in plan.selection.weighted if n in plan.weights]
    axes = {name: layers[name].channel_axis for name in names}
    before = {name: layers[name].node.outputs[0].name or "" for name in names}
    feeds = list(images.calibration(largest))
    wanted = _float_means(graph, before, axes, images, feeds)
    quantized = written(graph, plan)
    nodes = {node.name: node for node in quantized.graph}
    after = {name: nodes[name].outputs[0].name or "" for name in names}
    shifts = _walk(Pieces(quantized), names, after, axes, wanted, images, feeds)
    weights = dict(plan.weights)
    for name, shift in shifts.items():
        old = weights[name].bias
        weights[name] = replace(weights[name], bias=shift if old is None else old + shift)
    return replace(plan, weights=weights)


def _walk(
    pieces: Pieces,
    names: Sequence[str],
    after: Mapping[str, str],
    axes: Mapping[str, int],
    wanted: Mapping[str, Array],
    images: Images,
    feeds: Sequence[Tensors],
) -> dict[str, Array]:
    """Layer -> what its bias lacks."""
    outputs = set(after.values())
    needs = {name: pieces.sources(after[name], outputs) for name in names}
    pools: list[Tensors] = [dict(batch) for batch in feeds]
    shifts = {}
    for index, name in enumerate(names):
        tensor = after[name]
        run = images.runner(pieces.cut([tensor], outputs), [tensor])
        found = [run({n: pool[n] for n in needs[name]})[tensor] for pool in pools]
        shift = wanted[name] - _mean(found, axes[name])
        shape = [1] * found[0].ndim
        shape[axes[name]] = -1
        later = set().union(*(needs[n] for n in names[index + 1 :]))
        for pool, values in zip(pools, found, strict=True):
            # A bias only adds: the corrected output is known without another run.
            pool[tensor] = values + shift.reshape(shape).astype(values.dtype)
            for spent in set(pool) - later:
                del pool[spent]
        shifts[name] = shift
    return shifts


def _float_means(
    graph: ir.Model,
    tensors: Mapping[str, str],
    axes: Mapping[str, int],
    images: Images,
    feeds: Sequence[Tensors],
) -> dict[str, Array]:
    run = images.runner(graph, list(dict.fromkeys(tensors.values())))
    sums: dict[str, Array] = {}
    count = 0
    for batch in feeds:
        values = run(batch)
        count += 1
        for name, tensor in tensors.items():
            sums[name] = sums.get(name, 0.0) + _mean([values[tensor]], axes[name])
    return {name: total / count for name, total in sums.items()}


def _mean(batches: Sequence[Array], axis: int) -> Array:
    """Mean per channel; batches count alike (they are of one size but for the last)."""
    each = []
    for values in batches:
        rows = np.moveaxis(values, axis, -1)
        each.append(rows.reshape(-1, rows.shape[-1]).mean(0, dtype=np.float64))
    return np.asarray(np.mean(each, axis=0))
