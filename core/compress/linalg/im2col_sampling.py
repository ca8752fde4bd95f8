"""im2col at sampled places of a layer's output: the rows of the linear system behind it.

A convolution is a matrix product over patches: y[p] = W x[p] + b, where x[p] holds the values under
the kernel at output place p, channel by channel (columns ordered as a filter's elements are). All
places of all images would be far more rows than a fit needs; `pick` draws some of each image, the
same ones whenever it is asked with the same seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.graph.windows import Window

Array = np.ndarray[Any, Any]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Sites:
    """Sampled places of a tensor: row i lies in image `images[i]`, at flat place `places[i]`."""

    images: Index
    places: Index

    def __len__(self) -> int:
        return len(self.images)


def pick(shape: Sequence[int], channel_axis: int, per_image: int, seed: int) -> Sites:
    """Up to `per_image` places of each image of a tensor of this shape, without repeats."""
    sizes = [d for a, d in enumerate(shape) if a not in (0, channel_axis % len(shape))]
    count, total = shape[0], math.prod(sizes)
    if total <= per_image:
        places = np.tile(np.arange(total), count)
        return Sites(np.repeat(np.arange(count), total), places)
    random = np.random.default_rng(seed)
    places = np.argpartition(random.random((count, total)), per_image, axis=1)[:, :per_image]
    return Sites(np.repeat(np.arange(count), per_image), places.reshape(-1))


def values_at(tensor: Array, channel_axis: int, sites: Sites) -> Array:
    """Channels at the sites, shape (rows, channels)."""
    last = np.moveaxis(tensor, channel_axis, -1)
    rows = last.reshape(len(tensor), -1, last.shape[-1])
    return np.asarray(rows[sites.images, sites.places])


def patches_at(tensor: Array, sites: Sites, over: Window) -> Array:
    """What the kernel sees at the sites, shape (rows, channels * taps).

    Args:
        tensor: input of the convolution, (N, C, *spatial).
        sites: places of its output.
        over: how the kernel moves.
    """
    found = taps_at(tensor, sites, over)
    return np.ascontiguousarray(found.transpose(0, 2, 1)).reshape(len(sites), -1)


def taps_at(tensor: Array, sites: Sites, over: Window) -> Array:
    """The same as it lies in memory, tap by tap: shape (rows, taps, channels)."""
    padded, reach = _channels_last(tensor, over), np.zeros(1, np.int64)
    first = sites.images
    starts = np.unravel_index(sites.places, over.out(tensor.shape[2:]))
    for axis, start in enumerate(starts):
        size = padded.shape[1 + axis]
        first = first * size + start * over.strides[axis]
        taps = np.arange(over.kernel[axis]) * over.dilations[axis]
        reach = (reach[:, None] * size + taps).reshape(-1)
    index = (first[:, None] + reach).reshape(-1)
    flat = padded.reshape(-1, padded.shape[-1])
    found = np.take(flat, index, axis=0, mode="clip")  # the other modes copy once more
    return found.reshape(len(sites), len(reach), -1)


def _channels_last(tensor: Array, over: Window) -> Array:
    """(N, *spatial, C), with the zeros around it that the window reaches."""
    moved = np.moveaxis(tensor, 1, -1)
    if not any((*over.before, *over.after)):
        return np.ascontiguousarray(moved)
    margins = zip(tensor.shape[2:], over.before, over.after, strict=True)
    padded = np.zeros((len(tensor), *map(sum, margins), tensor.shape[1]), tensor.dtype)
    inner = tuple(slice(b, b + n) for n, b in zip(tensor.shape[2:], over.before, strict=True))
    padded[(slice(None), *inner)] = moved
    return padded
