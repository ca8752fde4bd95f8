"""How each kind of layer takes over an affine map from behind it or from in front of it.

Every rule gives a complete `FoldPlan` or the reason why there is none; nothing is changed here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir

from core.compress.folding.rewrite import FoldPlan, cast, scaled
from core.graph.batch_norm import Affine
from core.graph.operators import STANDARD
from core.graph.values import fixed
from core.records import Note

Array = np.ndarray[Any, Any]
NO_WEIGHTS = Note.of("fold.no_weights")
OTHER_CHANNELS = Note.of("fold.other_channels")


def called(node: ir.Node) -> str:
    """What messages call a node."""
    return f"{node.op_type} {node.name!r}"


def after(value: ir.Value | None, affine: Affine) -> FoldPlan | Note:
    """How what computes `value` can apply `affine` to it as well."""
    node = value.producer() if value is not None else None
    if value is None or node is None:
        return Note.of("fold.after_input")
    if value.is_graph_output():
        return Note.of("fold.after_output", node=called(node))
    if len(value.uses()) > 1:
        return Note.of("fold.after_shared", node=called(node))
    rule = _AFTER.get(node.op_type) if node.domain in STANDARD else None
    plan = rule(node, affine) if rule else NO_WEIGHTS
    if isinstance(plan, Note):
        return Note.of("fold.after", node=called(node), why=plan)
    return plan


def before(node: ir.Node, value: ir.Value, affine: Affine) -> FoldPlan | Note:
    """How `node` can take `value` without `affine` having been applied to it."""
    rule = _BEFORE.get(node.op_type) if node.domain in STANDARD else None
    if rule is None:
        return NO_WEIGHTS
    if [i for i, v in enumerate(node.inputs) if v is value] != [0]:
        return Note.of("fold.as_weights")
    return rule(node, affine)


def _weights(node: ir.Node) -> tuple[Array, Array | None] | Note:
    """Weight and bias of a layer, or why they are not known."""
    weight = fixed(node.inputs[1])
    if isinstance(weight, Note):
        return Note.of("fold.weight", why=weight)
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return weight, None
    bias = fixed(node.inputs[2])
    if isinstance(bias, Note):
        return Note.of("fold.bias", why=bias)
    return weight, bias


def _plan(node: ir.Node, weight: Array | Note, old: Array, bias: Array | None) -> FoldPlan | Note:
    """Weight and, unless it is None, bias of `node`, in the type of the old weight."""
    plan = FoldPlan()
    for position, array in ((1, weight), (2, bias)):
        if array is None:
            continue
        typed = array if isinstance(array, Note) else cast(array, old)
        if isinstance(typed, Note):
            return Note.of("fold.no_room", why=typed)
        plan.constants[node, position] = typed
    return plan


def _bias_after(bias: Array | None, affine: Affine) -> Array | None:
    if bias is None:
        return affine.shift if affine.shift.any() else None
    return bias.astype(np.float64) * affine.scale + affine.shift


def _conv_after(node: ir.Node, affine: Affine) -> FoldPlan | Note:
    known = _weights(node)
    if isinstance(known, Note):
        return known
    weight, bias = known
    if weight.shape[0] != affine.channels:
        return OTHER_CHANNELS
    scale = affine.scale.reshape(-1, *[1] * (weight.ndim - 1))
    return _plan(node, scaled(weight, scale, weight), weight, _bias_after(bias, affine))


def _conv_transpose_after(node: ir.Node, affine: Affine) -> FoldPlan | Note:
    known = _weights(node)
    if isinstance(known, Note):
        return known
    weight, bias = known
    groups = node.attributes.get_int("group", 1)
    if weight.shape[1] * groups != affine.channels or weight.shape[0] % groups:
        return OTHER_CHANNELS
    kernel = weight.shape[2:]
    grouped = weight.reshape(groups, -1, weight.shape[1], *kernel)
    scale = affine.scale.reshape(groups, 1, weight.shape[1], *[1] * len(kernel))
    moved = scaled(grouped, scale, weight)
    moved = moved if isinstance(moved, Note) else moved.reshape(weight.shape)
    return _plan(node, moved, weight, _bias_after(bias, affine))


def _gemm_after(node: ir.Node, affine: Affine) -> FoldPlan | Note:
    known = _weights(node)
    if isinstance(known, Note):
        return known
    weight, bias = known
    across = bool(node.attributes.get_int("transB", 0))
    if weight.shape[0 if across else 1] != affine.channels:
        return OTHER_CHANNELS
    beta = node.attributes.get_float("beta", 1.0)
    moved = scaled(weight, affine.scale[:, None] if across else affine.scale, weight)
    plan = _plan(node, moved, weight, _bias_after(_times(bias, beta), affine))
    if not isinstance(plan, Note) and (node, 2) in plan.constants:
        plan.unit_beta.append(node)
    return plan


def _times(bias: Array | None, factor: float) -> Array | None:
    return None if bias is None else bias.astype(np.float64) * factor


def _matmul_after(node: ir.Node, affine: Affine) -> FoldPlan | Note:
    shape = node.outputs[0].shape
    if shape is None or len(shape) != 2:
        return Note.of("fold.not_2d")
    weight = fixed(node.inputs[1])
    if isinstance(weight, Note):
        return Note.of("fold.weight", why=weight)
    if weight.ndim != 2 or weight.shape[1] != affine.channels:
        return OTHER_CHANNELS
    plan = _plan(node, scaled(weight, affine.scale, weight), weight, None)
    if not isinstance(plan, Note) and affine.shift.any():
        shift = cast(affine.shift, weight)
        if isinstance(shift, Note):
            return Note.of("fold.no_room", why=shift)
        plan.shift = shift
    return plan


def _add_after(node: ir.Node, affine: Affine) -> FoldPlan | Note:
    """A layer whose bias is an Add of its own."""
    constants = [fixed(value) for value in node.inputs]
    position = next((i for i, c in enumerate(constants) if not isinstance(c, Note)), None)
    if position is None:
        return NO_WEIGHTS
    added, other = constants[position], node.inputs[1 - position]
    layer = other.producer() if other is not None else None
    if isinstance(added, Note) or layer is None or layer.op_type not in _RANKS:
        return NO_WEIGHTS
    rank = _RANKS[layer.op_type](layer)
    if added.ndim > rank:
        return Note.of("fold.higher_rank")
    plan = after(other, affine.without_shift())
    if isinstance(plan, Note):
        return plan
    axes = (-1, *[1] * (rank - 2))
    shifted = cast(added * affine.scale.reshape(axes) + affine.shift.reshape(axes), added)
    if isinstance(shifted, Note):
        return Note.of("fold.no_room", why=shifted)
    plan.constants[node, position] = shifted
    return plan


def _weight_rank(node: ir.Node) -> int:
    weight = fixed(node.inputs[1])
    return 0 if isinstance(weight, Note) else weight.ndim


def _batch_norm_after(node: ir.Node, affine: Affine) -> FoldPlan | Note:
    if node.attributes.get_int("training_mode", 0) or not node.attributes.get_int("spatial", 1):
        return Note.of("fold.odd_norm")
    scale, bias = fixed(node.inputs[1]), fixed(node.inputs[2])
    if isinstance(scale, Note) or isinstance(bias, Note):
        return Note.of("fold.norm_computed")
    if scale.size != affine.channels:
        return OTHER_CHANNELS
    return _plan(node, scale * affine.scale, scale, bias * affine.scale + affine.shift)


def _conv_before(node: ir.Node, affine: Affine) -> FoldPlan | Note:
    known = _weights(node)
    if isinstance(known, Note):
        return known
    weight, bias = known
    groups = node.attributes.get_int("group", 1)
    if weight.shape[1] * groups != affine.channels or weight.shape[0] % groups:
        return OTHER_CHANNELS
    if affine.shift.any() and _pads(node, weight.shape[2:]):
        return Note.of("fold.pads")
    kernel = weight.shape[2:]
    grouped = weight.reshape(groups, -1, weight.shape[1], *kernel)
    axes = (groups, 1, weight.shape[1], *[1] * len(kernel))
    made = scaled(grouped, affine.scale.reshape(axes), weight)
    made = made if isinstance(made, Note) else made.reshape(weight.shape)
    # Taps first: in the type of the weight they would lose what float64 is for.
    taps = grouped.sum(axis=tuple(range(3, grouped.ndim)), dtype=np.float64)
    moved = (taps * affine.shift.reshape(groups, 1, -1)).sum(axis=2)
    return _plan(node, made, weight, _bias_before(bias, moved.reshape(-1)))


def _bias_before(bias: Array | None, moved: Array) -> Array | None:
    if not moved.any():
        return None
    return moved if bias is None else bias.astype(np.float64) + moved


def _pads(node: ir.Node, kernel: tuple[int, ...]) -> bool:
    mode = node.attributes.get_string("auto_pad", "NOTSET")
    if mode == "NOTSET":
        pads = node.attributes.get_ints("pads", ())
        return any(pads or ())
    return mode != "VALID" and any(size != 1 for size in kernel)


def _gemm_before(node: ir.Node, affine: Affine) -> FoldPlan | Note:
    known = _weights(node)
    if isinstance(known, Note):
        return known
    weight, bias = known
    if node.attributes.get_int("transA", 0):
        return Note.of("fold.takes_transposed")
    across = bool(node.attributes.get_int("transB", 0))
    if weight.shape[1 if across else 0] != affine.channels:
        return OTHER_CHANNELS
    made = scaled(weight, affine.scale if across else affine.scale[:, None], weight)
    letters = "oi,i->o" if across else "io,i->o"
    moved = np.einsum(letters, weight, affine.shift) * node.attributes.get_float("alpha", 1.0)
    beta = node.attributes.get_float("beta", 1.0)
    plan = _plan(node, made, weight, _bias_before(_times(bias, beta), moved))
    if not isinstance(plan, Note) and (node, 2) in plan.constants:
        plan.unit_beta.append(node)
    return plan


_AFTER: dict[str, Callable[[ir.Node, Affine], FoldPlan | Note]] = {
    "Add": _add_after,
    "BatchNormalization": _batch_norm_after,
    "Conv": _conv_after,
    "ConvTranspose": _conv_transpose_after,
    "Gemm": _gemm_after,
    "MatMul": _matmul_after,
}
_BEFORE: dict[str, Callable[[ir.Node, Affine], FoldPlan | Note]] = {
    "Conv": _conv_before,
    "Gemm": _gemm_before,
}
_RANKS: dict[str, Callable[[ir.Node], int]] = {
    "Conv": _weight_rank,
    "ConvTranspose": _weight_rank,
    "Gemm": lambda _: 2,
    "MatMul": lambda _: 2,
}
