"""Data-free quantization: what images would tell is taken from batch norms.

- Cross-layer equalisation by the reach of each channel (see `cross_layer_equalization`).
- Bias absorption: a channel whose values lie above c = max(0, beta - 3 gamma) nearly always is made
  smaller by c before its ReLU, and the layers behind it add W c to their biases. Exact for values
  above c; done only where no layer behind pads with zeros, which would be shifted as well.
- Ranges: the reach of the moments, or what a ReLU6 or Sigmoid lets through.
- Bias correction: b += (W - W_q) E[x].

Source: Nagel et al. 2019, arXiv:1906.04721, sections 4.1 and 4.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir

from core.compress.quantization import cross_layer_equalization
from core.compress.quantization.bn_statistics import KEEPING, ChannelMoments, clip_bounds, spread
from core.compress.quantization.observers import Observer
from core.compress.quantization.partition import Selection
from core.compress.quantization.qdq_writer import QuantizationPlan
from core.compress.refit.linear_layers import Layer
from core.graph.operators import STANDARD

Array = np.ndarray[Any, Any]
Range = tuple[float, float]

REACH: Mapping[str, Range] = {
    "Sigmoid": (0.0, 1.0), "HardSigmoid": (0.0, 1.0), "Softmax": (0.0, 1.0), "Tanh": (-1.0, 1.0)
}  # fmt: skip
ABSORBED = 3.0  # deviations below the mean that still pass the ReLU unharmed


def ranges(
    graph: ir.Model, selection: Selection, moments: Mapping[str, ChannelMoments]
) -> dict[str, Range]:
    """Root tensor -> its range, where moments or the function that made it tell."""
    known = bounded(graph) | {name: m.extent for name, m in moments.items()}
    return {root: known[root] for root in selection.roots if root in known}


def bounded(graph: ir.Model) -> dict[str, Range]:
    """Tensor -> what its values cannot leave, whatever the input: behind a ReLU6, a Sigmoid, ..."""
    found: dict[str, Range] = {}
    for node in graph.graph:
        names = [v.name or "" for v in node.inputs if v is not None]
        if node.op_type in REACH and node.domain in STANDARD:
            made: Range | None = REACH[node.op_type]
        elif node.op_type == "Clip":
            made = _clipped(node)
        elif names and node.op_type in KEEPING and names[0] in found:
            made = found[names[0]]
        elif node.op_type == "Concat" and all(name in found for name in names):
            lows, highs = zip(*(found[name] for name in names), strict=True)
            made = min(lows), max(highs)
        else:
            made = None
        if made is not None:
            found[node.outputs[0].name or ""] = made
    return found


def _clipped(node: ir.Node) -> Range | None:
    low, high = clip_bounds(node)
    if low is None or high is None or not np.isfinite([low, high]).all():
        return None
    return low, high


def equalised(
    graph: ir.Model, norms: Mapping[str, ChannelMoments], inputs: Mapping[str, ChannelMoments]
) -> dict[str, ChannelMoments]:
    """Equalise and absorb in place; the moments of the norms as they are then."""
    moments = spread(graph, norms, inputs)
    links = cross_layer_equalization.links(graph)
    changed = cross_layer_equalization.equalise(
        links, {link.tensor: _seen(link, moments) for link in links}
    )
    after = {name: m.divided(changed[name]) if name in changed else m for name, m in norms.items()}
    for link in links:
        name = link.maker.node.outputs[0].name or ""
        if name in after and _absorbs(link):
            after[name] = _absorb(link, after[name])
    return after


def corrected(
    plan: QuantizationPlan, layers: Mapping[str, Layer], moments: Mapping[str, ChannelMoments]
) -> tuple[QuantizationPlan, int]:
    """The plan with biases corrected by expected inputs, and for how many layers."""
    weights, count = dict(plan.weights), 0
    for name in plan.selection.weighted:
        layer, known = layers[name], moments.get(layers[name].input)
        matrix = layer.matrix()
        groups, _, columns = matrix.shape
        if known is None or len(known.mean) * layer.taps != groups * columns:
            continue
        lost = (layer.weight.astype(np.float64) - weights[name].values()).astype(np.float64)
        if layer.node.op_type == "Conv":
            lost = lost.reshape(matrix.shape)
        elif weights[name].axis == 0:
            lost = lost[None]
        else:
            lost = lost.T[None]
        mean = np.repeat(known.mean, layer.taps).reshape(groups, columns)
        shift = np.einsum("goi,gi->go", lost, mean).reshape(-1)
        old = weights[name].bias
        weights[name] = replace(weights[name], bias=shift if old is None else old + shift)
        count += 1
    return replace(plan, weights=weights), count


def _seen(link: cross_layer_equalization.Link, moments: Mapping[str, ChannelMoments]) -> Observer:
    """The reach of each channel as if it had been observed."""
    known = moments.get(link.tensor)
    if known is None:
        return Observer(link.tensor)
    return Observer(link.tensor, channel_low=known.low, channel_high=known.high)


def _absorbs(link: cross_layer_equalization.Link) -> bool:
    """Whether a plain ReLU stands behind the layer, and no reader pads."""
    users = [use.node for use in link.maker.node.outputs[0].uses()]
    if [user.op_type for user in users] != ["Relu"] or link.bound is not None:
        return False
    direct = {use.node for use in users[0].outputs[0].uses()}
    return direct == {r.node for r in link.readers} and not any(map(_pads, link.readers))


def _pads(layer: Layer) -> bool:
    pads, auto = layer.node.attributes.get("pads"), layer.node.attributes.get_string("auto_pad", "")
    return bool(pads is not None and any(pads.as_ints())) or auto not in ("", "NOTSET", "VALID")


def _absorb(link: cross_layer_equalization.Link, moments: ChannelMoments) -> ChannelMoments:
    amount = np.maximum(moments.mean - ABSORBED * np.sqrt(moments.variance), 0.0)
    if not amount.any():
        return moments
    link.maker.write(link.maker.matrix(), link.maker.bias() - amount)
    for reader in link.readers:
        matrix = reader.matrix()
        columns = np.repeat(amount, reader.taps).reshape(matrix.shape[0], -1)
        added = np.einsum("goi,gi->go", matrix, columns).reshape(-1)
        reader.write(matrix, reader.bias() + added)
    return ChannelMoments.normal(moments.mean - amount, moments.variance)
