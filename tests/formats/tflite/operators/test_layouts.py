"""Shapes and orders of axes on LiteRT, against ONNX, and what of it moves data."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import ConversionFailed
from core.formats.tflite.operators.layouts import OPERATORS
from core.formats.tflite.writer import written
from tests.builders import graph
from tests.formats.tflite.answers import operators, same

CONV = "a = Conv (x, k)"
K = (4, 3, 1, 1)


@pytest.mark.parametrize(
    "target", [(2, 120), (2, 4, 30), (8, 5, 6), (2, 2, 2, 5, 6), (2, 4, 5, 2, 3), (1, 2, 4, 5, 6)]
)
def test_reshapes_behind_a_convolution(target: tuple[int, ...]):
    shape = ",".join(map(str, target))
    same(
        graph(
            f"(float[2,3,5,6] x) => (float[{shape}] y) {{ {CONV} y = Reshape (a, s) }}",
            k=K, s=np.array(target),
        )
    )  # fmt: skip


@pytest.mark.parametrize("perm", [(0, 2, 3, 1), (0, 1, 3, 2), (3, 2, 1, 0), (1, 0, 2, 3)])
def test_transposes_behind_a_convolution(perm: tuple[int, ...]):
    shape = ",".join(str((2, 4, 5, 6)[i]) for i in perm)
    made = same(
        graph(
            f"""(float[2,3,5,6] x) => (float[{shape}] y) {{ {CONV}
            y = Transpose <perm={list(perm)}> (a) }}""",
            k=K,
        )
    )  # fmt: skip
    assert operators(made)["TRANSPOSE"] == (1 if perm == (0, 2, 3, 1) else 2)


def test_a_channel_shuffle_stays_where_it_is():
    net = graph(
        """(float[1,3,5,6] x) => (float[1,2,5,6] y) { a = Conv (x, k) b = Reshape (a, split)
        c = Transpose <perm=[0,2,1,3,4]> (b) d = Reshape (c, back) y = Conv (d, l) }""",
        k=K, l=(2, 4, 1, 1), split=np.array([1, 2, 2, 5, 6]), back=np.array([1, 4, 5, 6]),
    )  # fmt: skip
    assert operators(same(net))["TRANSPOSE"] <= 3


def test_tokens_of_an_image_are_its_pixels_in_the_order_of_the_file():
    net = graph(
        """(float[1,3,4,4] x) => (float[1,16,4] y) { a = Conv (x, k) b = Reshape (a, s)
        y = Transpose <perm=[0,2,1]> (b) }""",
        k=K, s=np.array([1, 4, -1]),
    )  # fmt: skip
    assert operators(same(net)) == {"TRANSPOSE": 1, "CONV_2D": 1, "RESHAPE": 1}


@pytest.mark.parametrize(
    "body",
    [
        """d = Transpose <perm=[0,1,3,2]> (a) s = Softmax <axis=1> (a) m = MatMul (a, d)
        y = Add (s, m)""",
        """d = Transpose <perm=[0,1,3,2]> (a) e = Conv (d, l) f = Conv (a, l) y = Add (e, f)""",
        """d = Transpose <perm=[0,1,3,2]> (a) e = Transpose <perm=[0,3,2,1]> (a)
        f = Conv (d, l) g = Conv (e, l) y = Add (f, g)""",
    ],
)
def test_views_of_one_tensor_are_moved_each_by_its_own_names(body: str):
    used = {"l": (8, 8, 1, 1)} if "l)" in body else {}
    same(
        graph(
            f"(float[1,4,8,8] x) => (float[1,8,8,8] y) {{ a = Conv (x, k) {body} }}",
            k=(8, 4, 1, 1), **used,
        )
    )  # fmt: skip


def test_what_is_moved_for_one_view_is_there_for_another():
    made = same(
        graph(
            """(float[1,3,5,6] x) => (float[1,4,5,6] y, float[1,4,6,5] z) { a = Conv (x, k)
            d = Transpose <perm=[0,1,3,2]> (a) y = Softmax <axis=3> (a)
            z = Softmax <axis=2> (d) }""",
            k=K,
        )
    )  # fmt: skip
    assert operators(made)["TRANSPOSE"] == 4  # the input, one for both, the outputs


def test_axes_of_size_1_come_and_go():
    same(
        graph(
            """(float[2,3,5,6] x) => (float[2,4] y, float[2,4,1] z) { a = Conv (x, k)
            p = GlobalAveragePool (a) y = Squeeze (p, two) z = Unsqueeze (y, last) }""",
            k=K, two=np.array([2, 3]), last=np.array([2]),
        )
    )  # fmt: skip


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_flatten(axis: int):
    rows = int(np.prod((2, 4, 5, 6)[:axis], dtype=int))
    same(
        graph(
            f"""(float[2,3,5,6] x) => (float[{rows},{240 // rows}] y) {{ {CONV}
            y = Flatten <axis={axis}> (a) }}""",
            k=K,
        )
    )  # fmt: skip


def test_expand():
    same(
        graph(
            "(float[4,1,6] x) => (float[2,4,5,6] y) { y = Expand (x, s) }", s=np.array([2, 4, 5, 6])
        )
    )


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_becomes_space(mode: str):
    same(
        graph(
            f"""(float[2,12,5,6] x) => (float[2,3,10,12] y) {{
            y = DepthToSpace <blocksize=2, mode="{mode}"> (x) }}"""
        )
    )


def test_a_pixel_shuffle_that_is_spelled_out():
    same(
        graph(
            """(float[1,3,5,6] x) => (float[1,1,10,12] y) { a = Conv (x, k) b = Reshape (a, split)
            c = Transpose <perm=[0,1,4,2,5,3]> (b) y = Reshape (c, back) }""",
            k=K, split=np.array([1, 1, 2, 2, 5, 6]), back=np.array([1, 1, 10, 12]),
        )
    )  # fmt: skip


def test_space_becomes_depth():
    same(graph("(float[2,3,4,6] x) => (float[2,12,2,3] y) { y = SpaceToDepth <blocksize=2> (x) }"))


def test_what_does_nothing_is_not_written():
    net = graph(
        "(float[2,3] x) => (float[2,3] y) { a = Dropout (x) b = Identity (a) y = Relu (b) }"
    )
    assert operators(same(net)) == {"RELU": 1}


def test_what_drops_at_random_is_refused():
    net = graph(
        "(float[2,3] x) => (float[2,3] y) { y = Dropout (x, r, t) }",
        r=np.float32(0.5), t=np.array(True),
    )  # fmt: skip
    with pytest.raises(ConversionFailed, match="as in training"):
        written(net)


def test_every_operator_is_tested_here():
    assert set(OPERATORS) == {
        "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity", "Dropout", "Expand",
        "DepthToSpace", "SpaceToDepth",
    }  # fmt: skip
