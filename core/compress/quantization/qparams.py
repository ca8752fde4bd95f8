"""Quantization parameters: which integers stand for which real numbers.

x ~ scale * (q - zero), q a whole number of 8 (or 4, 16) bits. Zero is always exact, because padding
and ReLU make exact zeros. Weights are symmetric (zero = 0) with one scale per output channel.
A bias is an int32 of scale s_x * s_w, which is what an integer kernel adds to its accumulator.

Source: Jacob et al. 2018, arXiv:1712.05877, section 2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Range = tuple[float, float]

SMALLEST_SCALE = 1e-12  # a dead channel still needs a scale that is a normal float32
LARGEST_BIAS = float(1 << 30)
STRETCHES = np.linspace(0.99, 1.02, 61)


@dataclass(frozen=True, slots=True)
class Grid:
    """The grid of an activation: one scale, one zero point."""

    scale: float
    zero: int
    signed: bool = False
    bits: int = 8

    @property
    def dtype(self) -> np.dtype[Any]:
        """The integers that the file holds."""
        return np.dtype(f"{'' if self.signed else 'u'}int{self.bits}")

    @property
    def lowest(self) -> int:
        """The smallest integer."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def highest(self) -> int:
        """The largest integer."""
        return self.lowest + (1 << self.bits) - 1

    @property
    def bounds(self) -> Range:
        """The smallest and the largest real number on the grid."""
        return self.scale * (self.lowest - self.zero), self.scale * (self.highest - self.zero)

    def quantize(self, values: Array) -> Array:
        """Real numbers to integers, ties to even as ONNX says."""
        codes = np.rint(values.astype(np.float32) / np.float32(self.scale)) + self.zero
        return np.asarray(np.clip(codes, self.lowest, self.highest), self.dtype)

    def dequantize(self, codes: Array) -> Array:
        """Integers to real numbers."""
        return np.asarray((codes.astype(np.float32) - self.zero) * np.float32(self.scale))


def over(extent: Range, signed: bool = False, bits: int = 8) -> Grid:
    """The grid that spans a range, widened to hold zero."""
    low, high = min(extent[0], 0.0), max(extent[1], 0.0)
    levels = (1 << bits) - 1
    scale = float(np.float32(max((high - low) / levels, SMALLEST_SCALE)))
    lowest = -(1 << (bits - 1)) if signed else 0
    zero = int(np.clip(np.rint(lowest - low / scale), lowest, lowest + levels))
    return Grid(scale, zero, signed, bits)


def around_zero(extent: Range, bits: int = 8) -> Grid:
    """The signed grid with zero in its middle that reaches both ends of a range."""
    reach = max(-extent[0], extent[1])
    levels = (1 << (bits - 1)) - 1
    return Grid(float(np.float32(max(reach / levels, SMALLEST_SCALE))), 0, True, bits)


def fitted(grid: Grid, levels: Array, moved: bool = True) -> Grid:
    """A grid near `grid` that a tensor of few distinct values, such as an image's, loses least on.

    Pixels scaled to -1 .. 1 lie exactly between the numbers of the grid that spans them, as far
    from it as can be: a scale half a percent larger quarters their error.

    Args:
        grid: spans the values.
        levels: the values.
        moved: whether the zero point may be another one.
    """
    near = range(max(grid.zero - 1, grid.lowest), min(grid.zero + 1, grid.highest) + 1)
    trials = [grid] + [
        replace(grid, scale=float(np.float32(grid.scale * stretch)), zero=zero)
        for stretch in STRETCHES
        for zero in (near if moved else [grid.zero])
    ]
    values = levels.astype(np.float32)
    errors = [float(np.mean((t.dequantize(t.quantize(values)) - values) ** 2)) for t in trials]
    return trials[int(np.argmin(errors))]


@dataclass(frozen=True, eq=False)
class Weight:
    """The integers of one layer.

    Attributes:
        codes: int8, in the layout of the file.
        scales: float32, one per output channel, or a single one.
        axis: the axis of the output channels.
        bias: float, (outputs,): what the layer adds, repairs included; None if it adds nothing.
        bits: width that the codes stay within.
        packed: stored for a runtime to unpack while it loads, see `packing`.
    """

    codes: Array
    scales: Array
    axis: int
    bias: Array | None = None
    bits: int = 8
    packed: bool = False

    def values(self) -> Array:
        """The real weights that the codes stand for."""
        shape = [1] * self.codes.ndim
        if self.scales.size > 1:
            shape[self.axis] = -1
        return np.asarray(self.codes.astype(np.float32) * self.scales.reshape(shape))


def bias_codes(bias: Array, input_scale: float, scales: Array) -> tuple[Array, Array]:
    """(int32 codes, float32 scales) of a bias under the scales of input and weights."""
    product = np.float32(input_scale) * np.broadcast_to(scales, bias.shape).astype(np.float32)
    codes = np.rint(bias.astype(np.float64) / product)
    return np.clip(codes, -LARGEST_BIAS, LARGEST_BIAS).astype(np.int32), product


def widened(scales: Array, bias: Array | None, input_scale: float) -> Array:
    """Weight scales, enlarged where the bias would not fit into 32 bits."""
    if bias is None:
        return scales
    needed = np.abs(bias) / (LARGEST_BIAS * input_scale)
    if scales.size == 1:
        needed = needed.max(initial=0.0)
    return np.maximum(scales, needed).astype(np.float32)
