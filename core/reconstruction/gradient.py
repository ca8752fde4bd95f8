"""How much the model's outputs depend on each tensor: a graph that runs backwards.

For a random vector v of signs, the gradient g of v . outputs by a tensor has E[g g'] = E[J'J], J
being the Jacobian of the outputs: to first order, an error e on that tensor moves the outputs by
E (g'e)^2. One pass backwards costs about two forwards and needs no labels; nothing is trained by
it. Every output counts relative to its own root mean square, so that none outshouts the others.

The rules cover what vision networks are made of. Where an operator has none, the way back ends: the
tensors before it that reach no output otherwise get no gradient, and are weighed alike.

Source: Hutchinson 1990 (stochastic estimate of J'J); Martens 2014, arXiv:1412.1193 (the same matrix
as the Gauss-Newton approximation).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper, numpy_helper

from core.analysis.shapes import Facts, facts
from core.analysis.values import as_slice, axes_of, constant_tensor, slice_steps, whole
from core.reconstruction.patches import window

Array = np.ndarray[Any, Any]


class NoGradient(Exception):
    """An operator whose gradient is not known, or not for these sizes."""


@dataclass
class Backward:
    """A model being extended by its gradient.

    Attributes:
        known: shapes of the original.
        opset: of the result.
        nodes: the gradient's nodes, in order.
        constants: its constants.
        total: tensor -> name of its gradient, once complete.
    """

    known: Facts
    opset: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    total: dict[str, str] = field(default_factory=dict)

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Append a node and name its output."""
        name = f"__g{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def const(self, array: Any, dtype: Any = np.float32) -> str:
        """Append a constant."""
        name = f"__k{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def shape(self, value: ir.Value) -> tuple[int | str, ...]:
        """Shape of a tensor of the original.

        Raises:
            NoGradient: its rank is not known.
        """
        shape = self.known.shape(value)
        if shape is None:
            raise NoGradient(f"the shape of {value.name} is not known")
        return shape

    def summed(self, gradient: str, value: ir.Value, out: ir.Value) -> str:
        """Undo the broadcast of `value` to `out`."""
        mine, wide = self.shape(value), self.shape(out)
        lead = len(wide) - len(mine)
        axes = [a for a in range(len(wide)) if a < lead or (mine[a - lead] == 1 and wide[a] != 1)]
        if not axes:
            return gradient
        result = self.sum(gradient, axes)
        return result if not lead else self.op("Reshape", result, self.op("Shape", _name(value)))

    def sum(self, name: str, axes: list[int]) -> str:
        """Sum over axes, which are kept."""
        if self.opset < 13:
            return self.op("ReduceSum", name, axes=axes, keepdims=1)
        return self.op("ReduceSum", name, self.const(axes, np.int64), keepdims=1)


Rule = Callable[[ir.Node, str, Backward], dict[int, str]]


def backward(graph: ir.Model, names: Sequence[str]) -> tuple[ir.Model, dict[str, str]]:
    """A graph that gives out gradients, and the gradient's name for each tensor that has one.

    Args:
        graph: the model; only read.
        names: tensors whose gradients are wanted.
    """
    known = facts(graph)
    back = Backward(known, graph.graph.opset_imports.get("", 1))
    parts: dict[str, list[str]] = {}
    for seed, out in enumerate(graph.graph.outputs):
        if known.types.get(out, ir.DataType.FLOAT) == ir.DataType.FLOAT:
            parts[out.name or ""] = [_signs(out.name or "", seed, back)]
    for node in reversed(list(graph.graph)):
        for value in node.outputs:
            _total(value, parts, back)
        _step(node, parts, back)
    found = {n: back.total[n] for n in names if n in back.total}
    proto = ir.to_proto(graph)
    proto.graph.node.extend(back.nodes)
    proto.graph.initializer.extend(back.constants)
    del proto.graph.output[:]
    proto.graph.output.extend(onnx.ValueInfoProto(name=n) for n in dict.fromkeys(found.values()))
    return ir.from_proto(proto), found


def _signs(out: str, seed: int, back: Backward) -> str:
    signs = back.op("Sign", back.op("RandomNormalLike", out, seed=float(seed), dtype=1))
    power = back.op("ReduceMean", back.op("Mul", out, out), keepdims=0)
    return back.op("Div", signs, back.op("Sqrt", back.op("Add", power, back.const(1e-12))))


def _total(value: ir.Value, parts: dict[str, list[str]], back: Backward) -> None:
    given = parts.get(value.name or "", [])
    if given:
        total = given[0]
        for other in given[1:]:
            total = back.op("Add", total, other)
        back.total[value.name or ""] = total


def _step(node: ir.Node, parts: dict[str, list[str]], back: Backward) -> None:
    gradients = [back.total.get(v.name or "") for v in node.outputs]
    if not any(gradients):
        return
    mark = len(back.nodes), len(back.constants)
    try:
        if node.domain not in ("", "ai.onnx") or node.op_type not in RULES:
            raise NoGradient(node.op_type)
        if node.op_type == "Split":
            made = _split(node, gradients, back)
        else:
            if gradients[0] is None:
                raise NoGradient(node.op_type)
            made = RULES[node.op_type](node, gradients[0], back)
    except NoGradient:
        del back.nodes[mark[0] :], back.constants[mark[1] :]
        return
    for position, gradient in made.items():
        value = node.inputs[position]
        if value is not None and constant_tensor(value) is None and value not in back.known.known:
            parts.setdefault(value.name or "", []).append(gradient)


def _name(value: ir.Value | None) -> str:
    if value is None or not value.name:
        raise NoGradient("an input that is left out")
    return value.name


def _same(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    return {0: g}


def _relu(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    return {0: back.op("Mul", g, back.op("Sign", node.outputs[0].name or ""))}


def _clip(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    moved = back.op("Sub", _name(node.inputs[0]), _name(node.outputs[0]))
    inside = back.op("Sub", back.const(1), back.op("Abs", back.op("Sign", moved)))
    return {0: back.op("Mul", g, inside)}


def _leaky(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    alpha = node.attributes.get_float("alpha", 0.01)
    sign = back.op("Sign", node.outputs[0].name or "")
    slope = back.op("Mul", sign, back.const((1 - alpha) / 2))
    return {0: back.op("Mul", g, back.op("Add", slope, back.const((1 + alpha) / 2)))}


def _sigmoid(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    y = node.outputs[0].name or ""
    return {0: back.op("Mul", g, back.op("Mul", y, back.op("Sub", back.const(1), y)))}


def _tanh(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    y = node.outputs[0].name or ""
    return {0: back.op("Mul", g, back.op("Sub", back.const(1), back.op("Mul", y, y)))}


def _hard_slope(node: ir.Node, x: str, back: Backward) -> str:
    """1 inside the linear part of a HardSigmoid, 0 outside."""
    alpha = 1 / 6 if node.op_type == "HardSwish" else node.attributes.get_float("alpha", 0.2)
    beta = 0.5 if node.op_type == "HardSwish" else node.attributes.get_float("beta", 0.5)
    z = back.op("Add", back.op("Mul", x, back.const(alpha)), back.const(beta))
    away = back.op("Abs", back.op("Sub", z, back.const(0.5)))
    near = back.op("Sign", back.op("Relu", back.op("Sub", back.const(0.5), away)))
    return back.op("Mul", near, back.const(alpha))


def _hard_sigmoid(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    x = _name(node.inputs[0])
    return {0: back.op("Mul", g, _hard_slope(node, x, back))}


def _hard_swish(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    x = _name(node.inputs[0])
    gate = back.op("HardSigmoid", x, alpha=1 / 6, beta=0.5)
    slope = back.op("Add", gate, back.op("Mul", x, _hard_slope(node, x, back)))
    return {0: back.op("Mul", g, slope)}


def _add(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    out = node.outputs[0]
    result = {i: back.summed(g, v, out) for i, v in enumerate(node.inputs) if v is not None}
    if node.op_type == "Sub":
        result[1] = back.op("Neg", result[1])
    return result


def _mul(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    a, b = node.inputs
    if a is None or b is None:
        raise NoGradient("Mul of nothing")
    if a is b:
        return {0: back.op("Mul", back.op("Mul", g, a.name or ""), back.const(2))}
    out = node.outputs[0]
    return {
        i: back.summed(back.op("Mul", g, other.name or ""), value, out)
        for i, (value, other) in enumerate(((a, b), (b, a)))
        if constant_tensor(value) is None
    }


def _div(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    a, b = node.inputs
    if a is None or b is None or constant_tensor(b) is None:
        raise NoGradient("Div by an activation")
    return {0: back.summed(back.op("Div", g, b.name or ""), a, node.outputs[0])}


def _batch_norm(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    gamma, variance = (constant_tensor(v) if v is not None else None for v in node.inputs[1:5:3])
    if gamma is None or variance is None:
        raise NoGradient("a batch norm that is computed")
    spread = np.sqrt(variance.numpy() + node.attributes.get_float("epsilon", 1e-5))
    rank = len(back.shape(node.inputs[0]))  # type: ignore[arg-type]
    scale = (gamma.numpy() / spread).reshape(1, -1, *[1] * (rank - 2))
    return {0: back.op("Mul", g, back.const(scale))}


def _conv(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    x, w, y = node.inputs[0], node.inputs[1], node.outputs[0]
    tensor = constant_tensor(w) if w is not None else None
    if x is None or w is None or tensor is None:
        raise NoGradient("a convolution with computed weights")
    kept = {n: node.attributes[n].value for n in ("group",) if n in node.attributes}
    return {0: _unconv(node, g, w.name or "", list(tensor.shape.numpy())[2:], x, y, back, kept)}


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


def _reshape(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    return {0: back.op("Reshape", g, back.op("Shape", _name(node.inputs[0])))}


def _transpose(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    attribute = node.attributes.get("perm")
    if attribute is None:
        return {0: back.op("Transpose", g)}
    return {0: back.op("Transpose", g, perm=np.argsort(list(attribute.as_ints())).tolist())}


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


def _concat(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    rank = len(back.shape(node.outputs[0]))
    axis, start, made = node.attributes["axis"].as_int() % rank, 0, {}
    for position, value in enumerate(node.inputs):
        size = back.shape(value)[axis] if value is not None else "?"
        if not isinstance(size, int):
            raise NoGradient("Concat of dynamic sizes")
        made[position] = _cut(g, axis, start, start + size, back)
        start += size
    return made


def _cut(g: str, axis: int, start: int, end: int, back: Backward) -> str:
    if back.opset < 10:
        return back.op("Slice", g, starts=[start], ends=[end], axes=[axis])
    bounds = [back.const([n], np.int64) for n in (start, end, axis)]
    return back.op("Slice", g, *bounds)


def _padded(g: str, margins: Sequence[int], back: Backward) -> str:
    if back.opset < 11:
        return back.op("Pad", g, pads=list(margins))
    return back.op("Pad", g, back.const(margins, np.int64))


def _split(node: ir.Node, gradients: Sequence[str | None], back: Backward) -> dict[int, str]:
    rank = len(back.shape(node.outputs[0]))
    axis = node.attributes.get_int("axis", 0) % rank
    sizes = [back.shape(v)[axis] for v in node.outputs]
    if not all(isinstance(s, int) for s in sizes) or not all(gradients):
        raise NoGradient("Split that is only partly used")
    return {0: back.op("Concat", *[g for g in gradients if g], axis=axis)}


def _slice(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    x = node.inputs[0]
    shape = back.shape(x) if x is not None else ()
    steps = slice_steps(node, [back.known.content(v) for v in node.inputs], len(shape))
    if steps is None:
        raise NoGradient("Slice with computed ends")
    margins = [0] * (2 * len(shape))
    for axis, (start, end, step) in steps.items():
        size = shape[axis]
        if not isinstance(size, int):
            raise NoGradient("Slice of a dynamic size")
        begin, finish, stride = as_slice(start, end, step).indices(size)
        if stride < 1:
            raise NoGradient("Slice backwards")
        if stride > 1:
            g = _stretched(g, axis, stride, len(range(begin, finish, stride)), len(shape), back)
            finish = begin + stride * len(range(begin, finish, stride))
        margins[axis], margins[axis + len(shape)] = begin, size - finish
    return {0: _padded(g, margins, back) if any(margins) else g}


def _stretched(g: str, axis: int, stride: int, count: int, rank: int, back: Backward) -> str:
    """Zeros between the elements of an axis, `stride` - 1 behind each."""
    if back.opset < 13:
        raise NoGradient("Slice with a stride before opset 13")
    wide = back.op("Unsqueeze", g, back.const([axis + 1], np.int64))
    margins = [0] * (2 * (rank + 1))
    margins[axis + 1 + rank + 1] = stride - 1
    wide = _padded(wide, margins, back)
    shape = back.op("Shape", g)
    rest = back.op("Slice", shape, *[back.const([n], np.int64) for n in (axis + 1, rank, 0)])
    front = back.op("Slice", shape, *[back.const([n], np.int64) for n in (0, axis, 0)])
    middle = back.const([count * stride], np.int64)
    return back.op("Reshape", wide, back.op("Concat", front, middle, rest, axis=0))


def _pad(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    x = node.inputs[0]
    rank = len(back.shape(x)) if x is not None else 0
    if "pads" in node.attributes:
        amounts: list[int] | None = [int(p) for p in node.attributes["pads"].as_ints()]
    else:
        amounts = whole(back.known.content(node.inputs[1]))
    if amounts is None or len(amounts) != 2 * rank or min(amounts) < 0:
        raise NoGradient("Pad by unknown amounts")
    if node.attributes.get_string("mode", "constant") != "constant":
        raise NoGradient("Pad by reflection")
    shape = back.shape(x)  # type: ignore[arg-type]
    for axis in range(rank):
        if amounts[axis] or amounts[axis + rank]:
            size = shape[axis]
            if not isinstance(size, int):
                raise NoGradient("Pad of a dynamic size")
            g = _cut(g, axis, amounts[axis], amounts[axis] + size, back)
    return {0: g}


def _softmax(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    """Left out: logits tell more of an error than saturated probabilities do."""
    return {0: g}


RULES: dict[str, Rule] = {
    **dict.fromkeys(("Identity", "Dropout"), _same),
    **dict.fromkeys(("Add", "Sub"), _add),
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), _reshape),
    **dict.fromkeys(("GlobalAveragePool", "ReduceMean", "ReduceSum"), _spread),
    **dict.fromkeys(("Softmax", "LogSoftmax"), _softmax),
    "Relu": _relu,
    "Clip": _clip,
    "LeakyRelu": _leaky,
    "Sigmoid": _sigmoid,
    "Tanh": _tanh,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Mul": _mul,
    "Div": _div,
    "BatchNormalization": _batch_norm,
    "Conv": _conv,
    "AveragePool": _average_pool,
    "MaxPool": _max_pool,
    "Transpose": _transpose,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Concat": _concat,
    "Slice": _slice,
    "Pad": _pad,
    "Split": lambda node, g, back: {},
}
