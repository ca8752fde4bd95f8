"""Activations and functions of single numbers; what TFLite has no word for is spelled out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import onnx_ir as ir

from core.formats.tflite.attributes import real, text
from core.formats.tflite.flatbuffer import Activation, Grid
from core.formats.tflite.net import Net, Stored
from core.formats.tflite.operators.arithmetic import operand
from core.formats.tflite.refusal import Refused
from core.formats.tflite.tail import BOUNDS, Tail, bounds, quantized
from core.formats.tflite.terms import Terms

Write = Callable[[Net, ir.Node], None]
BOUNDED = {
    Activation.RELU: "RELU",
    Activation.RELU6: "RELU6",
    Activation.RELU_N1_TO_1: "RELU_N1_TO_1",
}
# Grids that TFLite's integer kernels of these functions write, and no other.
OWN_GRID = {"LOGISTIC": Grid((1 / 256,), -128), "TANH": Grid((1 / 128,), 0)}
SELU_ALPHA, SELU_GAMMA = 1.6732632423543772, 1.0507009873554805
HARD_SIGMOID = (0.2, 0.5)
# Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: off by at most 1.5e-7.
ERF_STEP = 0.3275911
ERF = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)


def _unary(code: str, kinds: frozenset[str] = frozenset({"float32"})) -> Write:
    def write(net: Net, node: ir.Node) -> None:
        x = net.given(node.inputs[0])
        tail = _with_own_grid(net, node, code) if x.grid is not None and not x.coded else None
        if tail is None:
            x, tail = net.real(node.inputs[0]), Tail(node.outputs[0])
        if x.kind not in kinds and x.grid is None:
            raise Refused(f"there is no kernel for {x.kind}")
        net.file.op(code, [x.tensor], [tail.made(net, x.order).tensor])

    return write


def _with_own_grid(net: Net, node: ir.Node, code: str) -> Tail | None:
    """The codes that follow, where they are those that the integer kernel writes."""
    tail = quantized(net, Tail(node.outputs[0])) if code in OWN_GRID else None
    return tail if tail is not None and tail.grid == OWN_GRID[code] else None


def clip(net: Net, node: ir.Node) -> None:
    """Relu, Clip: an activation of TFLite's, else a maximum and a minimum."""
    x = net.given(node.inputs[0])
    low, high = bounds(net, node)
    if low == -math.inf and high == math.inf:  # holds two quantizers apart, no more
        net.put(node.outputs[0], x if not x.coded else net.numbers(x))
        return
    x = net.real(node.inputs[0])
    found = BOUNDS.get((low, high))
    if found is not None and x.kind == "float32":
        y = net.made(node.outputs[0], x.order)
        net.file.op(BOUNDED[found], [x.tensor], [y.tensor])
        return
    terms = Terms(net, x)
    made = x if low == -math.inf else terms.op("MAXIMUM", x, low)
    made = made if high == math.inf else terms.op("MINIMUM", made, high)
    net.put(node.outputs[0], made)


def leaky_relu(net: Net, node: ir.Node) -> None:
    """LEAKY_RELU."""
    x = net.real(node.inputs[0])
    y = net.made(node.outputs[0], x.order)
    net.file.op("LEAKY_RELU", [x.tensor], [y.tensor], alpha=real(node, "alpha", 0.01))


def prelu(net: Net, node: ir.Node) -> None:
    """PRELU, with slopes in the order of the input."""
    x = net.real(node.inputs[0])
    y = net.made(node.outputs[0], x.order)
    net.file.op("PRELU", [x.tensor, operand(net, node.inputs[1], x.order).tensor], [y.tensor])


def elu(net: Net, node: ir.Node) -> None:
    """ELU; its negative side scaled where alpha is not 1."""
    alpha, x = real(node, "alpha", 1.0), net.real(node.inputs[0])
    if alpha == 1.0:
        net.file.op("ELU", [x.tensor], [net.made(node.outputs[0], x.order).tensor])
        return
    net.put(node.outputs[0], _elu(Terms(net, x), x, alpha))


def _elu(terms: Terms, x: Stored, alpha: float) -> Stored:
    bent = terms.op("ELU", terms.op("MINIMUM", x, 0.0))
    return terms.op("ADD", terms.op("MAXIMUM", x, 0.0), terms.op("MUL", bent, alpha))


def selu(net: Net, node: ir.Node) -> None:
    """A scaled ELU."""
    alpha, gamma = real(node, "alpha", SELU_ALPHA), real(node, "gamma", SELU_GAMMA)
    x = net.real(node.inputs[0])
    terms = Terms(net, x)
    net.put(node.outputs[0], terms.op("MUL", _elu(terms, x, alpha), gamma))


def hard_sigmoid(net: Net, node: ir.Node) -> None:
    """Six times less of a RELU6, which is one operator shorter, where that is what it says."""
    alpha, beta = real(node, "alpha", HARD_SIGMOID[0]), real(node, "beta", HARD_SIGMOID[1])
    x = net.real(node.inputs[0])
    terms = Terms(net, x)
    if math.isclose(alpha, 1 / 6, rel_tol=1e-6):
        held = terms.op("ADD", x, beta / alpha, fusedActivationFunction=Activation.RELU6)
        net.put(node.outputs[0], terms.op("MUL", held, 1 / 6))
        return
    line = terms.op("ADD", terms.op("MUL", x, alpha), beta)
    net.put(node.outputs[0], terms.op("MINIMUM", terms.op("MAXIMUM", line, 0.0), 1.0))


def softplus(net: Net, node: ir.Node) -> None:
    """log(1 + exp(x)), so written that nothing overflows."""
    x = net.real(node.inputs[0])
    net.put(node.outputs[0], _softplus(Terms(net, x), x))


def _softplus(terms: Terms, x: Stored) -> Stored:
    small = terms.op("EXP", terms.op("NEG", terms.op("ABS", x)))
    return terms.op("ADD", terms.op("RELU", x), terms.op("LOG", terms.op("ADD", small, 1.0)))


def mish(net: Net, node: ir.Node) -> None:
    """X tanh(softplus(x))."""
    x = net.real(node.inputs[0])
    terms = Terms(net, x)
    net.put(node.outputs[0], terms.op("MUL", x, terms.op("TANH", _softplus(terms, x))))


def softsign(net: Net, node: ir.Node) -> None:
    """X / (1 + |x|)."""
    x = net.real(node.inputs[0])
    terms = Terms(net, x)
    net.put(node.outputs[0], terms.op("DIV", x, terms.op("ADD", terms.op("ABS", x), 1.0)))


def erf(net: Net, node: ir.Node) -> None:
    """The error function by a polynomial times exp(-x^2): TFLite has none outside of GELU."""
    x = net.real(node.inputs[0])
    terms = Terms(net, x)
    size = terms.op("ABS", x)
    line = terms.op("ADD", terms.op("MUL", size, ERF_STEP), 1.0)
    t = terms.op("DIV", terms.filled(1.0), line)
    found = terms.op("MUL", t, ERF[0])
    for coefficient in ERF[1:]:
        found = terms.op("MUL", terms.op("ADD", found, coefficient), t)
    bell = terms.op("EXP", terms.op("NEG", terms.op("MUL", x, x)))
    rest = terms.op("SUB", terms.filled(1.0), terms.op("MUL", found, bell))
    net.put(node.outputs[0], terms.op("MUL", rest, terms.op("SIGN", x)))


def gelu(net: Net, node: ir.Node) -> None:
    """GELU, exact or by the hyperbolic tangent."""
    x = net.real(node.inputs[0])
    y = net.made(node.outputs[0], x.order)
    approximate = text(node, "approximate", "none") == "tanh"
    net.file.op("GELU", [x.tensor], [y.tensor], approximate=approximate)


def reciprocal(net: Net, node: ir.Node) -> None:
    """1 / x."""
    x = net.real(node.inputs[0])
    terms = Terms(net, x)
    net.put(node.outputs[0], terms.op("DIV", terms.filled(1.0), x))


def swish(net: Net, node: ir.Node) -> None:
    """X sigmoid(alpha x)."""
    x, alpha = net.real(node.inputs[0]), real(node, "alpha", 1.0)
    terms = Terms(net, x)
    inner = x if alpha == 1.0 else terms.op("MUL", x, alpha)
    net.put(node.outputs[0], terms.op("MUL", x, terms.op("LOGISTIC", inner)))


NEGATED = frozenset({"float32", "int32", "int64"})
OPERATORS: Mapping[str, Write] = {
    "Relu": clip,
    "Clip": clip,
    "Sigmoid": _unary("LOGISTIC"),
    "Tanh": _unary("TANH"),
    "HardSwish": _unary("HARD_SWISH"),
    "HardSigmoid": hard_sigmoid,
    "LeakyRelu": leaky_relu,
    "PRelu": prelu,
    "Elu": elu,
    "Selu": selu,
    "Softplus": softplus,
    "Softsign": softsign,
    "Mish": mish,
    "Swish": swish,
    "Gelu": gelu,
    "Erf": erf,
    "Sqrt": _unary("SQRT"),
    "Exp": _unary("EXP"),
    "Log": _unary("LOG"),
    "Abs": _unary("ABS", frozenset({"float32", "int32"})),
    "Neg": _unary("NEG", NEGATED),
    "Sign": _unary("SIGN", frozenset({"float32", "int32"})),
    "Floor": _unary("FLOOR"),
    "Ceil": _unary("CEIL"),
    "Round": _unary("ROUND"),
    "Sin": _unary("SIN"),
    "Cos": _unary("COS"),
    "Reciprocal": reciprocal,
}
