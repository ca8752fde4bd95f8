"""Vector-Jacobian products of elementwise operators and of normalisation."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from core.analysis.values import constant_tensor
from core.compress.autodiff.backward_graph import Backward, NoGradient, Rule, name_of
from core.graph.batch_norm import read
from core.records import Note
from core.wording import sentence


def _same(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    return {0: g}


def _relu(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    """By a comparison: the runtime computes a Sign on one core."""
    passes = back.op("Greater", node.outputs[0].name or "", back.const(0))
    return {0: back.op("Mul", g, back.op("Cast", passes, to=1))}


def _clip(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    moved = back.op("Sub", name_of(node.inputs[0]), name_of(node.outputs[0]))
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
    x = name_of(node.inputs[0])
    return {0: back.op("Mul", g, _hard_slope(node, x, back))}


def _hard_swish(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    x = name_of(node.inputs[0])
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
    if a is None or b is None:
        raise NoGradient("Div of nothing")
    share = back.op("Div", g, name_of(b))
    made = {0: back.summed(share, a, node.outputs[0])}
    if constant_tensor(b) is None:
        lost = back.op("Neg", back.op("Mul", share, name_of(node.outputs[0])))
        made[1] = back.summed(lost, b, node.outputs[0])
    return made


def _erf(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    x = name_of(node.inputs[0])
    bell = back.op("Exp", back.op("Neg", back.op("Mul", x, x)))
    return {0: back.op("Mul", g, back.op("Mul", bell, back.const(2 / np.sqrt(np.pi))))}


def _gelu(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    """P(x) + x p(x) of the normal distribution; of the tanh form as well, which is off by 1e-3."""
    x = name_of(node.inputs[0])
    bell = back.op("Exp", back.op("Mul", back.op("Mul", x, x), back.const(-0.5)))
    density = back.op("Mul", bell, back.const(1 / np.sqrt(2 * np.pi)))
    half = back.op("Mul", back.op("Erf", back.op("Mul", x, back.const(0.5**0.5))), back.const(0.5))
    slope = back.op("Add", back.op("Add", half, back.const(0.5)), back.op("Mul", x, density))
    return {0: back.op("Mul", g, slope)}


def _sqrt(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    twice = back.op("Mul", name_of(node.outputs[0]), back.const(2))
    return {0: back.op("Div", g, twice)}


def _power(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    tensor = constant_tensor(node.inputs[1]) if node.inputs[1] is not None else None
    if tensor is None or tensor.size != 1:
        raise NoGradient("Pow to computed powers")
    exponent = float(tensor.numpy().reshape(-1)[0])
    slope = back.op("Pow", name_of(node.inputs[0]), back.const(exponent - 1))
    return {0: back.op("Mul", g, back.op("Mul", slope, back.const(exponent)))}


def _layer_norm(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    """With d = g * scale and z the normalised x: (d - mean d - z mean(d z)) / sigma."""
    x, axis = name_of(node.inputs[0]), node.attributes.get_int("axis", -1)
    rank = len(back.shape(node.inputs[0]))  # type: ignore[arg-type]
    axes = list(range(axis % rank, rank))
    epsilon = node.attributes.get_float("epsilon", 1e-5)
    centred = back.op("Sub", x, back.mean(x, axes))
    variance = back.mean(back.op("Mul", centred, centred), axes)
    sigma = back.op("Sqrt", back.op("Add", variance, back.const(epsilon)))
    z = back.op("Div", centred, sigma)
    d = back.op("Mul", g, name_of(node.inputs[1]))
    inner = back.op("Mul", z, back.mean(back.op("Mul", d, z), axes))
    moved = back.op("Sub", back.op("Sub", d, back.mean(d, axes)), inner)
    return {0: back.op("Div", moved, sigma)}


def _softmax(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    """Left out at the end: logits tell more of an error than saturated probabilities do."""
    y = node.outputs[0]
    if y.is_graph_output() or node.op_type != "Softmax":
        return {0: g}
    rank = len(back.shape(y))
    axis = node.attributes.get_int("axis", -1 if back.opset >= 13 else 1) % rank
    if back.opset < 13 and axis != rank - 1:
        raise NoGradient("Softmax over several axes")
    weighed = back.op("Mul", g, name_of(y))
    return {0: back.op("Sub", weighed, back.op("Mul", name_of(y), back.sum(weighed, [axis])))}


def _batch_norm(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    norm = read(node, back.opset)
    if isinstance(norm, Note):
        raise NoGradient(f"a batch norm that {sentence(norm)}")
    rank = len(back.shape(node.inputs[0]))  # type: ignore[arg-type]
    scale = norm.scale.reshape(1, -1, *[1] * (rank - 2))
    return {0: back.op("Mul", g, back.const(scale))}


ELEMENTWISE: dict[str, Rule] = {
    **dict.fromkeys(("Identity", "Dropout"), _same),
    **dict.fromkeys(("Add", "Sub"), _add),
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
    "Erf": _erf,
    "Gelu": _gelu,
    "Sqrt": _sqrt,
    "Pow": _power,
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
}
