"""Weights keep the integers of a QDQ file; a bias stands on the grid of input times weights."""

from __future__ import annotations

import numpy as np
import pytest

from core.formats.tflite import weights
from core.formats.tflite.flatbuffer import Grid
from core.formats.tflite.net import Net, Stored
from core.formats.tflite.refusal import Refused
from tests.builders import graph

NET = """(float[1,3] x) => (float[1,2] y) { k = DequantizeLinear <axis=0> (q, s, z)
b = DequantizeLinear <axis=0> (qb, sb, zb) y = Gemm <transB=1> (x, k, b) }"""
CODES = np.array([[1, -2, 3], [-127, 0, 127]], np.int8)
SCALE = np.array([0.5, 0.25], np.float32)
BIAS = np.array([7, -9], np.int32)
ROWS = weights.Arranged((2, 3), (0, 1))


def written(step: float = 0.1, bias_scale: float = 1.0) -> tuple[Net, np.ndarray, Stored]:
    """The net, the codes of its bias, and the kernel as it is stored."""
    steps = SCALE * np.float32(step) * np.float32(bias_scale)
    made = graph(NET, q=CODES, s=SCALE, z=np.zeros(2, np.int8), qb=BIAS, sb=steps,
                 zb=np.zeros(2, np.int32))  # fmt: skip
    net, node = Net(made), made.graph[-1]
    kernel = weights.tensor(net, node.inputs[1], ROWS, integral=True)
    source = net.fresh((1, 3), (0, 1), "int8", "x", Grid((step,), 0))
    number = weights.bias(net, node.inputs[2], 2, kernel, source)
    stored = net.file.tensors[number].data
    assert stored is not None
    return net, stored, kernel


def test_integers_are_those_of_the_file():
    net, bias, kernel = written()
    held = net.file.tensors[kernel.tensor]
    np.testing.assert_array_equal(held.data, CODES)
    assert held.grid == Grid((0.5, 0.25), 0, 0)
    np.testing.assert_array_equal(bias, BIAS)


def test_a_bias_of_another_scale_is_rounded_to_the_one_that_kernels_add():
    _, bias, _ = written(bias_scale=3.0)
    np.testing.assert_array_equal(bias, BIAS * 3)


def test_weights_that_are_computed_are_refused():
    made = graph("(float[2,3] x, float[3,4] w) => (float[2,4] y) { y = MatMul (x, w) }")
    with pytest.raises(Refused, match="computed while the model runs"):
        weights.values(Net(made), made.graph[0].inputs[1])
