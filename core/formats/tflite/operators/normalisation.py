"""Normalisations: by known statistics, by those of the input, over an axis or a neighbourhood."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from core.formats.tflite import layout, weights
from core.formats.tflite.attributes import given, integer, real
from core.formats.tflite.net import Net, Stored
from core.formats.tflite.operators.arithmetic import operand
from core.formats.tflite.operators.reduction import over
from core.formats.tflite.refusal import Refused
from core.formats.tflite.terms import Terms

Array = np.ndarray[Any, Any]
Write = Callable[[Net, ir.Node], None]
EPSILON = 1e-5
SMALLEST = float(np.finfo(np.float32).tiny)  # sum of which float32 keeps all digits


def softmax(net: Net, node: ir.Node) -> None:
    """SOFTMAX or LOG_SOFTMAX over the axis that lies last."""
    code = "SOFTMAX" if node.op_type == "Softmax" else "LOG_SOFTMAX"
    x, old = net.real(node.inputs[0]), net.opset < 13
    rank = len(x.shape)
    axis = integer(node, "axis", 1 if old else -1) % rank
    if old and math.prod(x.shape[axis + 1 :]) != 1:
        _softmax_of_rows(net, node, code, x, axis)
        return
    order = x.order
    if order[-1] != axis:
        order = (*(a for a in order if a != axis), axis)
    x = net.ordered(x, order)
    options = {"beta": 1.0} if code == "SOFTMAX" else {}
    net.file.op(code, [x.tensor], [net.made(node.outputs[0], order).tensor], **options)


def _softmax_of_rows(net: Net, node: ir.Node, code: str, x: Stored, axis: int) -> None:
    """Before opset 13: over all axes from one on, taken together."""
    shape = (math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))
    plain = net.ordered(x, tuple(range(len(x.shape))))
    rows = net.fresh(shape, (0, 1), x.kind, f"{node.name}_rows")
    made = net.fresh(shape, (0, 1), x.kind, f"{node.name}_softmax")
    net.reshape(plain.tensor, rows)
    options = {"beta": 1.0} if code == "SOFTMAX" else {}
    net.file.op(code, [rows.tensor], [made.tensor], **options)
    net.viewed(node.outputs[0], made, x.shape, plain.order)


def batch_norm(net: Net, node: ir.Node) -> None:
    """A factor and a summand for each channel; in training they come from the batch itself."""
    if node.attributes.get_int("training_mode", 0):
        raise Refused("it takes mean and variance from the batch, as in training")
    x = net.real(node.inputs[0])
    scale, shift, mean, variance = (
        weights.values(net, value).astype(np.float64) for value in node.inputs[1:5]
    )
    factor = scale / np.sqrt(variance + real(node, "epsilon", EPSILON))
    summand = shift - mean * factor
    terms = Terms(net, x)
    scaled = terms.op("MUL", x, _by_channel(net, factor, x, 1))
    net.put(node.outputs[0], terms.op("ADD", scaled, _by_channel(net, summand, x, 1)))


def _by_channel(net: Net, numbers: Array, x: Stored, axis: int) -> Stored:
    """A constant that runs along one axis of a tensor."""
    shape = [numbers.size if a == axis else 1 for a in range(len(x.shape))]
    array = numbers.astype(np.float32).reshape(shape)
    return net.of_array(array, f"{net.name(x)}_by_channel", x.order)


def _standardised(net: Net, x: Stored, axes: Sequence[int], epsilon: float) -> Stored:
    """(x - mean) / sqrt(variance + epsilon), both over these ONNX axes."""
    terms = Terms(net, x)
    small = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
    mean = net.fresh(small, x.order, x.kind, f"{net.name(x)}_mean")
    over(net, x, "MEAN", tuple(axes), mean, keep=True)
    centred = terms.op("SUB", x, mean)
    squared = terms.op("MUL", centred, centred)
    variance = net.fresh(small, x.order, x.kind, f"{net.name(x)}_variance")
    over(net, squared, "MEAN", tuple(axes), variance, keep=True)
    return terms.op("MUL", centred, terms.op("RSQRT", terms.op("ADD", variance, epsilon)))


def layer_norm(net: Net, node: ir.Node) -> None:
    """Over the last axes; scale and bias broadcast over the others."""
    if any(net.is_read(output) for output in node.outputs[1:]):
        raise Refused("its mean or deviation is read")
    x = net.real(node.inputs[0])
    rank = len(x.shape)
    axes = range(integer(node, "axis", -1) % rank, rank)
    found = _standardised(net, x, axes, real(node, "epsilon", EPSILON))
    terms = Terms(net, x)
    found = terms.op("MUL", found, operand(net, node.inputs[1], x.order))
    if (bias := given(node, 2)) is not None:
        found = terms.op("ADD", found, operand(net, bias, x.order))
    net.put(node.outputs[0], found)


def rms_norm(net: Net, node: ir.Node) -> None:
    """Over the last axes by the mean square alone."""
    x = net.real(node.inputs[0])
    rank = len(x.shape)
    axes = tuple(range(integer(node, "axis", -1) % rank, rank))
    terms = Terms(net, x)
    small = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
    power = net.fresh(small, x.order, x.kind, f"{node.name}_power")
    over(net, terms.op("MUL", x, x), "MEAN", axes, power, keep=True)
    root = terms.op("RSQRT", terms.op("ADD", power, real(node, "epsilon", EPSILON)))
    scale = operand(net, node.inputs[1], x.order)
    net.put(node.outputs[0], terms.op("MUL", terms.op("MUL", x, root), scale))


def instance_norm(net: Net, node: ir.Node) -> None:
    """Over all spatial axes, with scale and bias for each channel."""
    x = net.real(node.inputs[0])
    found = _standardised(net, x, range(2, len(x.shape)), real(node, "epsilon", EPSILON))
    terms = Terms(net, x)
    scale, bias = (weights.values(net, value) for value in node.inputs[1:3])
    scaled = terms.op("MUL", found, _by_channel(net, scale, x, 1))
    net.put(node.outputs[0], terms.op("ADD", scaled, _by_channel(net, bias, x, 1)))


def group_norm(net: Net, node: ir.Node) -> None:
    """Over spatial axes and the channels of a group."""
    x, groups = net.real(node.inputs[0]), integer(node, "num_groups", 1)
    plain = net.ordered(x, layout.plain(len(x.shape)))
    channels = x.shape[1]
    split = (x.shape[0], groups, channels // groups * math.prod(x.shape[2:]))
    rows = net.fresh(split, layout.plain(3), x.kind, f"{node.name}_groups")
    net.reshape(plain.tensor, rows)
    found = _standardised(net, rows, (2,), real(node, "epsilon", EPSILON))
    back = net.fresh(x.shape, plain.order, x.kind, f"{node.name}_back")
    net.reshape(found.tensor, back)
    scale, bias = (weights.values(net, value).ravel() for value in node.inputs[1:3])
    if scale.size != channels:  # before opset 21: one for each group
        scale, bias = (np.repeat(v, channels // groups) for v in (scale, bias))
    terms = Terms(net, back)
    scaled = terms.op("MUL", back, _by_channel(net, scale, back, 1))
    net.put(node.outputs[0], terms.op("ADD", scaled, _by_channel(net, bias, back, 1)))


def local_response(net: Net, node: ir.Node) -> None:
    """LOCAL_RESPONSE_NORMALIZATION over the channels, which lie last."""
    x = net.real(node.inputs[0])
    size = integer(node, "size", 1)
    if len(x.shape) != 4 or size % 2 == 0:
        raise Refused("its neighbourhood is even, or its input is no image")
    x = net.ordered(x, layout.channels_last(4))
    y = net.made(node.outputs[0], x.order)
    net.file.op(
        "LOCAL_RESPONSE_NORMALIZATION", [x.tensor], [y.tensor],
        radius=size // 2, bias=real(node, "bias", 1.0),
        alpha=real(node, "alpha", 1e-4) / size, beta=real(node, "beta", 0.75),
    )  # fmt: skip


def lp_norm(net: Net, node: ir.Node) -> None:
    """Over one axis by the sum of sizes, or by the root of the sum of squares.

    ONNX Runtime leaves what has no length as it is: such a row is divided by the smallest length.
    """
    x, order = net.real(node.inputs[0]), integer(node, "p", 2)
    axis = integer(node, "axis", -1) % len(x.shape)
    terms = Terms(net, x)
    small = tuple(1 if a == axis else n for a, n in enumerate(x.shape))
    total = net.fresh(small, x.order, x.kind, f"{node.name}_total")
    over(net, terms.op("ABS", x) if order == 1 else terms.op("MUL", x, x), "SUM", (axis,), total,
         keep=True)  # fmt: skip
    total = terms.op("MAXIMUM", total, SMALLEST)
    length = total if order == 1 else terms.op("SQRT", total)
    net.put(node.outputs[0], terms.op("DIV", x, length))


OPERATORS: Mapping[str, Write] = {
    "Softmax": softmax,
    "LogSoftmax": softmax,
    "BatchNormalization": batch_norm,
    "LayerNormalization": layer_norm,
    "RMSNormalization": rms_norm,
    "InstanceNormalization": instance_norm,
    "GroupNormalization": group_norm,
    "LRN": local_response,
    "LpNormalization": lp_norm,
}
