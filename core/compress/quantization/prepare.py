"""Bring a graph into the shape that integer kernels want, without changing what it computes.

- opset 13 or newer (scales per channel), constants as initializers, a name for each node;
- amounts of Pad and bounds of Clip that are computed from constants become constants; a Pad of
  zeros before a convolution becomes the convolution's own padding: alone it is a float island for
  ONNX Runtime;
- MatMul + Add of a constant vector on rank 2 becomes Gemm;
- a batch norm right behind a convolution is folded into it; any other one (its channels read by
  several layers) becomes a 1x1 depthwise convolution, which has an integer kernel where
  BatchNormalization has none. Exact but for rounding;
- where it will compute in integers, what lies between its layers is put in order (see `layouts`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx_ir as ir

from core import graph as graphs
from core.analysis.edits import add_initializer, set_input, set_ints, sweep
from core.analysis.values import evaluate
from core.compress.quantization.layouts import hoist_bounds, settle_reshapes
from core.compress.quantization.partition import is_weighted, pads_zeros
from core.compress.refit.linear_layers import Layer
from core.errors import PassPrecondition, UnsupportedModel
from core.graph.batch_norm import Affine, affine
from core.graph.operators import STANDARD
from core.graph.opset import raised

Array = np.ndarray[Any, Any]
OPSET = 13


def refuse_sequences(graph: ir.Model) -> None:
    """Hold a model to outputs whose error can be judged.

    Raises:
        PassPrecondition: it gives a sequence of tensors.
    """
    for value in graph.graph.outputs:
        if isinstance(value.type, ir.SequenceType):
            raise PassPrecondition(
                f"Output {value.name!r} is a sequence of tensors: its error cannot be judged here."
            )


def prepared(graph: ir.Model, opset: int = OPSET, integers: bool = True) -> ir.Model:
    """A copy of `graph` as described above.

    Args:
        graph: the float graph.
        opset: the least.
        integers: whether it shall compute in integers; else batch norms that no convolution takes
            over stay what they are, which runtimes fuse better than a convolution of one tap.

    Raises:
        PassPrecondition: the opset cannot be raised.
    """
    try:
        copy = raised(graph, opset)
    except UnsupportedModel as error:
        raise PassPrecondition(error.message) from None
    name_all(copy)
    lift_constants(copy)
    _bypass_identities(copy)
    graphs.infer_shapes(copy)
    for node in list(copy.graph):
        if node.domain in STANDARD and node.op_type in _REWRITES:
            _REWRITES[node.op_type](node)
        elif node.domain in STANDARD and node.op_type == "BatchNormalization":
            _settle_norm(node, integers)
    graphs.infer_shapes(copy)
    if integers:
        settle_reshapes(copy)
        hoist_bounds(copy)
        graphs.infer_shapes(copy)
    return copy


def name_all(graph: ir.Model) -> None:
    """Give every node of the main graph a name of its own."""
    seen = {n.name for inner in graphs.all_graphs(graph) for n in inner if n.name}
    taken: set[str] = set()
    for index, node in enumerate(graph.graph):
        if not node.name or node.name in taken:
            stem = node.name or f"{node.op_type}_{index}"
            count = 0
            while not node.name or node.name in taken or (count and node.name in seen):
                node.name, count = f"{stem}_{count}" if count else stem, count + 1
        taken.add(node.name)


def lift_constants(graph: ir.Model) -> None:
    """Turn Constant nodes of the main graph into initializers."""
    for node in list(graph.graph):
        if node.op_type != "Constant" or node.domain not in STANDARD:
            continue
        output = node.outputs[0]
        array = graphs.constant(output)
        if array is None or output.is_graph_output():
            continue
        output.replace_all_uses_with(add_initializer(graph.graph, f"{output.name}_value", array))
        graph.graph.remove(node, safe=True)


def _bypass_identities(graph: ir.Model) -> None:
    for node in list(graph.graph):
        if node.op_type != "Identity" or node.domain not in STANDARD:
            continue
        source, output = node.inputs[0], node.outputs[0]
        if source is not None and not output.is_graph_output():
            output.replace_all_uses_with(source)
            graph.graph.remove(node, safe=True)


def known(value: ir.Value | None, depth: int = 24) -> Array | None:
    """The number behind a value that constants decide; None if it depends on an input."""
    array = graphs.constant(value)
    if array is not None or value is None or depth == 0:
        return array
    node = value.producer()
    if node is None or node.domain not in STANDARD:
        return None
    first = node.inputs[0] if node.inputs else None
    shape = list(first.shape) if first is not None and first.shape is not None else None
    if node.op_type == "Shape":
        whole = shape is not None and all(isinstance(d, int) for d in shape)
        return evaluate(node, [None], [int(str(d)) for d in shape or ()]) if whole else None
    values = [known(v, depth - 1) if v is not None else None for v in node.inputs]
    result = evaluate(node, values, None)
    return result if result is not None and result.dtype != object else None


def _settle_pad(node: ir.Node) -> None:
    """Constant amounts; then into the convolution behind it, where that pads the same way."""
    amounts = known(node.inputs[1])
    if amounts is None:
        return
    if graphs.constant(node.inputs[1]) is None:
        set_input(node, 1, amounts.astype(np.int64))
    if pads_zeros(node) and (len(node.inputs) < 4 or node.inputs[3] is None):
        _merge_pad(node, [int(a) for a in amounts])


def _merge_pad(node: ir.Node, amounts: list[int]) -> None:
    output, source = node.outputs[0], node.inputs[0]
    rank = len(amounts) // 2
    outer = amounts[:2] + amounts[rank : rank + 2]
    users = [use.node for use in output.uses()]
    if any(outer) or min(amounts) < 0 or output.is_graph_output() or source is None:
        return
    if not users or not all(_own_padding(u) and u.inputs[0] is output for u in users):
        return
    for user in dict.fromkeys(users):
        given = user.attributes.get("pads")
        pads = [int(p) for p in given.as_ints()] if given is not None else [0] * 2 * (rank - 2)
        added = amounts[2:rank] + amounts[rank + 2 :]
        user.attributes.pop("auto_pad", None)
        set_ints(user, "pads", [p + a for p, a in zip(pads, added, strict=True)])
    output.replace_all_uses_with(source)
    feeds = [v for v in node.inputs[1:] if v is not None]
    graph = node.graph
    if isinstance(graph, ir.Graph):
        graph.remove(node, safe=True)
        for feed in feeds:
            sweep(graph, feed)


def _own_padding(node: ir.Node) -> bool:
    auto = node.attributes.get_string("auto_pad", "NOTSET")
    return node.op_type == "Conv" and node.domain in STANDARD and auto in ("NOTSET", "VALID", "")


def _join_bias(node: ir.Node) -> None:
    """MatMul on rank 2, and the Add behind it, as Gemm."""
    output, weight = node.outputs[0], graphs.constant(node.inputs[1])
    first = node.inputs[0]
    if weight is None or weight.ndim != 2 or first is None or first.shape is None:
        return
    uses = list(output.uses())
    if len(first.shape) != 2 or len(uses) != 1 or output.is_graph_output():
        return
    add, graph = uses[0].node, node.graph
    bias = graphs.constant(add.inputs[1 - uses[0].idx]) if add.op_type == "Add" else None
    if bias is None or bias.size != weight.shape[1] or not isinstance(graph, ir.Graph):
        return
    value = add_initializer(graph, f"{node.name}_bias", bias.reshape(-1))
    gemm = ir.Node(
        "", "Gemm", [first, node.inputs[1], value], name=node.name, outputs=[*_taken(add)]
    )
    graph.insert_after(add, gemm)
    graph.remove([add, node], safe=False)


def _taken(node: ir.Node) -> Iterator[ir.Value]:
    """The outputs of a node, as new values that have taken over their place."""
    for old in node.outputs:
        new = ir.Value(name=old.name, shape=old.shape, type=old.type)
        old.replace_all_uses_with(new, replace_graph_outputs=True)
        old.name = f"{old.name}_before"
        yield new


def _settle_norm(node: ir.Node, integers: bool) -> None:
    """BatchNormalization in the convolution before it, or as a depthwise one of one tap."""
    first, graph = node.inputs[0], node.graph
    numbers = [graphs.constant(v) for v in node.inputs[1:5]]
    rank = len(first.shape) if first is not None and first.shape is not None else 0
    if first is None or rank != 4 or not isinstance(graph, ir.Graph):
        return
    if any(number is None or number.dtype != np.float32 for number in numbers):
        return
    norm = affine(node)
    if norm is None or _fold(node, norm) or not integers:
        return
    weight = norm.scale.astype(np.float32).reshape(-1, *[1] * (rank - 1))
    bias = norm.shift.astype(np.float32)
    inputs = [
        first,
        add_initializer(graph, f"{node.name}_scale", weight),
        add_initializer(graph, f"{node.name}_shift", bias),
    ]
    group = [ir.AttrInt64("group", len(bias)), ir.AttrInt64s("kernel_shape", [1] * (rank - 2))]
    conv = ir.Node("", "Conv", inputs, group, name=node.name, outputs=[*_taken(node)])
    graph.insert_after(node, conv)
    old = [v for v in node.inputs[1:] if v is not None]
    graph.remove(node, safe=True)
    for value in old:
        sweep(graph, value)


def _fold(node: ir.Node, norm: Affine) -> bool:
    """Let the convolution before a batch norm do its work; whether that could be done."""
    value, graph = node.inputs[0], node.graph
    maker = value.producer() if value is not None else None
    if value is None or maker is None or maker.op_type != "Conv" or not is_weighted(maker):
        return False
    if len(list(value.uses())) != 1 or value.is_graph_output() or not isinstance(graph, ir.Graph):
        return False
    layer = Layer(maker, maker.attributes.get_int("group", 1))
    matrix = layer.matrix()
    rows = norm.scale.reshape(matrix.shape[0], -1, 1)
    layer.write(matrix * rows, layer.bias() * norm.scale + norm.shift)
    output, old = node.outputs[0], [v for v in node.inputs[1:] if v is not None]
    name = output.name
    output.replace_all_uses_with(value, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    value.name = name
    for spare in old:
        sweep(graph, spare)
    return True


def _settle_clip(node: ir.Node) -> None:
    """Computed bounds as constants: only a Clip that has such can be left out."""
    for position in range(1, len(node.inputs)):
        value = node.inputs[position]
        bound = known(value) if graphs.constant(value) is None else None
        if value is not None and bound is not None and bound.dtype == np.float32:
            set_input(node, position, bound)


_REWRITES = {
    "Clip": _settle_clip,
    "Pad": _settle_pad,
    "MatMul": _join_bias,
}
