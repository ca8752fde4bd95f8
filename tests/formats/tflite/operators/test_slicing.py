"""Parts of tensors and their joining on LiteRT, against ONNX."""

from __future__ import annotations

import numpy as np
import pytest

from core.formats.tflite.operators.slicing import OPERATORS
from tests.builders import graph
from tests.formats.tflite.answers import operators, same

K = (4, 3, 1, 1)
INPUT = "(float[2,3,7,8] x)"  # and 2, 4, 7, 8 behind the convolution


@pytest.mark.parametrize(
    ("starts", "ends", "axes", "steps", "shape"),
    [
        ([1], [3], [1], [1], "2,2,7,8"), ([-3], [9999], [2], [1], "2,4,3,8"),
        ([0, 0], [9, 9], [2, 3], [2, 2], "2,4,4,4"), ([1, 1], [9, 9], [2, 3], [2, 2], "2,4,3,4"),
        ([3], [8], [3], [3], "2,4,7,2"), ([0], [4], [1], [2], "2,2,7,8"),
        ([-1], [-9999], [3], [-1], "2,4,7,8"), ([6], [1], [2], [-2], "2,4,3,8"),
        ([0], [-1], [0], [1], "1,4,7,8"),
    ],
)  # fmt: skip
def test_slices(starts: list[int], ends: list[int], axes: list[int], steps: list[int], shape: str):
    same(
        graph(
            f"{INPUT} => (float[{shape}] y) {{ a = Conv (x, k) y = Slice (a, s, e, d, t) }}",
            k=K, s=np.array(starts), e=np.array(ends), d=np.array(axes), t=np.array(steps),
        )
    )  # fmt: skip


def test_slices_of_an_older_opset():
    same(
        graph(
            "(float[4,6] x) => (float[2,4] y) { y = Slice <starts=[1,0], ends=[3,-2]> (x) }",
            opset=9,
        )
    )


def test_pixels_that_are_skipped_stay_in_xnnpack():
    net = graph(
        "(float[1,3,8,8] x) => (float[1,3,4,4] y) { a = Conv (x, k) y = Slice (a, s, e, d, t) }",
        k=(3, 3, 1, 1), s=np.array([0, 0]), e=np.array([9, 9]), d=np.array([2, 3]),
        t=np.array([2, 2]),
    )  # fmt: skip
    assert operators(same(net))["DEPTHWISE_CONV_2D"] == 1


@pytest.mark.parametrize("sizes", [(2, 2), (1, 3)])
def test_splits(sizes: tuple[int, int]):
    same(
        graph(
            f"""{INPUT} => (float[2,{sizes[0]},7,8] y, float[2,{sizes[1]},7,8] z) {{
            a = Conv (x, k) y, z = Split <axis=1> (a, sizes) }}""",
            k=K, sizes=np.array(sizes),
        )
    )  # fmt: skip


def test_splits_of_an_older_opset():
    same(
        graph(
            """(float[2,6] x) => (float[2,2] y, float[2,4] z) {
            y, z = Split <axis=1, split=[2,4]> (x) }""",
            opset=11,
        )
    )


@pytest.mark.parametrize(
    ("places", "axis", "shape"),
    [
        (2, 1, "2,7,8"),
        ([3, 0], 1, "2,2,7,8"),
        ([-1, 1], 3, "2,4,7,2"),
        ([[0, 1], [2, 0]], 2, "2,4,2,2,8"),
    ],
)
def test_places_that_are_known(places: object, axis: int, shape: str):
    same(
        graph(
            f"{INPUT} => (float[{shape}] y) {{ a = Conv (x, k) y = Gather <axis={axis}> (a, i) }}",
            k=K, i=np.array(places),
        )
    )  # fmt: skip


def test_places_that_are_computed():
    same(graph("(float[5,3] x, int64[4] i) => (float[4,3] y) { y = Gather (x, i) }"))


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
@pytest.mark.parametrize(
    ("pads", "shape"),
    [((0, 0, 1, 2, 0, 0, 2, 1), "2,4,10,11"), ((0, 1, 0, 0, 0, 2, 0, 0), "2,7,7,8"),
     ((0, 0, -1, 1, 0, 0, 2, -2), "2,4,8,7")],
)  # fmt: skip
def test_pads(mode: str, pads: tuple[int, ...], shape: str):
    same(
        graph(
            f"""{INPUT} => (float[{shape}] y) {{ a = Conv (x, k)
            y = Pad <mode="{mode}"> (a, pads) }}""",
            opset=19, k=K, pads=np.array(pads),
        )
    )  # fmt: skip


def test_pads_with_a_number_and_of_chosen_axes():
    same(
        graph(
            f"{INPUT} => (float[2,4,7,11] y) {{ a = Conv (x, k) y = Pad (a, pads, v, axes) }}",
            opset=18, k=K, pads=np.array([1, 2]), v=np.float32(-1.5), axes=np.array([3]),
        )
    )  # fmt: skip


def test_pads_of_an_older_opset():
    same(
        graph(
            "(float[2,3] x) => (float[3,5] y) { y = Pad <pads=[1,0,0,2], value=0.5> (x) }", opset=9
        )
    )


@pytest.mark.parametrize(("axis", "shape"), [(1, "2,8,7,8"), (2, "2,4,14,8"), (-1, "2,4,7,16")])
def test_joins(axis: int, shape: str):
    same(
        graph(
            f"""{INPUT} => (float[{shape}] y) {{ a = Conv (x, k) b = Relu (a)
            y = Concat <axis={axis}> (a, b) }}""",
            k=K,
        )
    )  # fmt: skip


def test_a_constant_is_joined_to_what_is_computed():
    same(
        graph(
            """(float[1,3,2,2] x) => (float[1,5,2,2] y) { a = Conv (x, k)
            y = Concat <axis=1> (a, c) }""",
            k=K, c=(1, 1, 2, 2),
        )
    )  # fmt: skip


def test_tiles():
    same(graph("(float[2,3] x) => (float[4,9] y) { y = Tile (x, r) }", r=np.array([2, 3])))


def test_every_operator_is_tested_here():
    assert set(OPERATORS) == {"Slice", "Split", "Gather", "Pad", "Concat", "Tile"}
