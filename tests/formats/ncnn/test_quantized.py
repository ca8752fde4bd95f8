"""Codes and scales of constants are the numbers that ONNX Runtime makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from core import graph as graphs
from core.formats.ncnn.quantized import dequantized
from tests.builders import graph

CODES = np.arange(-24, 24, dtype=np.int8).reshape(4, 12)
CASES = {
    "of all": ("d = DequantizeLinear (q, s)", {"s": np.float32(0.5)}),
    "of rows, with zero points": (
        "d = DequantizeLinear <axis=0> (q, s, z)",
        {"s": np.float32([1, 2, 3, 4]), "z": np.int8([0, 1, -2, 3])},
    ),
    "of blocks": (
        "d = DequantizeLinear <axis=1, block_size=5> (q, s)",
        {"s": np.arange(1, 13, dtype=np.float32).reshape(4, 3)},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_what_the_runtime_computes(name: str, tmp_path: Path):
    text, weights = CASES[name]
    head = "(float[4,12] x) => (float[4,12] y)"
    made = graph(f"{head} {{ {text} y = Add (x, d) }}", 21, q=CODES, **weights)
    graphs.save(made, tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    (wanted,) = session.run(None, {"x": np.zeros((4, 12), np.float32)})
    value = next(node.outputs[0] for node in made.graph if node.op_type == "DequantizeLinear")
    np.testing.assert_array_equal(dequantized(value), wanted)


def test_what_is_computed_is_none():
    made = graph("(int8[4] x) => (float[4] y) { y = DequantizeLinear (x, s) }", s=np.float32(0.5))
    assert dequantized(made.graph.outputs[0]) is None
    assert dequantized(made.graph.inputs[0]) is None
