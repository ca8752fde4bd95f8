"""Small tensors that are known before anything runs: constants, and what shape chains compute.

Exporters spell "flatten all but the batch" as Shape -> Gather -> Concat -> Reshape. Such chains are
evaluated here in numpy; an element that depends on a dynamic dimension is a symbol (its name), so
that [N, 64] stays half known instead of wholly unknown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from core.graph.operators import STANDARD

Dim = int | str
Known = np.ndarray[Any, Any]  # numeric, or dtype object where some elements are symbols

PASSES_ON = frozenset(
    {"Identity", "DequantizeLinear", "QuantizeLinear", "Cast", "Transpose", "Reshape"}
    | {"Unsqueeze", "Squeeze"}
)
LARGEST = 4096  # elements; what is larger is a weight, not a shape


def node_name(node: ir.Node) -> str:
    """What the node is called in reports, as in LayerCost."""
    return node.name or (node.outputs[0].name if node.outputs else "") or node.op_type


def constant_tensor(value: ir.Value) -> ir.TensorProtocol | None:
    """The tensor of an initializer or of a Constant node's output; None if `value` is computed."""
    if value.const_value is not None:
        return value.const_value
    node = value.producer()
    if node is None or node.op_type != "Constant" or node.domain not in STANDARD:
        return None
    attribute = next(iter(node.attributes.values()))
    if attribute.type == ir.AttributeType.TENSOR:
        tensor: ir.TensorProtocol = attribute.value
        return tensor
    return ir.convenience.get_const_tensor(value)


def sources(value: ir.Value | None) -> ir.Value | None:
    """The constant that reaches `value`, directly or through operators that only pass it on."""
    while value is not None:
        if constant_tensor(value) is not None:
            return value
        node = value.producer()
        if node is None or node.op_type not in PASSES_ON or not node.inputs:
            return None
        value = node.inputs[0]
    return None


def axes_of(node: ir.Node, values: Sequence[Known | None], position: int = 1) -> list[int] | None:
    """The `axes` of a node, an attribute or an input by opset; None if unknown or absent."""
    attribute = node.attributes.get("axes")
    if attribute is not None:
        return [int(a) for a in attribute.as_ints()]
    known = values[position] if position < len(values) else None
    return whole(known)


def whole(known: Known | None) -> list[int] | None:
    """The elements as ints; None if any of them is not a known number."""
    if known is None or (known.dtype == object and any(isinstance(v, str) for v in known.flat)):
        return None
    return [int(v) for v in known.flat]


def slice_steps(
    node: ir.Node, values: Sequence[Known | None], rank: int
) -> dict[int, tuple[int, int, int]] | None:
    """Axis -> (start, end, step) of a Slice of any opset; None where one is not known."""
    if "starts" in node.attributes:
        starts, ends = (list(node.attributes[a].as_ints()) for a in ("starts", "ends"))
        axes, steps = node.attributes.get("axes"), [1] * len(starts)
        listed = list(axes.as_ints()) if axes is not None else list(range(len(starts)))
    else:
        parts = [whole(v) for v in values[1:]]
        if len(parts) < 2 or parts[0] is None or parts[1] is None:
            return None
        starts, ends = parts[0], parts[1]
        wanted = [v is not None for v in node.inputs[1:]] + [False] * 2
        if any(w and p is None for w, p in zip(wanted, parts, strict=False)):
            return None
        given = [*parts, None, None]
        listed = given[2] if given[2] is not None else list(range(len(starts)))
        steps = given[3] if given[3] is not None else [1] * len(starts)
    return {
        a % rank: (s, e, t) for a, s, e, t in zip(listed, starts, ends, steps, strict=True) if rank
    }


def as_slice(start: int, end: int, step: int) -> slice:
    """ONNX's (start, end, step) as a Python slice."""
    return slice(start, None if step < 0 and end < -(2**31) else end, step)


def evaluate(
    node: ir.Node, values: Sequence[Known | None], shape: Sequence[Dim] | None
) -> Known | None:
    """The output of a small node, as far as it is known.

    Args:
        node: the node.
        values: its known inputs.
        shape: the shape of its first input, for Shape.
    """
    if node.op_type == "Shape" and shape is not None:
        start, end = node.attributes.get_int("start", 0), node.attributes.get_int("end", len(shape))
        return pack(list(shape)[start:end])
    rule = _RULES.get(node.op_type)
    if (
        rule is None
        or not values
        or any(
            v is None for v, given in zip(values, node.inputs, strict=False) if given is not None
        )
    ):
        return None
    try:
        with np.errstate(all="ignore"):
            result = rule(node, [v for v in values if v is not None])
    except (ValueError, IndexError, TypeError, ZeroDivisionError, OverflowError):
        return None
    return _settled(result) if result is not None and result.size <= LARGEST else None


def _settled(result: Known) -> Known:
    """As plain integers if no symbol is left, which is all that ONNX's inference takes."""
    numbers = result.dtype == object and all(isinstance(e, int) for e in result.flat)
    return result.astype(np.int64) if numbers else result


def pack(elements: Sequence[Dim]) -> Known:
    """A vector of numbers and symbols."""
    if all(isinstance(e, int) for e in elements):
        return np.array(elements, np.int64)
    result = np.empty(len(elements), object)
    result[:] = list(elements)
    return result


def _cast(node: ir.Node, values: list[Known]) -> Known | None:
    if values[0].dtype == object:
        return values[0]
    to = ir.DataType(node.attributes["to"].as_int())
    return values[0].astype(to.numpy()) if to.is_integer() or to.is_floating_point() else None


def _gather(node: ir.Node, values: list[Known]) -> Known:
    axis = node.attributes.get_int("axis", 0)
    picked = np.take(values[0], values[1].astype(np.int64), axis=axis)
    return np.asarray(picked, values[0].dtype)


def _unsqueeze(node: ir.Node, values: list[Known]) -> Known | None:
    axes = axes_of(node, values)
    if axes is None:
        return None
    result = values[0]
    rank = result.ndim + len(axes)
    for axis in sorted(a % rank for a in axes):
        result = np.expand_dims(result, axis)
    return result


def _squeeze(node: ir.Node, values: list[Known]) -> Known:
    axes = axes_of(node, values)
    return np.squeeze(values[0], tuple(axes) if axes is not None else None)


def _slice(node: ir.Node, values: list[Known]) -> Known | None:
    steps = slice_steps(node, values, values[0].ndim)
    if steps is None:
        return None
    cut = [as_slice(*steps[a]) if a in steps else slice(None) for a in range(values[0].ndim)]
    return np.asarray(values[0][tuple(cut)])


def _reshape(_: ir.Node, values: list[Known]) -> Known:
    target = [values[0].shape[i] if d == 0 else int(d) for i, d in enumerate(values[1].tolist())]
    return values[0].reshape(target)


def _transpose(node: ir.Node, values: list[Known]) -> Known:
    perm = node.attributes.get("perm")
    return np.transpose(values[0], tuple(perm.as_ints()) if perm is not None else None)


def _fill(node: ir.Node, values: list[Known]) -> Known | None:
    sizes = whole(values[0])
    if sizes is None or math.prod(sizes) > LARGEST:
        return None
    value = node.attributes.get("value")
    fill = value.as_tensor().numpy().reshape(-1)[0] if value is not None else np.float32(0)
    return np.full(sizes, fill)


def _concat(node: ir.Node, values: list[Known]) -> Known:
    return np.concatenate(values, axis=node.attributes.get_int("axis", 0))


def _arithmetic(exact: Callable[[Any, Any], Any], neutral: int | None) -> Callable[..., Known]:
    def rule(node: ir.Node, values: list[Known]) -> Known:
        a, b = values
        if a.dtype != object and b.dtype != object:
            return np.asarray(exact(a, b))
        a, b = np.broadcast_arrays(a, b)
        result = np.empty(a.shape, object)
        for index in np.ndindex(a.shape):
            x, y = a[index], b[index]
            if isinstance(x, str) or isinstance(y, str):
                known = (
                    x if y == neutral else y if x == neutral and node.op_type in _COMMUTES else None
                )
                result[index] = (
                    known if known is not None else f"?{node.outputs[0].name}{list(index)}"
                )
            else:
                result[index] = int(exact(np.asarray(x), np.asarray(y)))
        return result

    return rule


_COMMUTES = frozenset({"Add", "Mul"})


def _divide(a: Known, b: Known) -> Known:
    return np.asarray(a // b if a.dtype.kind in "iu" else a / b)


def _modulo(node: ir.Node, values: list[Known]) -> Known:
    exact = np.fmod if node.attributes.get_int("fmod", 0) else np.mod
    return _arithmetic(exact, None)(node, values)


def _range(_: ir.Node, values: list[Known]) -> Known | None:
    start, limit, step = (v.item() for v in values)
    if isinstance(start, str) or isinstance(limit, str) or abs((limit - start) / step) > LARGEST:
        return None
    return np.arange(start, limit, step, dtype=values[0].dtype)


def _product(node: ir.Node, values: list[Known]) -> Known | None:
    if values[0].dtype == object or values[0].ndim != 1:
        return None
    kept = bool(node.attributes.get_int("keepdims", 1))
    return np.asarray(np.prod(values[0], keepdims=kept))


def _where(_: ir.Node, values: list[Known]) -> Known:
    mask, yes, no = np.broadcast_arrays(*values)
    picked = np.where(mask.astype(bool), yes.astype(object), no.astype(object))
    return pack(picked.tolist()) if picked.ndim == 1 else picked


_RULES: dict[str, Callable[[ir.Node, list[Known]], Known | None]] = {
    "Identity": lambda _, v: v[0],
    "Cast": _cast,
    "Gather": _gather,
    "Concat": _concat,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Slice": _slice,
    "Reshape": _reshape,
    "Transpose": _transpose,
    "ConstantOfShape": _fill,
    "Range": _range,
    "Where": _where,
    "ReduceProd": _product,
    "Floor": lambda _, v: np.floor(v[0]) if v[0].dtype != object else v[0],
    "Ceil": lambda _, v: np.ceil(v[0]) if v[0].dtype != object else v[0],
    "Add": _arithmetic(np.add, 0),
    "Sub": _arithmetic(np.subtract, 0),
    "Mul": _arithmetic(np.multiply, 1),
    "Div": _arithmetic(_divide, 1),
    "Mod": _modulo,
    "Min": _arithmetic(np.minimum, None),
    "Max": _arithmetic(np.maximum, None),
}
