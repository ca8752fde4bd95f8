"""Pools on LiteRT, against ONNX: edges counted or not, sizes rounded up, holes."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import ConversionFailed
from core.formats.tflite.operators.pooling import OPERATORS
from core.formats.tflite.writer import written
from core.graph import infer_shapes
from tests.builders import graph
from tests.formats.tflite.answers import operators, same

WINDOWS = {
    "plain": "kernel_shape=[2,2], strides=[2,2]",
    "edges": "kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]",
    "one side": "kernel_shape=[3,2], strides=[1,2], pads=[0,1,2,0]",
    "same": 'kernel_shape=[3,3], strides=[1,1], auto_pad="SAME_UPPER"',
    "rounded up": "kernel_shape=[3,3], strides=[2,2], ceil_mode=1",
    "rounded up, edges": "kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1], ceil_mode=1",
    "no overlap, rounded up": "kernel_shape=[2,2], strides=[3,3], ceil_mode=1",
}
COUNTED = ["", ", count_include_pad=1"]


def pool(kind: str, attributes: str, shape: str = "2,3,10,7"):
    rank = shape.count(",") + 1
    free = ",".join("ABCDE"[i] for i in range(rank))
    made = graph(f"(float[{shape}] x) => (float[{free}] y) {{ y = {kind} <{attributes}> (x) }}")
    infer_shapes(made)
    return made


@pytest.mark.parametrize("name", WINDOWS)
def test_maxima(name: str):
    same(pool("MaxPool", WINDOWS[name]))


@pytest.mark.parametrize("dilations", ["dilations=[2,2]", "dilations=[1,3], pads=[1,1,1,1]"])
def test_maxima_of_windows_with_holes(dilations: str):
    same(pool("MaxPool", f"kernel_shape=[3,2], {dilations}"))


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("counted", COUNTED)
def test_means(name: str, counted: str):
    same(pool("AveragePool", WINDOWS[name] + counted))


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
def test_pools_of_signals(kind: str):
    same(pool(kind, "kernel_shape=[3], strides=[2], pads=[1,0]", "2,3,11"))


@pytest.mark.parametrize("kind", ["GlobalAveragePool", "GlobalMaxPool"])
@pytest.mark.parametrize("shape", ["2,3,10,7", "2,3,11"])
def test_whole_planes(kind: str, shape: str):
    small = ",".join([*shape.split(",")[:2], *("1" for _ in shape.split(",")[2:])])
    same(graph(f"(float[{shape}] x) => (float[{small}] y) {{ y = {kind} (x) }}"))


def test_zeros_around_what_is_never_negative_cost_no_partition():
    made = same(
        graph(
            """(float[1,3,8,8] x) => (float[1,3,4,4] y) { a = Relu (x)
            y = MaxPool <kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]> (a) }"""
        )
    )
    assert operators(made)["PAD"] == 1
    assert operators(made)["PADV2"] == 0


@pytest.mark.parametrize("zero", [np.uint8(0), np.int8(0), np.int8(-128), np.int8(3)])
def test_edges_of_codes_are_never_a_maximum(zero: np.number):
    net = graph(
        """(float[1,3,8,8] x) => (float[1,3,4,4] y) { q = QuantizeLinear (x, s, z)
        d = DequantizeLinear (q, s, z)
        y = MaxPool <kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]> (d) }""",
        s=np.float32(0.03), z=zero,
    )  # fmt: skip
    x = np.random.default_rng(2).uniform(-3, -0.5, (1, 3, 8, 8)).astype(np.float32)
    same(net, 1e-6, given={"x": x})


def test_places_of_maxima_are_refused():
    net = graph(
        """(float[1,3,8,8] x) => (float[1,3,4,4] y, int64[1,3,4,4] i) {
        y, i = MaxPool <kernel_shape=[2,2], strides=[2,2]> (x) }"""
    )
    with pytest.raises(ConversionFailed, match="places of its maxima are read"):
        written(net)


def test_every_pool_is_in_the_table():
    assert set(OPERATORS) == {"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"}
