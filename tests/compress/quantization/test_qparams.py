"""Grids: zero is exact, ends are in range, biases fit, no processor overflows."""

from __future__ import annotations

import numpy as np
import pytest

from core.compress.quantization import gptq
from core.compress.quantization.qparams import around_zero, bias_codes, fitted, over, widened
from core.compress.quantization.target_scheme import LARGEST_PAIR, Scheme
from tests.compress.quantization.nets import output_error, random


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("extent", [(-1.0, 3.0), (0.5, 2.0), (-4.0, -1.0), (0.0, 0.0), (-2.0, 0.0)])
def test_zero_is_exact_and_the_range_is_held(extent, signed, bits):
    grid = over(extent, signed, bits)
    assert grid.lowest <= grid.zero <= grid.highest
    assert grid.dequantize(grid.quantize(np.zeros(1)))[0] == 0.0
    x = np.linspace(*extent, 101)
    error = np.abs(grid.dequantize(grid.quantize(x)) - x)
    assert error.max() <= grid.scale * 0.5 * 1.01 + 1e-7 * max(map(abs, extent), default=0)


def test_a_range_from_zero_cuts_off_like_relu():
    grid = over((0.0, 4.0))
    np.testing.assert_array_equal(grid.dequantize(grid.quantize(np.array([-3.0, -0.1]))), 0.0)


def rounding_error(grid, values):
    return float(np.mean((grid.dequantize(grid.quantize(values)) - values) ** 2))


def test_pixels_between_the_numbers_of_the_grid_get_a_better_one():
    pixels = (np.arange(256, dtype=np.float32) - 127.5) / 127.5
    grid = over((-1.0, 1.0))
    better = fitted(grid, pixels)
    assert rounding_error(grid, pixels) > 0.24 * grid.scale**2  # all but the worst there is
    assert rounding_error(better, pixels) < rounding_error(grid, pixels) / 3
    assert better.dequantize(better.quantize(np.zeros(1)))[0] == 0.0


def test_pixels_on_the_grid_keep_it():
    pixels = np.arange(256, dtype=np.float32) / 255
    assert fitted(over((0.0, 1.0)), pixels) == over((0.0, 1.0))


def test_a_bias_too_large_for_its_scale_widens_the_scale():
    bias, scales = np.array([1e6, 1.0]), np.array([1e-7, 1e-3], np.float32)
    wide = widened(scales, bias, 1e-4)
    codes, product = bias_codes(bias, 1e-4, wide)
    assert wide[1] == scales[1]
    np.testing.assert_allclose(codes * product, bias, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("second", [False, True])
def test_neighbouring_channels_never_overflow_16_bits(second):
    matrix = random(1, 6, 4 * 9, scale=1.0).astype(np.float64)
    matrix[0, 0] = 0.99  # the worst case: all equal and of one sign
    partner = gptq.neighbours(36, 9)
    scales = np.maximum(
        np.abs(matrix).max(2) / 127, np.abs(matrix + matrix[:, :, partner]).max(2) / LARGEST_PAIR
    )
    if second:
        x = random(500, 36, scale=1.0, seed=3).astype(np.float64)
        codes = gptq.gptq(matrix, scales, 127, (x.T @ x)[None] / 500, partner)
    else:
        codes = gptq.nearest(matrix, scales, 127, partner)
    by_channel = codes.reshape(6, 4, 9)
    pairs = by_channel[:, 0::2] + by_channel[:, 1::2]
    assert np.abs(pairs).max() <= LARGEST_PAIR
    assert np.abs(codes).max() <= 127
    assert 255 * np.abs(pairs).max() < 2**15


def test_pairing_depends_on_the_layer():
    risky, safe = Scheme(saturates=True), Scheme()
    assert safe.pairing(3, 1) == (127, False)
    assert risky.pairing(16, 1) == (127, True)
    assert risky.pairing(3, 1) == (64, False)
    assert risky.pairing(1, 32) == (127, False)


def test_gptq_keeps_the_output_better_than_rounding_to_nearest():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2000, 24)) @ rng.standard_normal((24, 24))
    second = (x.T @ x / len(x))[None]
    matrix = rng.standard_normal((1, 16, 24))
    scales = np.abs(matrix).max(2) / 7
    errors = [
        output_error(matrix, codes, scales, second)
        for codes in (
            gptq.nearest(matrix, scales, 7),
            gptq.gptq(matrix, scales, 7, second),
        )
    ]
    assert errors[1] < 0.6 * errors[0]


def test_inputs_that_are_always_zero_leave_gptq_finite():
    second = np.zeros((1, 6, 6))
    second[0, 0, 0] = 1.0
    codes = gptq.gptq(np.ones((1, 2, 6)), np.full((1, 2), 0.01), 127, second)
    assert np.isfinite(codes).all()


@pytest.mark.parametrize("groups", [1, 3])
def test_gptq_takes_up_errors_as_the_inverse_says(groups):
    """The usual form: what is left of the columns ahead moves by rows of the inverse's factor."""
    rng = np.random.default_rng(groups)
    d, limit = 40, 7
    x = rng.standard_normal((groups, 300, d)) @ rng.standard_normal((groups, d, d))
    second = x.transpose(0, 2, 1) @ x / 300
    matrix = rng.standard_normal((groups, 5, d))
    scales = np.abs(matrix).max(2) / limit
    found = gptq.gptq(matrix, scales, limit, second)
    for g in range(groups):
        order = np.argsort(-np.diagonal(second[g]))
        ridged = second[g] + gptq.RIDGE * np.trace(second[g]) / d * np.eye(d)
        upper = np.linalg.cholesky(np.linalg.inv(ridged[np.ix_(order, order)])).T
        left, wanted = matrix[g][:, order].copy(), np.zeros((5, d))
        for j in range(d):
            wanted[:, j] = np.clip(np.rint(left[:, j] / scales[g]), -limit, limit)
            error = (left[:, j] - wanted[:, j] * scales[g]) / upper[j, j]
            left[:, j:] -= error[:, None] * upper[j, j:]
        np.testing.assert_array_equal(found[g][:, order], wanted)


@pytest.mark.parametrize("power", [1e0, 1e9])
def test_a_wide_layer_is_rounded_alike_in_single_precision(monkeypatch, power):
    """Also where one direction is so strong that single precision has no factor."""
    rng = np.random.default_rng(0)
    d = 64
    x = rng.standard_normal((200, d))
    strong = rng.standard_normal(d)
    second = (x.T @ x / 200 + power * np.outer(strong, strong))[None]
    matrix = rng.standard_normal((1, 5, d))
    scales = np.abs(matrix).max(2) / 127
    monkeypatch.setattr(gptq, "RIDGE", 1e-2 if power == 1 else 1e-9)
    double = gptq.gptq(matrix, scales, 127, second)
    monkeypatch.setattr(gptq, "WIDE", 1)
    single = gptq.gptq(matrix, scales, 127, second)
    errors = [output_error(matrix, c, scales, second) for c in (double, single)]
    assert errors[1] <= 1.02 * errors[0]
    assert np.abs(double - single).max() <= 1 if power == 1 else np.isfinite(single).all()


@pytest.mark.parametrize("extent", [(-1.0, 1.0), (-0.7, 1.0), (-2.0, 1.5)])
def test_a_grid_around_zero_has_no_zero_point_and_reaches_both_ends(extent):
    grid = around_zero(extent)
    assert (grid.zero, grid.signed) == (0, True)
    values = np.array([*extent, 0.0], np.float32)
    np.testing.assert_allclose(grid.dequantize(grid.quantize(values)), values, atol=grid.scale)
    assert grid.scale <= max(-extent[0], extent[1]) / 127 * 1.0001
