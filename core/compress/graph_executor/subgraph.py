"""Subgraph extraction: some nodes of a graph as a graph that runs on its own.

Constants are shared with the whole graph, not copied. What is known of the shapes in between is
left out: weights may have changed since it was inferred.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import onnx_ir as ir

from core.analysis.shapes import subgraphs

LEAST_IR_VERSION = 8


def reads(node: ir.Node) -> Iterator[ir.Value]:
    """What a node reads, also from within its bodies."""
    yield from (value for value in node.inputs if value is not None)
    for inner in subgraphs(node):
        for deep in inner:
            yield from reads(deep)
        yield from inner.outputs


def needed(graph: ir.Model, outputs: Sequence[str], known: Collection[str]) -> list[ir.Node]:
    """The nodes of the main graph, in order, that make these tensors of what is known.

    Args:
        graph: the whole.
        outputs: names of tensors; for one that is known there is nothing to be done.
        known: names of tensors; inputs and constants need not be among them.
    """
    makers = {value.name: node for node in graph.graph for value in node.outputs if value.name}
    found: set[ir.Node] = set()
    waiting = [makers[name] for name in outputs if name in makers and name not in known]
    while waiting:
        node = waiting.pop()
        if node in found:
            continue
        found.add(node)
        names = {value.name for value in reads(node)} - {None}
        waiting += [makers[name] for name in names if name in makers and name not in known]
    return [node for node in graph.graph if node in found]


def read_from_outside(nodes: Sequence[ir.Node]) -> list[ir.Value]:
    """The tensors that these nodes read and that none of them makes; constants are no tensors."""
    made = {value.name for node in nodes for value in _all_outputs(node)}
    read = {value.name: value for node in nodes for value in reads(node)}
    return [v for name, v in read.items() if name and name not in made and v.const_value is None]


def cut(
    graph: ir.Model, nodes: Sequence[ir.Node], inputs: Sequence[ir.Value], outputs: Sequence[str]
) -> ir.Model:
    """Some nodes of a graph as a graph of their own.

    Args:
        graph: that they belong to.
        nodes: of the main graph, in order.
        inputs: names, types and shapes of the tensors that are given to them.
        outputs: names of the tensors that are asked for.
    """
    values = {value.name: value for node in nodes for value in (*reads(node), *node.outputs)}
    given = {value.name for value in inputs}
    constants = [v for n, v in values.items() if v.is_initializer() and n not in given]
    view = ir.GraphView(
        [values[value.name] for value in inputs],
        [values[name] for name in outputs],
        nodes=nodes,
        initializers=constants,
        opset_imports=graph.graph.opset_imports,
        name="piece",
    )
    piece = view.clone()
    ends = set(piece.outputs)
    for node in piece.all_nodes():
        for value in node.outputs:
            value.shape, value.type = None, value.type if value in ends else None
    for value, like in zip(piece.inputs, inputs, strict=True):
        value.shape, value.type = like.shape, like.type
    version = max(graph.ir_version or LEAST_IR_VERSION, LEAST_IR_VERSION)
    functions = [function.clone() for function in graph.functions.values()]
    return ir.Model(piece, ir_version=version, functions=functions)


def between(graph: ir.Model, starts: Collection[str], ends: Sequence[str]) -> ir.Model:
    """The part of a graph that makes `ends` of `starts` and of the inputs.

    Args:
        graph: the whole.
        starts: names of float tensors.
        ends: names of tensors, none of them a start.
    """
    nodes = needed(graph, ends, starts)
    floats = ir.TensorType(ir.DataType.FLOAT)
    given = [
        value if value.is_graph_input() else ir.Value(name=value.name, type=floats)
        for value in read_from_outside(nodes)
    ]
    return cut(graph, nodes, given, ends)


def _all_outputs(node: ir.Node) -> Iterator[ir.Value]:
    """What a node makes, also within its bodies."""
    yield from node.outputs
    for inner in subgraphs(node):
        yield from inner.inputs
        for deep in inner:
            yield from _all_outputs(deep)
