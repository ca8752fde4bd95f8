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
import onnx_ir as ir
from numpy.typing import NDArray

Array = np.ndarray[Any, Any]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Sites:
    """Sampled places of a tensor: row i lies in image `images[i]`, at flat place `places[i]`."""

    images: Index
    places: Index

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Window:
    """How a kernel moves over its input; one entry per spatial axis."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]

    def out(self, spatial: Sequence[int]) -> tuple[int, ...]:
        """Output size for an input of this size."""
        rows = zip(
            spatial, self.kernel, self.strides, self.dilations, self.before, self.after, strict=True
        )
        return tuple((n + a + b - (k - 1) * d - 1) // s + 1 for n, k, s, d, a, b in rows)


def window(node: ir.Node, kernel: Sequence[int], spatial: Sequence[int]) -> Window:
    """The window of a Conv over an input of size `spatial`, `auto_pad` resolved."""
    rank = len(kernel)
    strides = _ints(node, "strides", [1] * rank)
    dilations = _ints(node, "dilations", [1] * rank)
    auto = node.attributes.get_string("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
        total = [
            max((math.ceil(n / s) - 1) * s + r - n, 0)
            for n, s, r in zip(spatial, strides, reach, strict=True)
        ]
        less = [t // 2 for t in total]
        more = [t - t // 2 for t in total]
        before, after = (less, more) if auto == "SAME_UPPER" else (more, less)
    else:
        pads = _ints(node, "pads", [0] * 2 * rank) if auto == "NOTSET" else [0] * 2 * rank
        before, after = pads[:rank], pads[rank:]
    return Window(tuple(kernel), tuple(strides), tuple(dilations), tuple(before), tuple(after))


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


def _ints(node: ir.Node, name: str, default: Sequence[int]) -> list[int]:
    attribute = node.attributes.get(name)
    return [int(i) for i in (attribute.as_ints() if attribute is not None else default)]
