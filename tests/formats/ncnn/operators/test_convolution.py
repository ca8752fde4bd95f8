"""Convolutions and transposed ones: ncnn answers as ONNX Runtime does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.formats.ncnn.held import IMAGE, held

pytestmark = pytest.mark.backend
CASES: dict[str, tuple] = {
    "padded on one side": (
        IMAGE,
        "y = Conv <pads=[2,0,1,3]> (x, w, b)",
        {"w": (6, 4, 3, 3), "b": (6,)},
    ),
    "strided and dilated": (
        IMAGE,
        "y = Conv <strides=[2,1], dilations=[1,2]> (x, w)",
        {"w": (5, 4, 3, 2)},
    ),
    "same": (IMAGE, 'y = Conv <auto_pad="SAME_LOWER", strides=[2,2]> (x, w)', {"w": (5, 4, 4, 3)}),
    "depthwise, dilated": (
        IMAGE,
        "y = Conv <group=4, dilations=[2,2], pads=[1,1,1,1]> (x, w, b)",
        {"w": (4, 1, 3, 3), "b": (4,)},
    ),
    "depthwise, two of each": (IMAGE, "y = Conv <group=4> (x, w)", {"w": (8, 1, 3, 3)}),
    "grouped": (IMAGE, "y = Conv <group=2, pads=[1,1,1,1]> (x, w)", {"w": (6, 2, 3, 3)}),
    "many channels": (
        IMAGE,
        "a = Conv <pads=[1,1,1,1]> (x, w) y = Conv (a, v)",
        {"w": (32, 4, 3, 3), "v": (17, 32, 3, 3)},
    ),
    "1-D": (
        "(float[N,4,30] x) => (float[N,?,?] y)",
        "y = Conv <pads=[2,1], strides=[2]> (x, w, b)",
        {"w": (6, 4, 5), "b": (6,)},
    ),
    "1-D depthwise": (
        "(float[N,4,30] x) => (float[N,?,?] y)",
        "y = Conv <group=4, dilations=[3]> (x, w)",
        {"w": (4, 1, 5)},
    ),
    "3-D": (
        "(float[N,3,6,7,5] x) => (float[N,?,?,?,?] y)",
        "y = Conv <pads=[0,1,2,1,0,0]> (x, w)",
        {"w": (4, 3, 2, 3, 3)},
    ),
    "of one pixel": (
        IMAGE,
        "a = GlobalAveragePool (x) b = Conv (a, w, c) y = Relu (b)",
        {"w": (6, 4, 1, 1), "c": (6,)},
    ),
    "norm and relu behind it": (
        IMAGE,
        "a = Conv (x, w) b = BatchNormalization (a, s, t, m, v) y = Relu (b)",
        {
            "w": (6, 4, 3, 3),
            "s": (6,),
            "t": (6,),
            "m": (6,),
            "v": np.linspace(0.5, 2, 6, dtype=np.float32),
        },
    ),
    "clipped behind it": (
        IMAGE,
        "a = Conv (x, w) y = Clip (a, low, high)",
        {"w": (6, 4, 3, 3), "low": np.float32(0), "high": np.float32(0.5)},
    ),
    "clipped on one side": (
        IMAGE,
        "a = Conv (x, w) y = Clip (a, , high)",
        {"w": (6, 4, 3, 3), "high": np.float32(0.5)},
    ),
    "read twice": (IMAGE, "a = Conv (x, w) b = Relu (a) y = Add (a, b)", {"w": (6, 4, 3, 3)}),
    "leaky behind it": (
        IMAGE,
        "a = Conv (x, w) y = LeakyRelu <alpha=0.2> (a)",
        {"w": (6, 4, 3, 3)},
    ),
    "hard swish behind it": (IMAGE, "a = Conv (x, w) y = HardSwish (a)", {"w": (6, 4, 3, 3)}),
    "transposed": (
        IMAGE,
        "y = ConvTranspose <strides=[2,2], pads=[1,0,0,1]> (x, w, b)",
        {"w": (4, 6, 3, 3), "b": (6,)},
    ),
    "transposed, more behind": (
        IMAGE,
        ("y = ConvTranspose <strides=[3,2], output_padding=[2,1], dilations=[2,1]> (x, w)"),
        {"w": (4, 6, 3, 2)},
    ),
    "transposed, grouped": (
        IMAGE,
        "y = ConvTranspose <strides=[2,2], group=2> (x, w)",
        {"w": (4, 3, 3, 3)},
    ),
    "transposed, depthwise": (
        IMAGE,
        "y = ConvTranspose <strides=[2,2], group=4, pads=[1,1,1,1]> (x, w)",
        {"w": (4, 1, 4, 4)},
    ),
    "transposed, 1-D": (
        "(float[N,4,30] x) => (float[N,?,?] y)",
        "y = ConvTranspose <strides=[2]> (x, w)",
        {"w": (4, 6, 3)},
    ),
    "transposed, same": (
        IMAGE,
        'y = ConvTranspose <strides=[2,2], auto_pad="SAME_UPPER"> (x, w)',
        {"w": (4, 6, 3, 3)},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_ncnn_computes_as_onnx_runtime(name: str, tmp_path: Path):
    head, body, weights = CASES[name]
    held(tmp_path, f"{head} {{ {body} }}", **weights)


OPSETS: dict[str, tuple] = {
    "Mish behind a convolution": (18, IMAGE, "a = Conv (x, w) y = Mish (a)", {"w": (6, 4, 3, 3)}),
}


@pytest.mark.parametrize("name", OPSETS)
def test_other_opsets_say_the_same_in_other_words(name: str, tmp_path: Path):
    opset, head, body, weights = OPSETS[name]
    held(tmp_path, f"{head} {{ {body} }}", opset, **weights)
