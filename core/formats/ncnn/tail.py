"""Tails: a batch norm and an activation that a layer with weights takes over from behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from core.formats.ncnn.attributes import number
from core.formats.ncnn.layers import Parameter
from core.formats.ncnn.net import Array, Net
from core.graph.batch_norm import affine
from core.graph.operators import is_standard

RELU, LEAKY_RELU, CLIP, SIGMOID, MISH, HARD_SWISH = range(1, 7)
KIND, DETAILS = 9, 10  # parameters of the layers that take one over
UNBOUNDED = 3.4e38


@dataclass(frozen=True)
class Tail:
    """What follows a layer with weights.

    Attributes:
        end: the last value, which the layer makes.
        scale: of each channel of the output; None where there is no batch norm.
        shift: likewise.
        parameters: of the activation.
    """

    end: ir.Value
    scale: Array | None
    shift: Array | None
    parameters: Mapping[int, Parameter]

    def folded(self, weight: Array, bias: Array | None) -> tuple[Array, Array | None]:
        """Weights (first axis: channels of the output) and bias with the batch norm in them."""
        if self.scale is None or self.shift is None:
            return weight, bias
        by = self.scale.reshape(-1, *(1,) * (weight.ndim - 1))
        start = 0.0 if bias is None else bias.astype(np.float64) * self.scale
        return (weight * by).astype(np.float32), (start + self.shift).astype(np.float32)


def tail(net: Net, node: ir.Node, channels: int, norms: bool = True) -> Tail:
    """What a layer takes over; those nodes are done.

    Args:
        net: that is written.
        node: the layer.
        channels: of its output.
        norms: whether its axis 1 is that of the channels, so that a batch norm fits.
    """
    end, scale, shift = node.outputs[0], None, None
    reader = net.only_reader(end)
    if norms and reader is not None and is_standard(reader, frozenset({"BatchNormalization"})):
        found = affine(reader, channels)
        if found is not None and reader.inputs[0] is end:
            net.done.add(reader)
            end, scale, shift = reader.outputs[0], found.scale, found.shift
            reader = net.only_reader(end)
    parameters = activation(net, reader) if reader is not None else None
    if reader is not None and parameters is not None:
        net.done.add(reader)
        end = reader.outputs[0]
    return Tail(end, scale, shift, parameters or {})


def activation(net: Net, node: ir.Node) -> dict[int, Parameter] | None:
    """A node as the activation of the layer before it; None if it is none of ncnn's."""
    if node.op_type == "Relu":
        return {KIND: RELU}
    if node.op_type == "LeakyRelu":
        return {KIND: LEAKY_RELU, DETAILS: [node.attributes.get_float("alpha", 0.01)]}
    if node.op_type == "Sigmoid":
        return {KIND: SIGMOID}
    if node.op_type == "Mish":
        return {KIND: MISH}
    if node.op_type == "HardSwish":
        return {KIND: HARD_SWISH, DETAILS: [1 / 6, 0.5]}
    if node.op_type == "Clip" and all(net.array(v) is not None for v in node.inputs[1:] if v):
        low, high = limits(net, node)
        return {KIND: CLIP, DETAILS: [low, high]}
    return None


def limits(net: Net, node: ir.Node) -> tuple[float, float]:
    """The limits of a Clip; of one that is left out the largest float."""
    low = number(net, node, "min", 1, -UNBOUNDED)
    high = number(net, node, "max", 2, UNBOUNDED)
    return max(low, -UNBOUNDED), min(high, UNBOUNDED)
