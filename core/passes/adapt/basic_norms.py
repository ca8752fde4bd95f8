"""LayerNormalization, GroupNormalization, InstanceNormalization and RMSNormalization -> means.

So is a batch norm that was exported in training mode: it normalises by the batch that it is given.

y = (x - mean) / sqrt(mean((x - mean)^2) + eps) scale + bias, over the axes that each is defined by.
Source: ONNX operator definitions.
"""

from __future__ import annotations

import onnx_ir as ir

from core.passes.adapt.base import Draft, Rewrite, each, is_float, rank, size, sizes

KINDS = frozenset(
    {"LayerNormalization", "GroupNormalization", "InstanceNormalization", "RMSNormalization"}
    | {"BatchNormalization"}
)
SCALE_PER_CHANNEL = 21  # the opset from which GroupNormalization has one; before, one a group


def made(node: ir.Node, draft: Draft) -> ir.Value | list[ir.Value] | None:
    """The arithmetic in place of the node; None where mean or deviation are read as well."""
    x, axes = node.inputs[0], rank(node.inputs[0])
    read = any(v.uses() or v.is_graph_output() for v in node.outputs[1:])
    if x is None or axes is None or read or not is_float(x):
        return None
    column = [1, -1, *[1] * (axes - 2)]
    match node.op_type:
        case "BatchNormalization":
            if not node.attributes.get_int("training_mode", 0):
                return None
            normal = _normal(draft, x, (0, *range(2, axes)), _epsilon(node))
            return _affine(draft, normal, *(_as(draft, v, column) for v in node.inputs[1:3]))
        case "LayerNormalization" | "RMSNormalization":
            first = node.attributes.get_int("axis", -1)
            start = (-1 if first is None else first) % axes
            over = tuple(range(start, axes))
            shift = node.op_type == "LayerNormalization"
            normal = _normal(draft, x, over, _epsilon(node), shift)
            return _affine(draft, normal, *node.inputs[1:3])
        case "InstanceNormalization":
            normal = _normal(draft, x, tuple(range(2, axes)), _epsilon(node))
            return _affine(draft, normal, *(_as(draft, v, column) for v in node.inputs[1:3]))
        case _:
            return _groups(node, draft, x, axes)


def _groups(node: ir.Node, draft: Draft, x: ir.Value, axes: int) -> ir.Value | None:
    """Each group normalised as one row."""
    shape, count = sizes(x), node.attributes.get_int("num_groups", 1) or 1
    if shape is None or size(x, 1) is None:
        return None
    rows = draft.add("Reshape", x, draft.integers([shape[0], count, -1]))
    normal = _normal(draft, rows, (2,), _epsilon(node))
    if draft.opset < SCALE_PER_CHANNEL:
        normal = _affine(draft, normal, *(_as(draft, v, [1, -1, 1]) for v in node.inputs[1:3]))
        return draft.add("Reshape", normal, draft.integers(shape))
    back = draft.add("Reshape", normal, draft.integers(shape))
    column = [1, -1, *[1] * (axes - 2)]
    return _affine(draft, back, *(_as(draft, v, column) for v in node.inputs[1:3]))


def _normal(
    draft: Draft, x: ir.Value, axes: tuple[int, ...], epsilon: float, shift: bool = True
) -> ir.Value:
    centred = draft.add("Sub", x, draft.mean(x, axes)) if shift else x
    power = draft.mean(draft.add("Mul", centred, centred), axes)
    deviation = draft.add("Sqrt", draft.add("Add", power, draft.number(epsilon)))
    return draft.add("Div", centred, deviation)


def _affine(draft: Draft, x: ir.Value, *given: ir.Value | None) -> ir.Value:
    for op_type, value in zip(("Mul", "Add"), given, strict=False):
        if value is not None:
            x = draft.add(op_type, x, value)
    return x


def _as(draft: Draft, value: ir.Value | None, shape: list[int]) -> ir.Value | None:
    return None if value is None else draft.add("Reshape", value, draft.integers(shape))


def _epsilon(node: ir.Node) -> float:
    found = node.attributes.get_float("epsilon", 1e-5)
    return 1e-5 if found is None else found


REWRITE = Rewrite("Normalisations by basic operators", each(KINDS, made), 11)
