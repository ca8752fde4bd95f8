"""Random weights with the statistics of trained ones.

Independent Gaussian weights would make every channel as important as the next, so that nothing
could be removed or refitted, and a rounding error in the first layer would grow with every layer
until the outputs hold nothing else. Trained layers look for what they see: their filters lie along
the directions in which their inputs vary, which errors of rounding hardly do. So filters are mixed
here from the principal directions of the layer's own input, the first of them ruling, with nearly
separable patterns in space and some noise; and batch norms make some channels large and some
nearly dead.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Array = NDArray[Any]
NOISE = 0.2  # deviation of what a weight holds beside its directions, in units of the weight's
DECAY = 0.6  # exponent by which directions lose strength
FAINT = 3e-2  # times the variance of the first direction: what varies less is not amplified
DIRECT = (
    1.3  # mean of a pattern, in units of its deviation: most filters smooth, some look for edges
)
SAMPLES = 512  # positions that the directions are found from
STEADY = 0.1  # times the mean variance: what moved less on the few probes is held by it
DEAD, LARGE = 0.05, 0.03  # shares of channels


def kernels(
    random: Generator, seen: Array, out: int, kernel: int, groups: int = 1, gain: float = 2.0
) -> Array:
    """Weights of a convolution (out, in / groups, kernel, kernel) of deviation sqrt(gain / fan in).

    `seen` is the input of the layer on the probes, (batch, in, H, W).
    """
    inputs, each = seen.shape[1] // groups, out // groups
    if inputs == 1:
        mixed = _patterns(random, out, kernel)[:, None]
    else:
        parts = (seen[:, first * inputs : (first + 1) * inputs] for first in range(groups))
        mixed = np.concatenate([_mixed(random, part, each, kernel) for part in parts])
    mixed = mixed + NOISE * mixed.std() * random.standard_normal(mixed.shape, dtype=np.float32)
    scale = np.sqrt(gain / np.prod(mixed.shape[1:])) / mixed.std()
    return np.asarray(mixed * scale, np.float32)


def matrix(random: Generator, seen: Array, outputs: int, gain: float = 1.0) -> Array:
    """Weights of a fully connected layer (inputs, outputs); `seen` is its input, (..., inputs)."""
    rows = seen.reshape(-1, seen.shape[-1], 1, 1)
    return np.ascontiguousarray(kernels(random, rows, outputs, 1, 1, gain)[:, :, 0, 0].T)


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


def _mixed(random: Generator, seen: Array, out: int, kernel: int) -> Array:
    """Filters (out, in, kernel, kernel) along the directions in which `seen` varies."""
    directions = _directions(random, seen)
    if kernel == 1:
        basis = directions.reshape(*directions.shape, 1, 1)
    else:  # each direction with two patterns in space
        twice = np.repeat(directions, 2, axis=0)
        patterns = _patterns(random, len(twice), kernel)
        basis = twice[:, :, None, None] * patterns[:, None]
    mixing = random.standard_normal((out, len(basis)), dtype=np.float32)
    mixed = mixing @ basis.reshape(len(basis), -1)
    return np.asarray(mixed.reshape(out, seen.shape[1], kernel, kernel))


def _directions(random: Generator, seen: Array) -> Array:
    """Principal directions (rank, in) of the channels, as long as a response to them shall be."""
    channels = seen.shape[1]
    rows = seen.transpose(0, 2, 3, 1).reshape(-1, channels)
    # Of few rows only the first directions can be known.
    faint = min(1.0, max(FAINT, 0.1 * channels / len(rows)))
    rows = rows[random.permutation(len(rows))[:SAMPLES]].astype(np.float64)
    rows -= rows.mean(0)
    wide = channels > len(rows)  # then the smaller of the two products has the same directions
    variances, places = np.linalg.eigh((rows @ rows.T if wide else rows.T @ rows) / len(rows))
    variances, places = variances[::-1], places.T[::-1]
    found = places @ rows if wide else places
    found = found / (np.linalg.norm(found, axis=1, keepdims=True) + 1e-12)
    variances = np.maximum(variances, faint * variances[0] + 1e-12)
    strength = (1 + np.arange(len(found))) ** -DECAY / np.sqrt(variances)
    return np.asarray(found * strength[:, None], np.float32)


def _patterns(random: Generator, count: int, kernel: int) -> Array:
    """Patterns in space (count, kernel, kernel): a smooth column times a smooth row."""
    smooth = np.hanning(kernel + 2)[1:-1].astype(np.float32)
    column, row = (
        smooth * (DIRECT + random.standard_normal((count, kernel), dtype=np.float32))
        for _ in range(2)
    )
    rest = 0.1 * random.standard_normal((count, kernel, kernel), dtype=np.float32)
    return np.asarray(column[:, :, None] * row[:, None] + rest)
