"""What stands behind an operator is written as a part of it, where nobody else reads it."""

from __future__ import annotations

import numpy as np
import pytest

from core.formats.tflite.flatbuffer import Activation
from core.formats.tflite.net import Net
from core.formats.tflite.tail import Tail, activated, quantized
from tests.builders import graph


def ending(behind: str, outputs: str = "float[2] y", **numbers: object) -> tuple[Net, Tail]:
    made = graph(f"(float[2] x) => ({outputs}) {{ a = Abs (x) {behind} }}", **numbers)
    net = Net(made)
    return net, activated(net, made.graph[0].outputs[0])


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [(0, 6, Activation.RELU6), (-1, 1, Activation.RELU_N1_TO_1), (0, 3.402823e38, Activation.RELU),
     (0, 5, Activation.NONE), (-np.inf, 6, Activation.NONE)],
)  # fmt: skip
def test_bounds_that_tflite_has_are_fused(low: float, high: float, found: Activation):
    numbers = {"low": np.array(low, np.float32), "high": np.array(high, np.float32)}
    assert ending("y = Clip (a, low, high)", **numbers)[1].activation is found


def test_what_somebody_else_reads_is_not_fused():
    _, tail = ending("y = Relu (a) z = Neg (a)", "float[2] y, float[2] z")
    assert (tail.activation, tail.value.name) == (Activation.NONE, "a")
    _, tail = ending("y = Relu (a)", "float[2] y, float[2] a")
    assert tail.activation is Activation.NONE


def test_codes_behind_an_activation_are_the_operator_s_own():
    scale, zero = np.array(0.5, np.float32), np.array(130, np.uint8)
    net, tail = ending("r = Relu (a) y = QuantizeLinear (r, s, z)", "uint8[2] y", s=scale, z=zero)
    found = quantized(net, tail)
    assert found is not None
    assert found.grid is not None
    assert (found.grid.scale, found.grid.zero, found.activation) == ((0.5,), 2, Activation.RELU)
    assert [node.op_type for node in found.nodes] == ["Relu", "QuantizeLinear"]
    assert quantized(*ending("y = Relu (a)")) is None
