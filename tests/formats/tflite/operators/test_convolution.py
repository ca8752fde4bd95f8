"""Conv and ConvTranspose on LiteRT, against ONNX: groups, dilation, pads, one and two axes."""

from __future__ import annotations

import numpy as np
import pytest

from core.formats.tflite.operators.convolution import OPERATORS
from tests.builders import graph
from tests.formats.tflite.answers import marked, operators, same

# name -> attributes, shape of the weights, output shape
PLANES = {
    "plain": ("", (4, 6, 3, 3), (4, 7, 6)),
    "same": ("pads=[1,1,1,1]", (4, 6, 3, 3), (4, 9, 8)),
    "strides": ("pads=[1,1,1,1], strides=[2,2]", (4, 6, 3, 3), (4, 5, 4)),
    "uneven strides": ("strides=[3,1]", (4, 6, 1, 2), (4, 3, 7)),
    "one side padded": ("pads=[0,1,2,0]", (4, 6, 3, 3), (4, 9, 7)),
    "auto_pad upper": ('auto_pad="SAME_UPPER", strides=[2,2]', (4, 6, 3, 3), (4, 5, 4)),
    "auto_pad lower": ('auto_pad="SAME_LOWER", strides=[2,2]', (4, 6, 3, 3), (4, 5, 4)),
    "dilated": ("dilations=[2,2], pads=[2,2,2,2]", (4, 6, 3, 3), (4, 9, 8)),
    "grouped": ("group=3, pads=[1,1,1,1]", (9, 2, 3, 3), (9, 9, 8)),
    "depthwise": ("group=6, pads=[1,1,1,1]", (6, 1, 3, 3), (6, 9, 8)),
    "depthwise, several outputs": ("group=6", (12, 1, 3, 3), (12, 7, 6)),
    "depthwise, strides": ("group=6, pads=[1,1,1,1], strides=[2,2]", (6, 1, 3, 3), (6, 5, 4)),
    "depthwise, dilated": ("group=6, dilations=[2,1]", (6, 1, 3, 3), (6, 5, 6)),
}
TRANSPOSED = {
    "plain": ("", (6, 4, 3, 3), (4, 11, 10)),
    "doubles": ("strides=[2,2], pads=[1,1,1,1]", (6, 4, 4, 4), (4, 18, 16)),
    "two by two": ("strides=[2,2]", (6, 4, 2, 2), (4, 18, 16)),
    "output padding": (
        "strides=[2,2], pads=[1,1,1,1], output_padding=[1,1]", (6, 4, 3, 3), (4, 18, 16),
    ),
    "one side": ("strides=[2,2], pads=[0,0,1,1]", (6, 4, 3, 3), (4, 18, 16)),
    "dilated": ("dilations=[2,2]", (6, 4, 3, 3), (4, 13, 12)),
    "grouped": ("group=2, strides=[2,2]", (6, 4, 2, 2), (8, 18, 16)),
    "depthwise": ("group=6, strides=[2,2], pads=[1,1,1,1]", (6, 1, 4, 4), (6, 18, 16)),
    "output shape": ("strides=[2,2], output_shape=[18,16]", (6, 4, 3, 3), (4, 18, 16)),
    "auto_pad": ('strides=[2,2], auto_pad="SAME_UPPER"', (6, 4, 3, 3), (4, 18, 16)),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANES)
@pytest.mark.parametrize("bias", [True, False])
def test_convolutions_of_images(name: str, bias: bool):
    attributes, weight, (c, h, w) = PLANES[name]
    inputs, more = ("x, k, b", {"b": (weight[0],)}) if bias else ("x, k", {})
    call = f"Conv {marked(attributes)} ({inputs})"
    text = f"(float[2,6,9,8] x) => (float[2,{c},{h},{w}] y) {{ y = {call} }}"
    same(graph(text, k=weight, **more))


@pytest.mark.parametrize("name", TRANSPOSED)
def test_transposed_convolutions(name: str):
    attributes, weight, (c, h, w) = TRANSPOSED[name]
    same(
        graph(
            f"""(float[2,6,9,8] x) => (float[2,{c},{h},{w}] y) {{
            y = ConvTranspose {marked(attributes)} (x, k, b) }}""",
            k=weight, b=(c,),
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("attributes", "weight", "length"),
    [
        ("", (4, 6, 3), 10), ("pads=[1,1]", (4, 6, 3), 12),
        ("pads=[2,0], strides=[2], dilations=[2]", (4, 6, 3), 5), ("group=6", (12, 1, 3), 10),
    ],
)  # fmt: skip
def test_convolutions_of_signals(attributes: str, weight: tuple[int, ...], length: int):
    same(
        graph(
            f"""(float[2,6,12] x) => (float[2,{weight[0]},{length}] y) {{
            a = Conv {marked(attributes)} (x, k, b) y = Relu (a) }}""",
            k=weight, b=(weight[0],),
        )
    )  # fmt: skip


def test_a_transposed_convolution_of_a_signal():
    same(
        graph(
            """(float[2,6,12] x) => (float[2,4,24] y) {
            y = ConvTranspose <strides=[2], pads=[1,1]> (x, k, b) }""",
            k=(6, 4, 4), b=(4,),
        )
    )  # fmt: skip


def test_activations_are_fused_and_layers_share_one_order():
    made = same(
        graph(
            """(float[1,3,8,8] x) => (float[1,4,8,8] y) {
            a = Conv <pads=[1,1,1,1]> (x, k) b = Relu (a)
            c = Conv <pads=[1,1,1,1]> (b, l) d = Clip (c, low, high) y = Conv (d, m) }""",
            k=(4, 3, 3, 3), l=(4, 4, 3, 3), m=(4, 4, 1, 1),
            low=np.float32(0), high=np.float32(6),
        )
    )  # fmt: skip
    assert operators(made) == {"TRANSPOSE": 2, "CONV_2D": 3}


def test_every_kind_of_convolution_is_in_the_table():
    assert set(OPERATORS) == {"Conv", "ConvTranspose"}
