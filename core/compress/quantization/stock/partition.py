"""Partition of a graph: what is handed to onnxruntime's quantizer, and what it would get wrong.

The quantizer merges Relu and Clip into the range of the tensor before them, which holds only where
nothing else reads that tensor and where the range contains zero; it takes a bias for one number per
output channel; and it knows no type of what shape inference does not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import onnx_ir as ir

from core import graph as graphs
from core.graph import Graph
from core.graph.operators import BOUNDING, STANDARD, WEIGHTED
from core.graph.values import float32_weight, origin
from core.records import Note

OPERATORS = WEIGHTED | frozenset(
    {"Add", "Mul", "Relu", "Clip", "LeakyRelu", "Sigmoid", "MaxPool", "AveragePool"}
    | {"GlobalAveragePool", "Concat", "Resize", "Pad", "Reshape", "Transpose", "Squeeze"}
    | {"Unsqueeze", "Flatten", "Split", "Slice"}
)
Ends = tuple[str, ...]
ITS_NAMES = re.compile(r"_(scale|zero_point|quantized)(_\w+)?$|(Quantize|Dequantize)Linear")


def quantizable(
    graph: Graph, excluded: frozenset[str]
) -> tuple[list[ir.Node], list[tuple[ir.Node, Note]]]:
    """The nodes to quantize: of a known kind, and before (or at) the last layer with weights.

    Args:
        graph: the float graph, of opset 13 or later.
        excluded: names of nodes that stay float.

    Returns:
        The nodes, and those that the quantizer would get wrong, each with the reason.
    """
    leads: set[ir.Node] = set()
    holders = _holders(graph)
    for node in reversed(graph.graph):
        users = (user for output in node.outputs for user, _ in output.uses())
        leading = any(holders.get(user, user) in leads for user in users)
        if leading or float32_weight(node) is not None:
            leads.add(node)
    chosen, refused = [], []
    for node in graph.graph:
        known = node in leads and node.op_type in OPERATORS and node.domain in STANDARD
        if not known or node.name in excluded or not _is_candidate(node):
            continue
        if reason := _obstacle(node):
            refused.append((node, reason))
        else:
            chosen.append(node)
    return chosen, refused


def _holders(graph: Graph) -> dict[ir.Node, ir.Node]:
    """Node of a body, however deep -> the node of the main graph that holds it."""
    found = {}
    for holder in graph.graph:
        bodies = [b for a in holder.attributes.values() for b in _bodies(a)]
        for body in bodies:
            found.update(dict.fromkeys(body.all_nodes(), holder))
    return found


def _bodies(attribute: ir.Attr) -> Sequence[ir.Graph]:
    if attribute.type == ir.AttributeType.GRAPH:
        return (attribute.as_graph(),)
    return attribute.as_graphs() if attribute.type == ir.AttributeType.GRAPHS else ()


def _is_candidate(node: ir.Node) -> bool:
    return node.op_type not in WEIGHTED or float32_weight(node) is not None


def _obstacle(node: ir.Node) -> Note | None:
    """Why the quantizer would get `node` wrong; None if it would not."""
    first = node.inputs[0]
    if first is None or first.dtype is None:
        return Note.of("static.untyped_input")
    # (the empty roi of a Resize is not a tensor that is quantized)
    if node.op_type != "Resize" and any(_is_empty(value) for value in node.inputs):
        return Note.of("static.empty_input")
    if node.op_type in BOUNDING:
        return _merging(node, first)
    if node.op_type in WEIGHTED and graphs.constant(origin(first)) is not None:
        return Note.of("static.constant_factors")
    if node.op_type == "Gemm":
        return _gemm(node)
    bias = len(node.inputs) > 2 and node.inputs[2] is not None
    if node.op_type == "ConvTranspose" and bias and node.attributes.get_int("group", 1) > 1:
        return Note.of("static.grouped_transposed")
    return None


def _is_empty(value: ir.Value | None) -> bool:
    array = graphs.constant(origin(value))
    return array is not None and array.size == 0 and array.dtype == np.float32


def _merging(node: ir.Node, before: ir.Value) -> Note | None:
    if before.is_graph_output() or len(before.uses()) > 1:
        return Note.of("static.read_by_others")
    if any(user.graph is not node.graph for user, _ in node.outputs[0].uses()):
        return Note.of("static.read_by_body")
    if node.op_type == "Clip":
        low, high = _limit(node, 1, -np.inf), _limit(node, 2, np.inf)
        if low is None or high is None:
            return Note.of("static.limits_computed")
        if not low <= 0 <= high:
            return Note.of("static.limits_without_zero", low=low, high=high)
    return None


def _limit(node: ir.Node, position: int, default: float) -> float | None:
    value = node.inputs[position] if len(node.inputs) > position else None
    if value is None:
        return default
    array = graphs.constant(origin(value))
    return None if array is None or array.size != 1 else float(array.reshape(-1)[0])


def _gemm(node: ir.Node) -> Note | None:
    if node.attributes.get_int("transA", 0):
        return Note.of("static.transposed_input")
    factors = [node.attributes.get_float(name, 1.0) for name in ("alpha", "beta")]
    if factors != [1.0, 1.0]:
        return Note.of("static.scaled")
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is not None and graphs.constant(origin(bias)) is None:
        return Note.of("static.bias_computed")
    return None


def level_biases(graph: Graph) -> None:
    """Give each Gemm a bias of one number per output, which C of (1, N), (1,) or () stands for."""
    for node in graph.graph:
        if node.op_type != "Gemm" or node.domain not in STANDARD or float32_weight(node) is None:
            continue
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        array = graphs.constant(origin(bias))
        weight = graphs.constant(origin(node.inputs[1]))
        if bias is None or array is None or weight is None:
            continue
        outputs = weight.shape[0 if node.attributes.get_int("transB", 0) else 1]
        wide = array.ndim <= 1 or array.shape[:-1] == (1,) * (array.ndim - 1)
        if array.shape != (outputs,) and wide and array.size in (1, outputs):
            node.replace_input_with(2, _level(graph, node, array, outputs))


def _level(graph: Graph, node: ir.Node, array: np.ndarray, outputs: int) -> ir.Value:
    tensor = ir.tensor(np.broadcast_to(array.reshape(-1), (outputs,)).copy())
    name = _free(f"{node.name}_bias", {v.name or "" for v in _values(graph)})
    value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape([outputs]))
    tensor.name, value.const_value = name, tensor
    graph.graph.register_initializer(value)
    return value


def rename_like_its_own(graph: Graph) -> None:
    """Rename values whose names the quantizer would give to its own; inputs and outputs stay."""
    kept = {*graph.graph.inputs, *graph.graph.outputs}
    _rename([v for v in _values(graph) if v not in kept], graph)


def rename_ends(graph: Graph) -> Ends:
    """Rename inputs and outputs of that kind as well; how they were called, to be given back."""
    ends = (*graph.graph.inputs, *graph.graph.outputs)
    before = tuple(value.name or "" for value in ends)
    _rename(ends, graph)
    return before


def restore_ends(graph: Graph, names: Ends) -> None:
    """Give inputs and outputs the names that they had; what took one meanwhile makes way."""
    ends = (*graph.graph.inputs, *graph.graph.outputs)
    moved = {name for value, name in zip(ends, names, strict=True) if value.name != name}
    taken = {value.name or "" for value in _values(graph)} | moved
    for value in [v for v in _values(graph) if v.name in moved and v not in ends]:
        value.name = _unused(f"{value.name}_int8", taken)
        taken.add(value.name)
    for value, name in zip(ends, names, strict=True):
        value.name = name


def _rename(values: Sequence[ir.Value], graph: Graph) -> None:
    taken = {value.name or "" for value in _values(graph)}
    for value in values:
        if value.name and ITS_NAMES.search(value.name):
            value.name = _free(f"{ITS_NAMES.sub('', value.name)}_float", taken)
            taken.add(value.name)


def _values(graph: Graph) -> Iterator[ir.Value]:
    yield from graph.graph.inputs
    for inner in graphs.all_graphs(graph):
        yield from inner.initializers.values()
        for node in inner:
            yield from node.outputs


def _free(stem: str, taken: set[str]) -> str:
    return _unused(ITS_NAMES.sub("", stem), taken)


def _unused(stem: str, taken: set[str]) -> str:
    name, count = stem, 0
    while name in taken:
        count += 1
        name = f"{stem}{count}"
    return name


def activations(graph: Graph, nodes: Sequence[ir.Node]) -> list[str]:
    """The float32 tensors at the inputs and outputs of `nodes`, but for constants."""
    found: dict[str, None] = {}
    for node in nodes:
        for value in (*node.inputs, *node.outputs):
            if value is None or value.dtype != ir.DataType.FLOAT or not value.name:
                continue
            if graphs.constant(origin(value)) is None:
                found[value.name] = None
    return list(found)
