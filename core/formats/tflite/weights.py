"""Weights and biases of layers, in the order of axes that TFLite's kernels read.

Codes of a QDQ file stay codes: of a layer that computes with integers as they are, else behind a
Dequantize, which the runtime does once when it loads the file. Left to itself, LiteRT would round
the activations of a float layer with int8 weights in every run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from core.formats.tflite.codes import Codes, codes
from core.formats.tflite.flatbuffer import Grid
from core.formats.tflite.layout import Order, Shape
from core.formats.tflite.net import Net, Stored
from core.formats.tflite.refusal import Refused

Array = np.ndarray[Any, Any]
ACCUMULATOR = np.iinfo(np.int32)


@dataclass(frozen=True)
class Arranged:
    """How a kernel is stored: ONNX's axes, of which some were added, in TFLite's order.

    Attributes:
        shape: before the axes are moved.
        order: of that shape's axes in the file.
        channel: where in the file the outputs of the layer lie.
    """

    shape: Shape
    order: Order
    channel: int = 0

    def of(self, array: Array) -> Array:
        """A view of the kernel as it is stored."""
        return array.reshape(self.shape).transpose(self.order)


def values(net: Net, value: ir.Value | None) -> Array:
    """The numbers of a kernel.

    Raises:
        Refused: they are computed while the model runs.
    """
    held = codes(value)
    array = held.values() if held is not None else net.array(value)
    if array is None:
        raise Refused("its weights are computed while the model runs")
    return array.astype(np.float32, copy=False)


def tensor(net: Net, value: ir.Value | None, how: Arranged, integral: bool) -> Stored:
    """The kernel as a constant, of codes if the layer computes with them, else of numbers."""
    held, name = codes(value), value.name or "" if value is not None else ""
    if held is not None and held.data.dtype == np.int8:
        found = _coded(net, held, how, name)
        return found if integral else net.numbers(found)
    array = values(net, value) if net.array(value) is None else net.known(value, "kernel")
    return net.of_array(array.reshape(how.shape), name, how.order)


def _coded(net: Net, held: Codes, how: Arranged, name: str) -> Stored:
    grid = held.grid(how.order)
    number = net.file.constant(f"{name}_codes", how.of(held.data), grid)
    return Stored(number, how.shape, how.order, "int8", grid)


def bias(
    net: Net, value: ir.Value | None, count: int, kernel: Stored | None, source: Stored
) -> int:
    """The tensor of a bias with `count` entries; zeros where there is none.

    Raises:
        Refused: it is computed while the model runs.
    """
    held = codes(value)
    numbers = np.zeros(count, np.float32) if value is None else None
    if kernel is None or kernel.grid is None or source.grid is None:
        return float_bias(net, values(net, value) if numbers is None else numbers, count)
    step = np.float32(source.grid.scale[0]) * np.array(kernel.grid.scale, np.float32)
    grid = Grid(tuple(float(s) for s in step))
    if held is not None and held.data.dtype == np.int32 and _close(held, step):
        return net.file.constant("bias", held.data.reshape(count), grid)
    real = values(net, value) if numbers is None else numbers
    rounded = np.rint(np.broadcast_to(real.ravel(), count) / step.astype(np.float64))
    kept = np.clip(rounded, ACCUMULATOR.min, ACCUMULATOR.max).astype(np.int32)
    return net.file.constant("bias", kept, grid)


def float_bias(net: Net, numbers: Array, count: int) -> int:
    """The tensor of a bias of float32."""
    spread = np.ascontiguousarray(np.broadcast_to(numbers.ravel(), count), np.float32)
    return net.listed(spread)


def _close(held: Codes, step: Array) -> bool:
    return held.zero == 0 and bool(np.allclose(np.array(held.scale), step, rtol=1e-5))
