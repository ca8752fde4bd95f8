"""Codes: integers of a QDQ file as TFLite stores them, which is signed.

uint8 codes lose 128, and so does their zero point: the numbers that they stand for are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from core.formats.tflite.flatbuffer import Grid
from core.formats.tflite.layout import Order
from core.graph import constant
from core.graph.operators import STANDARD
from core.graph.values import origin

Array = np.ndarray[Any, Any]
SHIFT = 128
SMALL = 1 << 8  # elements; fewer are not worth a type of their own


@dataclass(frozen=True)
class Codes:
    """A constant behind DequantizeLinear.

    Attributes:
        data: int8, or int32 of a bias.
        scale: one, or one for each entry of `axis`.
        zero: the code of 0.
        axis: ONNX's.
    """

    data: Array
    scale: tuple[float, ...]
    zero: int
    axis: int = 0

    def values(self) -> Array:
        """The numbers, in float32."""
        scale = np.array(self.scale, np.float32)
        if scale.size > 1:
            scale = scale.reshape([-1 if a == self.axis else 1 for a in range(self.data.ndim)])
        return ((self.data.astype(np.int32) - self.zero) * scale).astype(np.float32)

    def grid(self, order: Order) -> Grid:
        """What the codes mean when their axes lie in this order."""
        axis = order.index(self.axis) if len(self.scale) > 1 else 0
        return Grid(self.scale, self.zero, axis)

    @property
    def symmetric(self) -> bool:
        """Whether 0 is 0, as TFLite asks of weights."""
        return self.zero == 0


def codes(value: ir.Value | None) -> Codes | None:
    """The codes behind a value; None where it is no dequantized constant that TFLite can hold."""
    source = origin(value)
    node = source.producer() if source is not None else None
    if node is not None and node.op_type == "Mul":
        return _scaled(node)
    if node is None or node.op_type != "DequantizeLinear" or node.domain not in STANDARD:
        return None
    data, scale = constant(node.inputs[0]), constant(node.inputs[1])
    zero = constant(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] is not None else None
    blocks = node.attributes.get("block_size")
    if data is None or scale is None or (blocks is not None and blocks.as_int() > 0):
        return None
    zeros = np.unique(np.zeros(1, np.int64) if zero is None else zero.astype(np.int64))
    if data.dtype not in (np.int8, np.uint8, np.int32) or zeros.size != 1:
        return None
    shift = SHIFT if data.dtype == np.uint8 else 0
    if shift:
        data = (data.astype(np.int16) - shift).astype(np.int8)
    given = node.attributes.get("axis")
    axis = (1 if given is None else given.as_int()) % max(data.ndim, 1)
    scales = tuple(float(s) for s in np.ravel(scale))
    if len(scales) > 1 and (data.ndim <= axis or data.shape[axis] != len(scales)):
        return None
    return Codes(data, scales, int(zeros[0]) - shift, axis)


def is_scaled(node: ir.Node) -> bool:
    """Whether a node multiplies constant integers by constant scales: weights in few bits."""
    return node.op_type == "Mul" and _scaled(node) is not None


def _scaled(node: ir.Node) -> Codes | None:
    """Weights that were packed, as integers and a scale for each entry of at most one axis."""
    first, second = (constant(origin(value)) for value in node.inputs)
    if first is None or second is None or node.domain not in STANDARD:
        return None
    whole, scale = (first, second) if first.size >= second.size else (second, first)
    long = [axis for axis, size in enumerate(scale.shape) if size > 1]
    if whole.dtype != np.float32 or whole.size <= SMALL or scale.ndim > whole.ndim or len(long) > 1:
        return None
    axis = long[0] + whole.ndim - scale.ndim if long else 0
    if long and whole.shape[axis] != scale.size:
        return None
    if (
        not np.all(scale > 0)
        or whole.min() < -SHIFT
        or whole.max() >= SHIFT
        or np.any(whole != np.rint(whole))
    ):
        return None
    return Codes(whole.astype(np.int8), tuple(float(s) for s in scale.ravel()), 0, axis)


def type_of(node: ir.Node) -> ir.DataType | None:
    """The type of the codes that a QuantizeLinear makes, or a DequantizeLinear reads."""
    zero = node.inputs[2] if len(node.inputs) > 2 else None
    if zero is not None:
        found = constant(zero)
        return zero.dtype if found is None else ir.DataType.from_numpy(found.dtype)
    if node.op_type == "DequantizeLinear":
        return node.inputs[0].dtype if node.inputs[0] is not None else None
    stated = node.attributes.get_int("output_dtype", 0)
    return ir.DataType(stated) if stated else node.outputs[0].dtype


def grid_of(node: ir.Node) -> Grid | None:
    """The grid of a QuantizeLinear or DequantizeLinear; None where it is not one int8 grid."""
    scale, kind = constant(node.inputs[1]), type_of(node)
    given = node.inputs[2] if len(node.inputs) > 2 else None
    zero = np.zeros((), np.int64) if given is None else constant(given)
    if scale is None or zero is None or scale.size != 1 or zero.size != 1:
        return None
    if kind not in (ir.DataType.INT8, ir.DataType.UINT8):
        return None
    shift = SHIFT if kind == ir.DataType.UINT8 else 0
    return Grid((float(np.ravel(scale)[0]),), int(np.ravel(zero)[0]) - shift)
