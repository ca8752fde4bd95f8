"""Partition of a graph: which nodes compute in integers, and which tensors so live on a grid.

Three kinds of node take part. *Weighted* ones (Conv, Gemm, MatMul by a constant) are why one
quantizes at all. *Joining* ones (Add, Mul, Concat, pools, ...) have integer kernels but win little:
they take part only between neighbours that do, since a lone one costs more in conversions than it
saves. *Carrying* ones (Reshape, MaxPool, ...) hand integers on, on the grid they came on.

ReLU and Clip behind a node that computes are no nodes at all: a grid that starts at zero cuts off
below zero by itself. What follows the last such node stays float, as does everything that touches
shapes or indices: nobody here knows those operators, so they are left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from core import graph as graphs
from core.compress.quantization.shared_weights import completed
from core.graph.operators import BOUNDING, STANDARD

WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})
JOINING = frozenset(
    {"Add", "Mul", "Concat", "AveragePool", "GlobalAveragePool", "Sigmoid", "LeakyRelu"}
)
CARRYING = frozenset(
    {"MaxPool", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Slice", "Resize"}
    | {"Pad"}
)
FLOAT_OUTPUT = frozenset({"Gemm", "MatMul"})  # their integer kernels can answer in float


@dataclass(frozen=True)
class Selection:
    """What of a graph is quantized, by name.

    Attributes:
        nodes: names of the nodes that compute in integers, the weighted ones among them.
        weighted: names of those with weights, in the order of the graph.
        tensors: tensor -> the tensor whose grid it has (itself, or what a carrying node got).
        bounded: ReLU or Clip node -> the node that it vanishes into.
    """

    nodes: frozenset[str]
    weighted: tuple[str, ...]
    tensors: dict[str, str] = field(default_factory=dict)
    bounded: dict[str, str] = field(default_factory=dict)

    @property
    def roots(self) -> list[str]:
        """Tensors that need a range of their own."""
        return list(dict.fromkeys(self.tensors.values()))


def is_weighted(node: ir.Node) -> bool:
    """Whether a node multiplies by a constant float32 weight in a way integer kernels know."""
    if node.op_type not in WEIGHTED or node.domain not in STANDARD or len(node.inputs) < 2:
        return False
    weight = graphs.constant(node.inputs[1])
    if weight is None or weight.dtype != np.float32 or weight.ndim < 2 or not weight.size:
        return False
    if graphs.constant(node.inputs[0]) is not None or not np.isfinite(weight).all():
        return False
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is not None and graphs.constant(bias) is None:
        return False
    if node.op_type == "Gemm":
        numbers = [node.attributes.get_float(n, 1.0) for n in ("alpha", "beta")]
        return numbers == [1.0, 1.0] and not node.attributes.get_int("transA", 0)
    return node.op_type == "Conv" or weight.ndim == 2


def select(
    graph: ir.Model,
    exclude: frozenset[str] = frozenset(),
    joining: frozenset[str] = JOINING,
    carrying: frozenset[str] = CARRYING,
) -> Selection:
    """The largest sensible set of integer nodes.

    Args:
        graph: a prepared graph.
        exclude: names of nodes that stay float; layers that share a weight do so together.
        joining: operators that may take part between integer neighbours.
        carrying: operators that may hand integers on.
    """
    layers = [n for n in graph.graph if is_weighted(n)]
    exclude = completed(exclude, layers)
    nodes = [n for n in graph.graph if n.name not in exclude and n.domain in STANDARD]
    weighted = [n for n in layers if n.name not in exclude]
    others = {n for n in nodes if n.op_type in joining | carrying and _only_data(n)}
    chosen = set(weighted) | others
    bounded = _bounded(nodes, chosen)
    while True:
        lone = {n for n in chosen & others if not _belongs(n, chosen, bounded)}
        if not lone:
            break
        chosen -= lone
        bounded = _bounded(nodes, chosen)
    order = [n for n in graph.graph if n in chosen]
    tensors = dict(_tensors(order, chosen, carrying, bounded))
    return Selection(
        frozenset(n.name or "" for n in chosen),
        tuple(n.name or "" for n in order if n.op_type in WEIGHTED),
        _rooted(tensors),
        {r.name or "": p.name or "" for r, p in bounded.items()},
    )


def reading_inputs(graph: ir.Model) -> frozenset[str]:
    """Layers with weights that read an input of the net, as it came or without weights between."""
    near, found = set(graph.graph.inputs), set()
    for node in graph.graph:
        moving = [v for v in node.inputs if v is not None and graphs.constant(v) is None]
        if not moving or not near.issuperset(moving):
            continue
        if is_weighted(node):
            found.add(node.name or "")
        else:
            near |= set(node.outputs)
    return frozenset(found)


def weights_only(names: list[str]) -> Selection:
    """A selection that quantizes the weights of these nodes and no activation."""
    return Selection(frozenset(names), tuple(names))


def data_inputs(node: ir.Node) -> list[ir.Value]:
    """The activations that a node computes with, not its weights, sizes or axes."""
    if node.op_type in ("Concat", "Add", "Mul"):
        return [v for v in node.inputs if v is not None]
    first = node.inputs[0] if node.inputs else None
    return [first] if first is not None else []


def _only_data(node: ir.Node) -> bool:
    """Float activations in, one output; nothing constant takes part in the arithmetic."""
    inputs = data_inputs(node)
    floats = all(
        v.type is None or getattr(v.type, "dtype", None) == ir.DataType.FLOAT for v in inputs
    )
    known = any(graphs.constant(v) is not None for v in inputs)
    if not inputs or not floats or known or len(node.outputs) != 1:
        return False
    if node.op_type == "Pad":
        return pads_zeros(node) and not node.outputs[0].is_graph_output()
    if node.op_type == "Resize":
        return node.attributes.get_string("mode", "nearest") == "nearest"
    return True


def pads_zeros(node: ir.Node) -> bool:
    """Whether a Pad surrounds by the constant zero, which every grid holds."""
    fill = node.inputs[2] if len(node.inputs) > 2 else None
    array = graphs.constant(fill)
    zeros = fill is None or (array is not None and not array.any())
    return node.attributes.get_string("mode", "constant") == "constant" and zeros


def _bounded(nodes: list[ir.Node], chosen: set[ir.Node]) -> dict[ir.Node, ir.Node]:
    """ReLU and Clip nodes that the grid of the node before them makes superfluous."""
    found = {}
    for node in nodes:
        source = node.inputs[0] if node.inputs else None
        producer = source.producer() if source is not None else None
        if node.op_type not in BOUNDING or producer not in chosen or source is None:
            continue
        if producer is None or producer.op_type in CARRYING or producer.op_type == "Concat":
            continue
        alone = len(list(source.uses())) == 1 and not source.is_graph_output()
        if alone and (node.op_type == "Relu" or _holds_zero(node)):
            found[node] = producer
    return found


def _holds_zero(clip: ir.Node) -> bool:
    """Whether a Clip has constant bounds with zero between them."""
    bounds = []
    for position, default in ((1, -np.inf), (2, np.inf)):
        value = clip.inputs[position] if len(clip.inputs) > position else None
        array = graphs.constant(value)
        if value is not None and array is None:
            return False
        bounds.append(float(array.reshape(-1)[0]) if array is not None else default)
    return bounds[0] <= 0.0 <= bounds[1]


def _belongs(node: ir.Node, chosen: set[ir.Node], bounded: dict[ir.Node, ir.Node]) -> bool:
    """Whether integers come in on every side and somebody wants integers out."""
    makers = [_maker(value, bounded) for value in data_inputs(node)]
    if not all(maker in chosen for maker in makers):
        return False
    after = list(node.outputs[0].uses())
    users = {use.node for use in after}
    if len(users) == 1 and (only := next(iter(users))) in bounded:
        users = {use.node for use in only.outputs[0].uses()}
    return any(user in chosen for user in users)


def _maker(value: ir.Value, bounded: dict[ir.Node, ir.Node]) -> ir.Node | None:
    node = value.producer()
    return bounded.get(node, node) if node is not None else None


def _tensors(
    order: list[ir.Node],
    chosen: set[ir.Node],
    carrying: frozenset[str],
    bounded: dict[ir.Node, ir.Node],
) -> Iterator[tuple[str, str]]:
    """(tensor, the tensor that it takes its grid from) in the order of the graph."""
    behind = {producer: node for node, producer in bounded.items()}
    for node in order:
        for value in data_inputs(node):
            if _maker(value, bounded) not in chosen:
                yield value.name or "", value.name or ""
        output = behind[node].outputs[0] if node in behind else node.outputs[0]
        wanted = any(use.node in chosen for use in output.uses())
        if node.op_type in FLOAT_OUTPUT and not wanted and node not in behind:
            continue
        carried = node.op_type in carrying
        root = data_inputs(node)[0].name if carried else output.name
        yield output.name or "", root or ""


def _rooted(tensors: dict[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in tensors:
        root = name
        while tensors.get(root, root) != root:
            root = tensors[root]
        found[name] = root
    return found
