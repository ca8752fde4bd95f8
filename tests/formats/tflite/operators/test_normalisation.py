"""Normalisations on LiteRT, against ONNX."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import ConversionFailed
from core.formats.tflite.operators.normalisation import OPERATORS
from core.formats.tflite.writer import written
from tests.builders import graph, norm
from tests.formats.tflite.answers import operators, same

TESTED = {
    "Softmax", "LogSoftmax", "BatchNormalization", "LayerNormalization", "RMSNormalization",
    "InstanceNormalization", "GroupNormalization", "LRN", "LpNormalization",
}  # fmt: skip


@pytest.mark.parametrize("name", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("axis", [1, 2, -1])
@pytest.mark.parametrize("opset", [11, 17])
def test_shares_of_an_axis(name: str, axis: int, opset: int):
    same(
        graph(
            f"""(float[2,3,5,6] x) => (float[2,4,5,6] y) {{ a = Conv (x, k)
            y = {name} <axis={axis}> (a) }}""",
            opset=opset, k=(4, 3, 1, 1),
        )
    )  # fmt: skip


def test_shares_of_channels_need_no_transpose_behind_a_convolution():
    net = graph(
        """(float[1,3,5,6] x) => (float[1,1,5,6] y) { a = Conv (x, k) s = Softmax <axis=1> (a)
        y = Conv (s, l) }""",
        k=(4, 3, 1, 1), l=(1, 4, 1, 1),
    )  # fmt: skip
    assert operators(same(net))["TRANSPOSE"] == 1  # that of the input


def test_a_batch_norm_left_over():
    same(
        graph(
            """(float[2,4,5,6] x) => (float[2,4,5,6] y) { a = Relu (x)
            y = BatchNormalization <epsilon=0.001> (a, s, t, m, v) }""",
            **norm(4),
        )
    )


def test_a_batch_norm_in_training_is_refused():
    net = graph(
        """(float[2,3,5,6] x) => (float[2,3,5,6] y)
        { y = BatchNormalization <training_mode=1> (x, s, b, m, v) }""",
        s=(3,), b=(3,), m=(3,), v=(3,),
    )  # fmt: skip
    with pytest.raises(ConversionFailed, match="as in training"):
        written(net, "")


def test_two_batch_norms_of_many_channels_keep_their_own_numbers():
    same(
        graph(
            """(float[1,300,2,2] x) => (float[1,300,2,2] y) {
            a = BatchNormalization (x, s, t, m, v) y = BatchNormalization (a, s, t, m, v) }""",
            **norm(300),
        )
    )


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("axis", [-1, 1])
def test_over_the_last_axes(bias: bool, axis: int):
    shape = (8,) if axis == -1 else (7, 8)
    weights = {"s": shape, **({"b": shape} if bias else {})}
    same(
        graph(
            f"""(float[2,7,8] x) => (float[2,7,8] y) {{
            y = LayerNormalization <axis={axis}> (x, {", ".join(weights)}) }}""",
            **weights,
        )
    )


def test_by_the_mean_square():
    same(graph("(float[2,7,8] x) => (float[2,7,8] y) { y = RMSNormalization (x, s) }", 23, s=(8,)))


def test_by_image():
    same(
        graph(
            """(float[2,4,5,6] x) => (float[2,4,5,6] y) {
            y = InstanceNormalization <epsilon=0.01> (x, s, b) }""",
            s=(4,), b=(4,),
        )
    )  # fmt: skip


@pytest.mark.parametrize(("opset", "count"), [(18, 2), (21, 4)])
def test_by_group(opset: int, count: int):
    same(
        graph(
            """(float[2,4,5,6] x) => (float[2,4,5,6] y) {
            y = GroupNormalization <num_groups=2> (x, s, b) }""",
            opset=opset, s=(count,), b=(count,),
        )
    )  # fmt: skip


def test_by_neighbouring_channels():
    same(
        graph(
            """(float[2,7,5,6] x) => (float[2,7,5,6] y) {
            y = LRN <size=5, alpha=0.01, beta=0.6, bias=2.0> (x) }"""
        )
    )


@pytest.mark.parametrize("p", [1, 2])
def test_by_length(p: int):
    same(graph(f"(float[2,7] x) => (float[2,7] y) {{ y = LpNormalization <axis=1, p={p}> (x) }}"))


@pytest.mark.parametrize("p", [1, 2])
def test_what_has_no_length_stays_zero(p: int):
    x = np.array([[0, 0, 0], [3e-15, 4e-15, 0], [3, -4, 0]], np.float32)
    net = graph(f"(float[3,3] x) => (float[3,3] y) {{ y = LpNormalization <axis=1, p={p}> (x) }}")
    same(net, given={"x": x})


def test_every_normalisation_is_tested_here():
    assert set(OPERATORS) == TESTED
