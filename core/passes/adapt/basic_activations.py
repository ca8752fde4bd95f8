"""HardSwish, HardSigmoid, Gelu, Mish and Swish -> the arithmetic that defines them.

HardSigmoid(x) = min(1, max(0, alpha x + beta)); HardSwish(x) = x HardSigmoid(x), alpha 1/6, beta
1/2; Gelu(x) = x (1 + erf(x / sqrt 2)) / 2, or with tanh as its approximation says;
Mish(x) = x tanh(ln(1 + e^x)); Swish(x) = x sigmoid(alpha x).
Source: ONNX operator definitions.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from core.passes.adapt.base import Draft, Rewrite, each, is_float, number

CUBIC = 0.044715  # of the tanh approximation of Gelu
KINDS = frozenset({"HardSwish", "HardSigmoid", "Gelu", "Mish", "Swish"})


def made(node: ir.Node, draft: Draft) -> ir.Value | None:
    """The arithmetic in place of the node."""
    x = node.inputs[0]
    if x is None or not is_float(node.outputs[0]):
        return None
    match node.op_type:
        case "HardSigmoid":
            return _gate(draft, x, number(node, "alpha", 0.2), number(node, "beta", 0.5))
        case "HardSwish":
            return draft.add("Mul", x, _gate(draft, x, 1 / 6, 0.5))
        case "Gelu":
            return _gelu(node, draft, x)
        case "Mish":
            return draft.add("Mul", x, draft.add("Tanh", draft.add("Softplus", x)))
        case _:
            alpha = number(node, "alpha", 1.0)
            scaled = x if alpha == 1 else draft.add("Mul", x, draft.number(alpha))
            return draft.add("Mul", x, draft.add("Sigmoid", scaled))


def _gate(draft: Draft, x: ir.Value, alpha: float, beta: float) -> ir.Value:
    line = draft.add("Add", draft.add("Mul", x, draft.number(alpha)), draft.number(beta))
    return draft.bounded(line, 0.0, 1.0)


def _gelu(node: ir.Node, draft: Draft, x: ir.Value) -> ir.Value:
    if node.attributes.get_string("approximate", "none") == "tanh":
        cube = draft.add("Mul", draft.add("Mul", x, x), x)
        inner = draft.add("Add", x, draft.add("Mul", cube, draft.number(CUBIC)))
        curve = draft.add("Tanh", draft.add("Mul", inner, draft.number(math.sqrt(2 / math.pi))))
    else:
        curve = draft.add("Erf", draft.add("Mul", x, draft.number(math.sqrt(0.5))))
    half = draft.add("Mul", x, draft.number(0.5))
    return draft.add("Mul", half, draft.add("Add", curve, draft.number(1.0)))


REWRITE = Rewrite("Activations by basic operators", each(KINDS, made), 10)
