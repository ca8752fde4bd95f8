"""Tails: what stands behind an operator and is written as a part of it.

An activation is fused; a QuantizeLinear behind it makes the operator one of integers.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from core.formats.tflite.attributes import scalar
from core.formats.tflite.codes import grid_of
from core.formats.tflite.flatbuffer import Activation, Grid
from core.formats.tflite.layout import Order
from core.formats.tflite.net import Net, Stored
from core.formats.tflite.refusal import Refused
from core.graph.operators import is_standard

INFINITE = float("inf")
BOUNDS = {
    (0.0, INFINITE): Activation.RELU,
    (0.0, 6.0): Activation.RELU6,
    (-1.0, 1.0): Activation.RELU_N1_TO_1,
}
LARGEST_FLOAT = 3.4e38  # what exporters write for no bound


@dataclass(frozen=True)
class Tail:
    """How an operator ends.

    Attributes:
        value: what it makes, with all that is fused.
        activation: fused.
        grid: of its codes; None where it makes numbers.
        nodes: that are written with it.
    """

    value: ir.Value
    activation: Activation = Activation.NONE
    grid: Grid | None = None
    nodes: tuple[ir.Node, ...] = ()

    def made(self, net: Net, order: Order) -> Stored:
        """The tensor that the operator fills; what is fused counts as written."""
        net.done.update(self.nodes)
        return net.made(self.value, order, grid=self.grid, coded=self.grid is not None)


def bounds(net: Net, node: ir.Node) -> tuple[float, float]:
    """Lowest and highest value of a Relu or Clip.

    Raises:
        Refused: they are computed while the model runs.
    """
    if node.op_type == "Relu":
        return 0.0, INFINITE
    low = scalar(net, node, 1, "min", -INFINITE)
    high = scalar(net, node, 2, "max", INFINITE)
    return (-INFINITE if low < -LARGEST_FLOAT else low), (
        INFINITE if high > LARGEST_FLOAT else high
    )


def activated(net: Net, value: ir.Value) -> Tail:
    """The value, or that of the activation behind it."""
    reader = net.only_reader(value)
    if reader is None or not is_standard(reader, frozenset({"Relu", "Clip"})):
        return Tail(value)
    try:
        found = BOUNDS.get(bounds(net, reader))
    except Refused:
        found = None
    return Tail(value) if found is None else Tail(reader.outputs[0], found, nodes=(reader,))


def quantized(net: Net, tail: Tail) -> Tail | None:
    """The same with the QuantizeLinear behind it; None where there is none, or not of int8."""
    reader = net.only_reader(tail.value)
    if reader is None or not is_standard(reader, frozenset({"QuantizeLinear"})):
        return None
    grid = grid_of(reader)
    if grid is None:
        return None
    return Tail(reader.outputs[0], tail.activation, grid, (*tail.nodes, reader))
