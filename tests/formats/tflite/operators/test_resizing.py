"""Resize on LiteRT, against ONNX: every mode of places and of coordinates, larger and smaller."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import ConversionFailed
from core.formats.tflite.operators.resizing import OPERATORS
from core.graph import infer_shapes
from tests.builders import graph
from tests.formats.tflite.answers import operators, same

PLACES = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"]
ROUNDINGS = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
SIZES = {(2.0, 2.0): "14,16", (3.0, 1.5): "21,12", (0.5, 0.75): "3,6"}


def resize(attributes: str, scales: tuple[float, float], behind: str = "a = Relu (x)"):
    made = graph(
        f"(float[1,3,7,8] x) => (float[1,3,{SIZES[scales]}] y) {{ {behind} "
        f"y = Resize <{attributes}> (a, , scales) }}",
        opset=19, scales=np.array([1, 1, *scales], np.float32),
    )  # fmt: skip
    infer_shapes(made)
    return made


@pytest.mark.parametrize("how", PLACES)
@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("scales", SIZES)
def test_nearest(how: str, rounding: str, scales: tuple[float, float]):
    attributes = (
        f'mode="nearest", coordinate_transformation_mode="{how}", nearest_mode="{rounding}"'
    )
    same(resize(attributes, scales), 0)


@pytest.mark.parametrize("how", PLACES)
@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("scales", SIZES)
def test_sums_of_neighbours(how: str, mode: str, scales: tuple[float, float]):
    same(resize(f'mode="{mode}", coordinate_transformation_mode="{how}"', scales))


def test_cubic_without_what_lies_outside():
    same(resize('mode="cubic", exclude_outside=1, cubic_coeff_a=-0.5', (2.0, 2.0)))


@pytest.mark.parametrize("how", ["half_pixel", "align_corners", "asymmetric"])
def test_what_tflite_has_is_one_operator(how: str):
    made = resize(f'mode="linear", coordinate_transformation_mode="{how}"', (2.0, 2.0))
    assert operators(same(made))["RESIZE_BILINEAR"] == 1


def test_by_sizes():
    same(
        graph(
            """(float[1,3,7,8] x) => (float[1,3,10,5] y) {
            y = Resize <mode="linear"> (x, , , sizes) }""",
            opset=19, sizes=np.array([1, 3, 10, 5]),
        )
    )  # fmt: skip


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_the_older_operator(mode: str):
    same(
        graph(
            f"""(float[1,3,7,8] x) => (float[1,3,14,16] y) {{
            y = Upsample <mode="{mode}"> (x, scales) }}""",
            opset=9, scales=np.array([1, 1, 2, 2], np.float32),
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("attributes", "why"),
    [('mode="linear", antialias=1', "smoothed"),
     ('mode="linear", coordinate_transformation_mode="tf_crop_and_resize"', "crops")],
)  # fmt: skip
def test_what_cannot_be_exact_is_refused(attributes: str, why: str):
    with pytest.raises(ConversionFailed, match=why):
        same(resize(attributes, (0.5, 0.75)))


def test_both_operators_are_in_the_table():
    assert set(OPERATORS) == {"Resize", "Upsample"}
