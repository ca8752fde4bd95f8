"""Quantized constants and layers: what integer codes stand for, and which layers keep them.

ncnn's int8 is symmetric: x ~ q / scale with q from -127 to 127, one scale for what goes into a
layer and one for each channel that comes out. A QuantizeLinear with another zero point, or of
unsigned codes, has no counterpart in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from core.formats.ncnn.layers import Weight
from core.graph import constant
from core.graph.operators import is_standard
from core.graph.values import origin

Array = np.ndarray[Any, Any]
QUANTIZE, DEQUANTIZE = frozenset({"QuantizeLinear"}), frozenset({"DequantizeLinear"})
IMAGE_RANK = 4  # of the input of a convolution that ncnn has in int8
TERM = 8  # parameter of layers in int8: that scales follow
PLAIN_KERNEL = {31: 1 << 6}  # its Winograd kernels add up codes of 8 bits beyond 16 bits


@dataclass(frozen=True)
class Integers:
    """A layer in int8.

    Attributes:
        codes: int8, the channels of the output first.
        scales: float32, of the weights: one for each channel of the output, or a single one.
        step: of what goes in.
    """

    codes: Array
    scales: Array
    step: float

    def weights(self, bias: Array | None, groups: int) -> list[Weight]:
        """As they lie in the file: codes, bias, scales of the weights, scale of the input."""
        scales = np.broadcast_to(self.scales, len(self.codes))[:: len(self.codes) // groups]
        added = [] if bias is None else [Weight(bias)]
        inverse = [
            Weight(np.reciprocal(one)) for one in (scales, np.array([self.step], np.float32))
        ]
        return [Weight(self.codes, tagged=True), *added, *inverse]


def dequantized(value: ir.Value | None) -> Array | None:
    """What a DequantizeLinear makes of constants; None for what is anything else."""
    node = _dequantizer(value)
    codes, zero = (_constant(node, i) for i in (0, 2))
    scale = _constant(node, 1)
    if node is None or codes is None or scale is None or (zero is None and _given(node, 2)):
        return None
    axis = node.attributes.get_int("axis", 1)
    block = node.attributes.get_int("block_size", 0)
    wide = codes.astype(np.float32)
    if zero is not None:
        wide -= _spread(zero.astype(np.float32), codes.shape, axis, block)
    return np.asarray(wide * _spread(scale.astype(np.float32), codes.shape, axis, block))


def step_of(node: ir.Node) -> float | None:
    """The scale of signed codes around zero that a quantizer makes or reads; None of others."""
    scale, zero = _constant(node, 1), _constant(node, 2)
    if scale is None or scale.size != 1 or zero is None or zero.dtype != np.int8 or zero.any():
        return None
    return float(scale.reshape(-1)[0])


def integers(node: ir.Node) -> Integers | None:
    """A layer as int8, if ncnn has that: its input and its weights are signed codes around zero."""
    conv = is_standard(node, frozenset({"Conv"}))
    if not conv and not _is_plain_product(node):
        return None
    pair, weights = _dequantizer(node.inputs[0]), _dequantizer(origin(node.inputs[1]))
    maker = None if pair is None or pair.inputs[0] is None else pair.inputs[0].producer()
    if pair is None or weights is None or maker is None or not is_standard(maker, QUANTIZE):
        return None
    step, codes, scale = step_of(pair), _constant(weights, 0), _constant(weights, 1)
    zero = _constant(weights, 2)
    if step is None or step != step_of(maker) or codes is None or scale is None:
        return None
    if codes.dtype != np.int8 or (zero is not None and zero.any()):
        return None
    if "block_size" in weights.attributes and weights.attributes.get_int("block_size"):
        return None
    first = conv or node.attributes.get_int("transB", 0) == 1
    axis = weights.attributes.get_int("axis", 1) % codes.ndim
    if scale.size > 1 and axis != (0 if first else codes.ndim - 1):
        return None
    if codes.ndim != (IMAGE_RANK if conv else 2) or not _has_scales(node, scale, len(codes)):
        return None
    laid = np.ascontiguousarray(codes if first else codes.T)
    if not conv and not _adds_a_row(node, len(laid)):
        return None
    return Integers(laid, scale.astype(np.float32).reshape(-1), step)


def _has_scales(node: ir.Node, scale: Array, outputs: int) -> bool:
    """Whether one scale for each group says all: ncnn has no more for grouped convolutions."""
    groups = node.attributes.get_int("group", 1)
    if groups == 1 or scale.size == 1:
        return True
    rows = scale.reshape(groups, outputs // groups)
    return bool((rows == rows[:, :1]).all())


def _is_plain_product(node: ir.Node) -> bool:
    if is_standard(node, frozenset({"MatMul"})):
        return True
    attributes = node.attributes
    return is_standard(node, frozenset({"Gemm"})) and (
        attributes.get_float("alpha", 1.0) == attributes.get_float("beta", 1.0) == 1
        and not attributes.get_int("transA", 0)
    )


def _adds_a_row(node: ir.Node, outputs: int) -> bool:
    """Whether a Gemm adds a constant row, or nothing."""
    if not _given(node, 2):
        return True
    value = origin(node.inputs[2])
    row = constant(value)
    row = dequantized(value) if row is None else row
    return row is not None and row.size in (1, outputs)


def _dequantizer(value: ir.Value | None) -> ir.Node | None:
    node = None if value is None else value.producer()
    return node if node is not None and is_standard(node, DEQUANTIZE) else None


def _given(node: ir.Node, index: int) -> bool:
    return len(node.inputs) > index and node.inputs[index] is not None


def _constant(node: ir.Node | None, index: int) -> Array | None:
    if node is None or not _given(node, index):
        return None
    return constant(origin(node.inputs[index]))


def _spread(array: Array, shape: tuple[int, ...], axis: int, block: int) -> Array:
    """A scale of all, of each entry of an axis, or of each block along it, over a shape."""
    if array.size == 1:
        return array.reshape(())
    if block:
        return np.repeat(array, block, axis)[tuple(slice(size) for size in shape)]
    return array.reshape([-1 if i == axis % len(shape) else 1 for i in range(len(shape))])
