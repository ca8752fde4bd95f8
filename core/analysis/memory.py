"""What a graph takes in memory: its weights, and its activations while it runs.

An activation lives from the node that makes it to its last reader; the runtime frees it then, so a
run needs the most that is alive at once, not the sum. In-place operators and the runtime's own
buffers (a convolution laid out anew) are not modelled: who states a need adds a margin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx_ir as ir

from core.analysis.shapes import Facts, facts, subgraphs
from core.analysis.values import constant_tensor

FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class GraphMemory:
    """Bytes of a graph at one batch size.

    Attributes:
        weights: of all constant tensors, each once.
        largest_weight: of the largest of them.
        live: activations alive at once, at most, while the graph runs.
        all: every activation together, as if nothing were freed.
        largest: of one activation.
        known: whether every size was; what is not known counts as nothing.
    """

    weights: int = 0
    largest_weight: int = 0
    live: int = 0
    all: int = 0
    largest: int = 0
    known: bool = True


def measure(graph: ir.Model, batch: int = 1) -> GraphMemory:
    """The memory of `graph`.

    Args:
        graph: the model; its nodes are in topological order.
        batch: what a dynamic first dimension of an input counts as.
    """
    about = facts(graph, batch=batch)
    weights = [tensor.nbytes for tensor in _constants(graph.graph)]
    sizes: dict[ir.Value, int | None] = {
        value: _bytes(value, about)
        for value in (*graph.graph.inputs, *(out for node in graph.graph for out in node.outputs))
        if constant_tensor(value) is None
    }
    known = {value: size for value, size in sizes.items() if size is not None}
    return GraphMemory(
        weights=sum(weights),
        largest_weight=max(weights, default=0),
        live=_live(graph.graph, known),
        all=sum(known.values()),
        largest=max(known.values(), default=0),
        known=len(known) == len(sizes),
    )


def _constants(graph: ir.Graph) -> list[ir.TensorProtocol]:
    found = [v.const_value for v in graph.initializers.values() if v.const_value is not None]
    for node in graph:
        if node.op_type == "Constant" and node.outputs:
            tensor = constant_tensor(node.outputs[0])
            found += [tensor] if tensor is not None else []
        for inner in subgraphs(node):
            found += _constants(inner)
    return found


def _bytes(value: ir.Value, about: Facts) -> int | None:
    """Bytes of an activation; None where a dimension is not known before the model runs."""
    shape = about.shape(value)
    if shape is None or any(isinstance(d, str) for d in shape):
        return None
    kind = about.types.get(value)
    width = kind.itemsize if kind is not None and kind is not ir.DataType.STRING else FLOAT_BYTES
    return math.ceil(math.prod(d for d in shape if isinstance(d, int)) * width)


def _live(graph: ir.Graph, sizes: dict[ir.Value, int]) -> int:
    """The most that is alive at once; outputs of the graph stay until the end."""
    last: dict[ir.Value, ir.Node] = {}
    for node in graph:
        for value in (*node.inputs, *(v for inner in subgraphs(node) for v in _outer(inner))):
            if value is not None:
                last[value] = node
    kept = set(graph.outputs)
    now = most = sum(sizes.get(value, 0) for value in graph.inputs)
    for node in graph:
        now += sum(sizes.get(out, 0) for out in node.outputs)
        most = max(most, now)
        read = {value for value in node.inputs if value is not None}
        ended = [v for v in (*read, *node.outputs) if v not in kept and last.get(v, node) is node]
        now -= sum(sizes.get(value, 0) for value in ended)
    return most


def _outer(graph: ir.Graph) -> list[ir.Value]:
    """Values that a body reads from around it, or makes itself; the latter do no harm."""
    found = [value for node in graph for value in node.inputs if value is not None]
    return found + [v for node in graph for inner in subgraphs(node) for v in _outer(inner)]
