"""Quantized constants: the numbers that integer codes and their scales stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from core.graph import constant
from core.graph.operators import is_standard
from core.graph.values import origin

Array = np.ndarray[Any, Any]
DEQUANTIZE = frozenset({"DequantizeLinear"})


def dequantized(value: ir.Value | None) -> Array | None:
    """What a DequantizeLinear makes of constants; None for what is anything else."""
    node = None if value is None else value.producer()
    if node is None or not is_standard(node, DEQUANTIZE):
        return None
    codes, scale = (constant(origin(one)) for one in node.inputs[:2])
    offset = node.inputs[2] if len(node.inputs) > 2 else None
    zero = None if offset is None else constant(origin(offset))
    if codes is None or scale is None or (offset is not None and zero is None):
        return None
    axis = node.attributes.get_int("axis", 1)
    block = node.attributes.get_int("block_size", 0)
    wide = codes.astype(np.float32)
    if zero is not None:
        wide -= _spread(zero.astype(np.float32), codes.shape, axis, block)
    return np.asarray(wide * _spread(scale.astype(np.float32), codes.shape, axis, block))


def _spread(array: Array, shape: tuple[int, ...], axis: int, block: int) -> Array:
    """A scale of all, of each entry of an axis, or of each block along it, over a shape."""
    if array.size == 1:
        return array.reshape(())
    if block:
        return np.repeat(array, block, axis)[tuple(slice(size) for size in shape)]
    return array.reshape([-1 if i == axis % len(shape) else 1 for i in range(len(shape))])
