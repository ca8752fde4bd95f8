"""What follows from constants and sizes is worked out before anything is written."""

from __future__ import annotations

import numpy as np

from core.formats.tflite.folding import fold
from core.graph import Graph, constant
from tests.builders import graph


def kinds(made: Graph) -> list[str]:
    return [node.op_type for node in made.graph if node.op_type != "Constant"]


def test_the_target_of_a_reshape_is_a_constant():
    made = graph(
        """(float[2,3,4] x) => (float[A,B] y) { s = Shape (x) n = Gather (s, zero)
        u = Unsqueeze (n, first) t = Concat <axis=0> (u, rest) y = Reshape (x, t) }""",
        zero=np.array(0), first=np.array([0]), rest=np.array([-1]),
    )  # fmt: skip
    fold(made)
    assert kinds(made) == ["Reshape"]
    found = constant(made.graph[-1].inputs[1])
    assert found is not None
    assert found.tolist() == [2, -1]
    assert tuple(made.graph.outputs[0].shape or ()) == (2, 12)


def test_codes_stay_what_is_shipped():
    made = graph(
        "(float[3,2] x) => (float[3,2] y) { w = DequantizeLinear (q, s, z) y = Mul (x, w) }",
        q=np.ones((3, 2), np.int8), s=np.array(0.5, np.float32), z=np.array(0, np.int8),
    )  # fmt: skip
    fold(made)
    assert kinds(made) == ["DequantizeLinear", "Mul"]


def test_random_numbers_and_outputs_are_left():
    made = graph(
        """(float[2] x) => (float[2] y, float[2] z) { r = RandomNormal <shape=[2]> ()
        y = Add (x, r) z = Add (one, one) }""",
        one=np.ones(2, np.float32),
    )
    fold(made)
    assert kinds(made) == ["RandomNormal", "Add", "Add"]
