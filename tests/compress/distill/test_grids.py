"""Weights and activations on their grids: what is written is what a quantizer finds again."""

from __future__ import annotations

import numpy as np
import pytest

from tests.builders import graph, run

torch = pytest.importorskip("torch", reason="PyTorch is not installed: requirements/torch.txt")

from core.compress.distill.grids import ActivationGrid, WeightGrid, on_grid  # noqa: E402


def by_largest(weight: np.ndarray, axis: int, bits: int) -> np.ndarray:
    """Symmetric rounding per channel, the scale by the largest magnitude."""
    others = tuple(i for i in range(weight.ndim) if i != axis)
    levels = 2 ** (bits - 1) - 1
    scale = np.abs(weight).max(others, keepdims=True) / levels
    return np.round(weight / scale) * scale


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("factor", [0.1, 1.0, 20.0])
def test_a_quantizer_by_the_largest_magnitude_finds_the_same_grid(bits, axis, factor):
    weight = torch.randn(6, 5, 3, 3, generator=torch.Generator().manual_seed(bits))
    grid = WeightGrid(weight, axis, bits)
    grid.log_scale.data += float(np.log(factor))  # wherever learning may lead the scale
    written = on_grid(grid, weight)
    np.testing.assert_allclose(by_largest(written, axis, bits), written, rtol=0, atol=1e-6)
    others = tuple(i for i in range(4) if i != axis)
    scale = np.abs(written).max(others, keepdims=True) / grid.levels
    counts = written / scale
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-3)
    assert np.abs(counts).max() == pytest.approx(grid.levels)


def test_the_first_scale_is_no_worse_than_the_largest_magnitude():
    weight = torch.randn(8, 64, generator=torch.Generator().manual_seed(1))
    plain = ((by_largest(weight.numpy(), 0, 4) - weight.numpy()) ** 2).sum()
    found = ((on_grid(WeightGrid(weight, 0, 4), weight) - weight.numpy()) ** 2).sum()
    assert found < plain


def test_a_grid_per_channel_goes_through_a_folded_norm():
    weight = torch.randn(6, 5, 3, 3, generator=torch.Generator().manual_seed(2))
    written = on_grid(WeightGrid(weight, 0, 4), weight)
    folded = written * np.random.default_rng(0).uniform(-3, 3, (6, 1, 1, 1)).astype(np.float32)
    np.testing.assert_allclose(by_largest(folded, 0, 4), folded, rtol=0, atol=1e-5)


def test_a_channel_of_zeros_stays_zero():
    written = on_grid(WeightGrid(torch.zeros(2, 3), 0, 4), torch.zeros(2, 3))
    assert not written.any()
    assert np.isfinite(written).all()


def test_gradients_pass_the_rounding_and_stop_at_the_clipping():
    weight = torch.tensor([[0.31, -0.44, 7.0]], requires_grad=True)
    grid = WeightGrid(weight, 0, 4)
    grid.log_scale.data.fill_(float(np.log(0.5)))  # Q * s = 3.5: the last one is clipped
    grid(weight).sum().backward()
    np.testing.assert_allclose(weight.grad.numpy(), [[1.0, 1.0, 0.0]])
    assert float(grid.log_scale.grad.abs().sum()) > 0


def test_an_activation_is_rounded_as_the_runtime_rounds_it():
    x = np.random.default_rng(0).normal(size=(4, 7)).astype(np.float32)
    grid = ActivationGrid(8)
    grid.observe(torch.from_numpy(x))
    grid.frozen = True
    scale = np.array((grid.high - grid.low) / 255, np.float32)
    zero = np.array(round(-grid.low / float(scale)), np.uint8)
    net = graph(
        """(float[4,7] x) => (float[4,7] y) {
            q = QuantizeLinear (x, s, z) y = DequantizeLinear (q, s, z) }""",
        s=scale, z=zero,
    )  # fmt: skip
    (wanted,) = run(net, {"x": x})
    np.testing.assert_allclose(grid(torch.from_numpy(x)).numpy(), wanted, atol=1e-5)


def test_a_range_follows_the_values_until_it_is_frozen():
    grid = ActivationGrid(8)
    grid(torch.tensor([0.0, 4.0]))
    assert (grid.low, grid.high) == (0.0, 4.0)
    grid(torch.tensor([-1.0, 8.0]))
    assert -1.0 < grid.low < 0.0
    assert 4.0 < grid.high < 8.0
    grid.frozen, before = True, (grid.low, grid.high)
    grid(torch.tensor([-100.0, 100.0]))
    assert (grid.low, grid.high) == before
