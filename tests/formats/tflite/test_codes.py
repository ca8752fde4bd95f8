"""Codes of a QDQ file: uint8 shifted to int8, the numbers that they stand for unchanged."""

from __future__ import annotations

import numpy as np
import pytest

from core.formats.tflite.codes import codes, grid_of, is_scaled
from tests.builders import graph
from tests.formats.tflite.answers import same

BY_CHANNEL = (
    "(float[1,3] x) => (float[1,2] y) { w = DequantizeLinear <axis=1> (q, s, z) y = MatMul (x, w) }"
)
RANDOM = np.random.default_rng(4)


@pytest.mark.parametrize(
    ("low", "high", "kind", "zero", "stored"),
    [(-128, 127, "int8", 3, 3), (0, 255, "uint8", 131, 3)],
)
def test_codes_mean_what_onnx_says(low: int, high: int, kind: str, zero: int, stored: int):
    data = RANDOM.integers(low, high, (3, 2)).astype(kind)
    scale = np.array([0.5, 0.25], np.float32)
    made = graph(BY_CHANNEL, q=data, s=scale, z=np.full(2, zero, kind))
    found = codes(made.graph[0].outputs[0])
    assert found is not None
    assert (found.data.dtype, found.zero, found.axis) == (np.int8, stored, 1)
    assert not found.symmetric
    np.testing.assert_array_equal(found.values(), (data.astype(np.float32) - zero) * scale)
    grid = found.grid((1, 0))
    assert (grid.axis, grid.scale, grid.zero) == (0, (0.5, 0.25), stored)


def test_zero_points_that_differ_are_none_of_tflite():
    made = graph(BY_CHANNEL, q=np.zeros((3, 2), np.int8), s=np.ones(2, np.float32),
                 z=np.array([0, 1], np.int8))  # fmt: skip
    assert codes(made.graph[0].outputs[0]) is None


@pytest.mark.parametrize(("kind", "zero"), [("uint8", 128), ("int8", 0)])
def test_a_grid_of_activations_has_the_zero_of_signed_codes(kind: str, zero: int):
    made = graph(
        f"(float[4] x) => ({kind}[4] y) {{ y = QuantizeLinear (x, s, z) }}",
        s=np.array(0.125, np.float32), z=np.array(zero, kind),
    )  # fmt: skip
    found = grid_of(made.graph[0])
    assert found is not None
    assert (found.scale, found.zero) == ((0.125,), 0)


@pytest.mark.parametrize(("kind", "number"), [("uint8", 2), ("int8", 3)])
@pytest.mark.parametrize("more", ["", ', ""'])
def test_a_zero_that_is_left_out_is_of_the_type_of_the_codes(kind: str, number: int, more: str):
    made = graph(
        f"""(float[4] x) => ({kind}[4] q, float[4] y) {{
        q = QuantizeLinear <output_dtype={number}> (x, s{more}) y = DequantizeLinear (q, s{more})
        }}""",
        opset=21, s=np.array(0.125, np.float32),
    )  # fmt: skip
    for node in made.graph:
        found = grid_of(node)
        assert found is not None
        assert (found.scale, found.zero) == ((0.125,), -128 if kind == "uint8" else 0)
    same(made, 1e-6)


def test_codes_that_are_given_have_the_zero_of_their_type():
    same(
        graph(
            "(int8[4] x) => (float[4] y) { y = DequantizeLinear (x, s) }",
            s=np.array(0.125, np.float32),
        ),
        1e-6,
        given={"x": np.array([-128, -1, 0, 127], np.int8)},
    )


def test_codes_of_16_bits_have_no_grid():
    made = graph(
        "(float[4] x) => (int16[4] y) { y = QuantizeLinear (x, s, z) }", opset=21,
        s=np.array(0.125, np.float32), z=np.array(0, np.int16),
    )  # fmt: skip
    assert grid_of(made.graph[0]) is None


PACKED = "(float[1,32] x) => (float[1,16] y) { w = Mul (q, s) y = MatMul (x, w) }"
WHOLE = RANDOM.integers(-128, 128, (32, 16)).astype(np.float32)


def test_unpacked_integers_times_scales_are_codes():
    scale = RANDOM.uniform(0.1, 1, (1, 16)).astype(np.float32)
    made = graph(PACKED, q=WHOLE, s=scale)
    assert is_scaled(made.graph[0])
    found = codes(made.graph[0].outputs[0])
    assert found is not None
    assert (found.data.dtype, found.axis, found.symmetric) == (np.int8, 1, True)
    np.testing.assert_array_equal(found.values(), WHOLE * scale)
    same(made)


@pytest.mark.parametrize(
    ("whole", "scale"),
    [(WHOLE + 0.5, np.ones((1, 16))), (WHOLE * 2, np.ones((1, 16))), (WHOLE, -np.ones((1, 16))),
     (WHOLE, np.ones((32, 16)))],
)  # fmt: skip
def test_other_products_are_numbers(whole: np.ndarray, scale: np.ndarray):
    made = graph(PACKED, q=whole.astype(np.float32), s=scale.astype(np.float32))
    assert not is_scaled(made.graph[0])
    same(made)
