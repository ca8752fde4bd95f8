"""Random weights with the statistics of trained ones.

Independent Gaussian weights would make every channel as important as the next, and nothing could be
removed or refitted. Trained layers have correlated channels (a falling spectrum), kernels that are
nearly separable, batch norms that make some channels large and some nearly dead.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Array = NDArray[Any]
NOISE = 0.3  # share of a weight that no other channel explains
DECAY = 1.0  # exponent by which directions lose strength
STEADY = 0.01  # times the mean variance: what moved less on the few probes is held by it
DEAD, LARGE = 0.05, 0.03  # shares of channels


def kernels(random: Generator, shape: tuple[int, ...], gain: float = 2.0) -> Array:
    """Weights of a convolution (out, in / groups, kh, kw) with deviation sqrt(gain / fan in)."""
    out, fan_in = shape[0], int(np.prod(shape[1:]))
    if shape[1] == 1:  # depthwise: there are no directions to share
        return _to_scale(_separable(random, shape), gain, fan_in)
    latent = max(2, min(out, fan_in) // 2)
    basis = _separable(random, (latent, *shape[1:]))
    mixed = (mixing(random, out, latent) @ basis.reshape(latent, -1)).reshape(shape)
    mixed = mixed / mixed.std() + NOISE * random.standard_normal(shape, dtype=np.float32)
    return _to_scale(mixed, gain, fan_in)


def matrix(random: Generator, inputs: int, outputs: int, gain: float = 1.0) -> Array:
    """Weights of a fully connected layer (inputs, outputs)."""
    return np.ascontiguousarray(kernels(random, (outputs, inputs, 1, 1), gain)[:, :, 0, 0].T)


def mixing(random: Generator, out: int, latent: int) -> Array:
    """(out, latent): how much of each latent direction a channel takes; few directions rule."""
    strength = (1 + np.arange(latent, dtype=np.float32) / max(1, latent // 8)) ** -DECAY
    return random.standard_normal((out, latent), dtype=np.float32) * strength


def scales(random: Generator, channels: int, centre: float = 1.0) -> Array:
    """Factors of a normalisation: log-normal, a few nearly dead and a few large."""
    found = centre * np.exp(0.35 * random.standard_normal(channels))
    lot = random.random(channels)
    found[lot < DEAD] *= 0.02
    found[lot > 1 - LARGE] *= 3
    return found.astype(np.float32)


def shifts(random: Generator, channels: int, centre: float = -0.1, spread: float = 0.4) -> Array:
    """Offsets of a normalisation."""
    return (centre + spread * random.standard_normal(channels)).astype(np.float32)


def moments(array: Array) -> tuple[Array, Array]:
    """Mean and variance of each channel (axis 1) over all the rest; no variance is nothing."""
    axes = tuple(axis for axis in range(array.ndim) if axis != 1)
    mean = array.mean(axes, dtype=np.float64)
    variance = array.var(axes, dtype=np.float64)
    floor = STEADY * float(variance.mean()) + 1e-8
    return mean.astype(np.float32), np.maximum(variance, floor).astype(np.float32)


def _separable(random: Generator, shape: tuple[int, ...]) -> Array:
    """Mostly one column times one row for each pair of channels."""
    out, inputs, height, width = shape
    column = random.standard_normal((out, 1, height, 1), dtype=np.float32)
    row = random.standard_normal((out, 1, 1, width), dtype=np.float32)
    each = random.standard_normal((out, inputs, 1, 1), dtype=np.float32)
    return each * column * row + 0.5 * random.standard_normal(shape, dtype=np.float32)


def _to_scale(weights: Array, gain: float, fan_in: int) -> Array:
    return (weights * (np.sqrt(gain / fan_in) / weights.std())).astype(np.float32)
