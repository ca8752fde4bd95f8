"""Reductions on LiteRT, against ONNX: axes as attribute and as input, kept and dropped."""

from __future__ import annotations

import numpy as np
import pytest

from core.formats.tflite.operators.reduction import OPERATORS
from tests.builders import graph
from tests.formats.tflite.answers import same

SUMS = [name for name in OPERATORS if name.startswith("Reduce")]
EXTREMES = ["ArgMax", "ArgMin"]
X = {"x": np.random.default_rng(0).uniform(0.3, 1.3, (2, 3, 5, 6)).astype(np.float32)}
BEHIND = "a = Conv (x, k)"  # so that the axes lie in another order in the file
KERNEL = np.abs(np.random.default_rng(1).normal(size=(4, 3, 1, 1))).astype(np.float32)


@pytest.mark.parametrize("name", SUMS)
@pytest.mark.parametrize(
    ("axes", "keep", "shape"),
    [((2, 3), 1, "2,4,1,1"), ((2, 3), 0, "2,4"), ((1,), 0, "2,5,6"), ((-1,), 1, "2,4,5,1"),
     ((0, 2), 0, "4,6"), ((0, 1, 2, 3), 0, "")],
)  # fmt: skip
def test_reductions(name: str, axes: tuple[int, ...], keep: int, shape: str):
    made = graph(
        f"""(float[2,3,5,6] x) => (float[{shape}] y) {{ {BEHIND}
        y = {name} <keepdims={keep}> (a, axes) }}""",
        opset=18, k=KERNEL, axes=np.array(axes),
    )  # fmt: skip
    same(made, given=X)


def test_axes_of_an_older_opset_and_none_at_all():
    same(
        graph(
            """(float[2,3,5,6] x) => (float[2,3,1,1] y, float[1,1,1,1] z) {
            y = ReduceMean <axes=[2,3]> (x) z = ReduceMax (x) }""",
            opset=11,
        ),
        given=X,
    )


@pytest.mark.parametrize("name", EXTREMES)
@pytest.mark.parametrize(
    ("axis", "keep", "shape"), [(1, 0, "2,5,6"), (1, 1, "2,1,5,6"), (-1, 0, "2,4,5")]
)
def test_places_of_extremes(name: str, axis: int, keep: int, shape: str):
    made = graph(
        f"""(float[2,3,5,6] x) => (int64[{shape}] y) {{ {BEHIND}
        y = {name} <axis={axis}, keepdims={keep}> (a) }}""",
        k=KERNEL,
    )  # fmt: skip
    same(made, given=X)


def test_every_reduction_is_tested_here():
    assert {*SUMS, *EXTREMES} == set(OPERATORS)
