"""ONNX Runtime's own fused operators -> the standard ones that they were fused of.

Source: Contrib operators of ONNX Runtime, domain com.microsoft.
"""

from __future__ import annotations

import math
from typing import Any

import onnx_ir as ir

from core.passes.adapt.base import Draft, Rewrite, each, is_float, number, rank

DOMAIN = "com.microsoft"
PLAIN = frozenset({"Relu", "Sigmoid", "Tanh"})
OWN = frozenset({"activation", "activation_params", "transA", "transB", "alpha"})


def made(node: ir.Node, draft: Draft) -> ir.Value | None:
    """The standard operators in place of the node."""
    x = node.inputs[0]
    if x is None or not is_float(x):
        return None
    match node.op_type:
        case "FusedConv":
            return _convolution(node, draft)
        case "FusedMatMul":
            return _product(node, draft)
        case "Gelu" | "BiasGelu":
            if node.op_type == "BiasGelu":
                x = draft.add("Add", x, node.inputs[1])
            curve = draft.add("Erf", draft.add("Mul", x, draft.number(math.sqrt(0.5))))
            half = draft.add("Mul", x, draft.number(0.5))
            return draft.add("Mul", half, draft.add("Add", curve, draft.number(1.0)))
        case "QuickGelu":
            alpha = number(node, "alpha", 1.702)
            gate = draft.add("Sigmoid", draft.add("Mul", x, draft.number(alpha)))
            return draft.add("Mul", x, gate)
        case _:
            return None


def _convolution(node: ir.Node, draft: Draft) -> ir.Value | None:
    """A Conv, what is added to it, and its activation."""
    kind = node.attributes.get_string("activation", "") or ""
    given = node.attributes.get("activation_params")
    params = [float(number) for number in given.as_floats()] if given is not None else []
    value = draft.add("Conv", *node.inputs[:3], **_attributes(node))
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        value = draft.add("Add", value, node.inputs[3])
    if kind in PLAIN:
        return draft.add(kind, value)
    if kind == "LeakyRelu":
        return draft.add(kind, value, alpha=params[0] if params else 0.01)
    if kind == "Clip" and len(params) == 2:
        return draft.bounded(value, params[0], params[1])
    return None if kind else value


def _product(node: ir.Node, draft: Draft) -> ir.Value | None:
    """A MatMul behind the transpositions that it does by the way."""
    sides: list[ir.Value] = []
    for side, name in zip(node.inputs[:2], ("transA", "transB"), strict=True):
        axes = rank(side)
        batched = node.attributes.get_int(f"{name[:5]}Batch{name[5:]}", 0) != 0
        if side is None or axes is None or batched:
            return None
        if node.attributes.get_int(name, 0):
            order = [*range(axes - 2), axes - 1, axes - 2]
            side = draft.add("Transpose", side, perm=order)
        sides.append(side)
    value = draft.add("MatMul", *sides)
    alpha = number(node, "alpha", 1.0)
    return value if alpha == 1 else draft.add("Mul", value, draft.number(alpha))


def _attributes(node: ir.Node) -> dict[str, Any]:
    return {name: held for name, held in node.attributes.items() if name not in OWN}


KINDS = frozenset({"FusedConv", "FusedMatMul", "Gelu", "BiasGelu", "QuickGelu"})
REWRITE = Rewrite("ONNX Runtime's operators as standard ones", each(KINDS, made, DOMAIN), 5)
