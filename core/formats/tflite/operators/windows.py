"""Windows of convolutions and pools: two spatial axes, and padding in the words that TFLite has."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from core.formats.tflite import layout
from core.formats.tflite.flatbuffer import Padding
from core.formats.tflite.net import Net, Stored
from core.graph.windows import Window

PLANE = 2
Pair = tuple[int, ...]


@dataclass(frozen=True)
class Spatial:
    """A window over height and width; that of a signal is one row high."""

    kernel: Pair
    strides: Pair
    dilations: Pair
    before: Pair
    after: Pair

    @classmethod
    def of(cls, window: Window) -> Spatial:
        """The same with a height."""
        ones = (1,) * (PLANE - len(window.kernel))
        zeros = (0,) * len(ones)
        return cls(
            ones + window.kernel, ones + window.strides, ones + window.dilations,
            zeros + window.before, zeros + window.after,
        )  # fmt: skip

    @property
    def reach(self) -> Pair:
        """From the first element that the kernel sees to the last."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    def counts(self, sizes: Pair) -> Pair:
        """How many windows there are."""
        rows = zip(sizes, self.reach, self.strides, self.before, self.after, strict=True)
        return tuple((n + b + a - r) // s + 1 for n, r, s, b, a in rows)

    def needed(self, sizes: Pair, counts: Pair) -> tuple[Pair, Pair]:
        """Elements that are really added before and behind: those that some window sees."""
        rows = zip(sizes, self.reach, self.strides, self.before, counts, strict=True)
        behind = tuple(max((c - 1) * s + r - b - n, 0) for n, r, s, b, c in rows)
        return self.before, behind

    def same(self, sizes: Pair) -> tuple[Pair, Pair]:
        """Elements that TFLite's SAME adds before and behind."""
        rows = zip(sizes, self.reach, self.strides, strict=True)
        total = [max((math.ceil(n / s) - 1) * s + r - n, 0) for n, r, s in rows]
        return tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)

    def is_same(self, sizes: Pair, counts: Pair) -> bool:
        """Whether SAME gives these windows."""
        want = tuple(math.ceil(n / s) for n, s in zip(sizes, self.strides, strict=True))
        return counts == want and self.needed(sizes, counts) == self.same(sizes)


def padding(net: Net, x: Stored, window: Spatial) -> tuple[Padding, Stored]:
    """How a convolution meets the edge, with zeros written in front of it where it must be."""
    sizes = x.shape[2:]
    counts = window.counts(sizes)
    before, behind = window.needed(sizes, counts)
    if not any((*before, *behind)):
        return Padding.VALID, x
    if window.is_same(sizes, counts):
        return Padding.SAME, x
    return Padding.VALID, padded(net, x, before, behind)


def padded(net: Net, x: Stored, before: Pair, behind: Pair, value: float = 0.0) -> Stored:
    """Height and width with this value around; of codes with this code, or what stands for 0."""
    pairs = list(zip(before, behind, strict=True))
    shape = (*x.shape[:2], *(n + b + a for n, (b, a) in zip(x.shape[2:], pairs, strict=True)))
    made = net.fresh(shape, x.order, x.kind, f"{net.name(x)}_padded", x.grid)
    by_axis = [(0, 0), (0, 0), *pairs]
    amounts = net.listed(np.array([by_axis[axis] for axis in x.order], np.int32))
    if value:
        # PADV2 takes a code only on the grid of what it pads
        filler = (
            net.number(value, x.kind)
            if x.grid is None
            else net.file.constant(f"{net.name(x)}_filler", np.array(value, x.kind), x.grid)
        )
        net.file.op("PADV2", [x.tensor, amounts, filler], [made.tensor])
    else:
        net.file.op("PAD", [x.tensor, amounts], [made.tensor])
    return made


def deepened(net: Net, x: Stored, write: bool = True) -> Stored:
    """A signal as an image that is one row high; an image as it is.

    Args:
        net: the network.
        x: in channels-last order.
        write: whether the data is there already; else the image is what will be filled.
    """
    if len(x.shape) != PLANE + 1:
        return x
    shape = (x.shape[0], x.shape[1], 1, x.shape[2])
    order = layout.channels_last(len(shape))
    made = net.fresh(shape, order, x.kind, f"{net.name(x)}_row", x.grid)
    if write:
        net.reshape(x.tensor, made)
    return made


def flattened(net: Net, value: ir.Value, y: Stored) -> None:
    """Give a signal back its shape after a kernel filled it as an image."""
    target = net.given(value)
    if target.tensor != y.tensor:
        net.reshape(y.tensor, target)
