"""Vector-Jacobian products of convolutions, pooling, reductions and matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from core.analysis.values import axes_of, constant_tensor
from core.compress.autodiff.backward_graph import Backward, NoGradient, Rule, name_of
from core.graph.windows import window

Array = np.ndarray[Any, Any]


def _conv(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    x, w, y = node.inputs[0], node.inputs[1], node.outputs[0]
    tensor = constant_tensor(w) if w is not None else None
    if x is None or w is None or tensor is None:
        raise NoGradient("a convolution with computed weights")
    weight = np.asarray(tensor.numpy())
    turned = _turned(node, g, weight, x, back)
    if turned:
        return {0: turned}
    kept = {n: node.attributes[n].value for n in ("group",) if n in node.attributes}
    return {0: _unconv(node, g, w.name or "", list(weight.shape)[2:], x, y, back, kept)}


def _turned(node: ir.Node, g: str, weight: Array, x: ir.Value, back: Backward) -> str:
    """The same where the kernel moves by single steps: a convolution with the kernel turned.

    Runtimes take half the time for it. Empty where it is not that simple.
    """
    sizes, kernel = back.shape(x)[2:], weight.shape[2:]
    if not all(isinstance(d, int) for d in sizes):
        return ""
    over = window(node, kernel, [int(d) for d in sizes])
    reach = [(k - 1) * d for k, d in zip(over.kernel, over.dilations, strict=True)]
    pads = [r - m for ms in (over.before, over.after) for r, m in zip(reach, ms, strict=True)]
    if any(s != 1 for s in over.strides) or min(pads, default=0) < 0:
        return ""
    groups = node.attributes.get_int("group", 1)
    grouped = weight.reshape(groups, -1, *weight.shape[1:]).swapaxes(1, 2)
    flipped = np.flip(grouped, tuple(range(3, grouped.ndim)))
    made = back.const(flipped.reshape(-1, grouped.shape[2], *kernel))
    return back.op("Conv", g, made, pads=pads, dilations=over.dilations, group=groups)


def _unconv(
    node: ir.Node, g: str, weight: str, kernel: Sequence[int], x: ir.Value, y: ir.Value,
    back: Backward, kept: dict[str, Any],
) -> str:  # fmt: skip
    """The transposed convolution from the output's gradient to the input's."""
    sizes, out = back.shape(x)[2:], back.shape(y)[2:]
    if not all(isinstance(d, int) for d in (*sizes, *out)):
        raise NoGradient("a convolution over dynamic sizes")
    over = window(node, kernel, [int(d) for d in sizes])
    rows = zip(sizes, out, over.kernel, over.strides, over.dilations, over.before, over.after,
               strict=True)  # fmt: skip
    extra = [int(n) - ((int(o) - 1) * s + (k - 1) * d + 1 - b - a) for n, o, k, s, d, b, a in rows]
    if any(e < 0 for e in extra):
        raise NoGradient("a window that ends outside")
    return back.op(
        "ConvTranspose", g, weight, strides=over.strides, dilations=over.dilations,
        pads=[*over.before, *over.after], output_padding=extra, **kept,
    )  # fmt: skip


def _conv_transpose(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    """The convolution with the same weights, which read (I, O / group, ...)."""
    weight, kept = node.inputs[1], ("group", "strides", "dilations", "pads")
    auto = node.attributes.get_string("auto_pad", "NOTSET")
    if weight is None or constant_tensor(weight) is None or auto not in ("NOTSET", "VALID"):
        raise NoGradient("a transposed convolution with computed weights")
    attributes = {n: node.attributes[n].value for n in kept if n in node.attributes}
    return {0: back.op("Conv", g, name_of(weight), **attributes)}


def _average_pool(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    x = node.inputs[0]
    if x is None or bool(node.attributes.get_int("ceil_mode", 0)):
        raise NoGradient("AveragePool with ceil_mode")
    kernel = list(node.attributes["kernel_shape"].as_ints())
    channels = back.shape(x)[1]
    if not isinstance(channels, int):
        raise NoGradient("AveragePool of dynamic channels")
    weight = back.const(np.full((channels, 1, *kernel), 1 / np.prod(kernel)))
    return {0: _unconv(node, g, weight, kernel, x, node.outputs[0], back, {"group": channels})}


def _max_pool(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    """Spread over the window, as if it were the mean: which input wins changes with the error."""
    x, y = node.inputs[0], node.outputs[0]
    kernel = list(node.attributes["kernel_shape"].as_ints())
    if x is None or not isinstance(back.shape(x)[1], int):
        raise NoGradient("MaxPool of dynamic channels")
    weight = back.const(np.full((int(back.shape(x)[1]), 1, *kernel), 1 / np.prod(kernel)))
    return {0: _unconv(node, g, weight, kernel, x, y, back, {"group": int(back.shape(x)[1])})}


def _spread(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    """Means and sums over axes, global average pooling."""
    x = node.inputs[0]
    if x is None:
        raise NoGradient("a reduction of nothing")
    shape = back.shape(x)
    if node.op_type == "GlobalAveragePool":
        axes: list[int] | None = list(range(2, len(shape)))
    else:
        axes = axes_of(node, [back.known.content(v) for v in node.inputs])
    if axes is None:
        axes = list(range(len(shape)))
    axes = [a % len(shape) for a in axes]
    if not node.attributes.get_int("keepdims", 1):
        target = [1 if a in axes else (0 if a == 0 else d) for a, d in enumerate(shape)]
        if any(isinstance(t, str) for t in target):
            raise NoGradient("a reduction of dynamic sizes")
        g = back.op("Reshape", g, back.const(target, np.int64))
    sizes = [shape[a] for a in axes]
    if node.op_type != "ReduceSum":
        if any(isinstance(s, str) for s in sizes):
            raise NoGradient("a mean over dynamic sizes")
        g = back.op("Mul", g, back.const(1 / np.prod([int(s) for s in sizes])))
    return {0: back.op("Expand", g, back.op("Shape", x.name or ""))}


def _gemm(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    weight = node.inputs[1]
    if weight is None or constant_tensor(weight) is None:
        raise NoGradient("Gemm of two activations")
    if bool(node.attributes.get_int("transA", 0)):
        raise NoGradient("Gemm of two activations")
    turned = bool(node.attributes.get_int("transB", 0))
    alpha = node.attributes.get_float("alpha", 1.0)
    other = weight.name or ""
    factor = other if turned else back.op("Transpose", other, perm=[1, 0])
    return {0: back.op("Mul", back.op("MatMul", g, factor), back.const(alpha))}


def _matmul(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    a, b = node.inputs
    if a is None or b is None:
        raise NoGradient("MatMul of nothing")
    made = {}
    for position, value, other in ((0, a, b), (1, b, a)):
        rank = len(back.shape(other))
        if constant_tensor(value) is not None or rank < 2:
            continue
        if constant_tensor(other) is None and len(back.shape(value)) != rank:
            raise NoGradient("MatMul that broadcasts")
        turned = back.op("Transpose", other.name or "", perm=[*range(rank - 2), rank - 1, rank - 2])
        made[position] = back.op("MatMul", *((g, turned) if position == 0 else (turned, g)))
    return made


LAYERS: dict[str, Rule] = {
    **dict.fromkeys(("GlobalAveragePool", "ReduceMean", "ReduceSum"), _spread),
    "ConvTranspose": _conv_transpose,
    "Conv": _conv,
    "AveragePool": _average_pool,
    "MaxPool": _max_pool,
    "Gemm": _gemm,
    "MatMul": _matmul,
}
