"""Decisions in a graph: nodes whose result jumps where their input moves by a rounding error.

A different order of additions may swap two boxes, flip a rounding by one level or choose another
class. What lies behind such a node can differ though nothing is wrong; what lies before it cannot,
so that is where a rewritten graph is compared.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from core.graph import Graph
from core.graph.operators import INTEGER_LAYERS, RANDOM

SELECTS = frozenset({"NonMaxSuppression", "TopK", "ArgMax", "ArgMin", "Unique", "NonZero"})
ROUNDS = frozenset(
    {"Round", "Floor", "Ceil", "QuantizeLinear", "DynamicQuantizeLinear", "Sign", "Equal", "Mod"}
    | {"Greater", "GreaterOrEqual", "Less", "LessOrEqual"}
    | INTEGER_LAYERS
)
DRAWS = RANDOM | {"Dropout"}
FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16})


def behind(graph: Graph, kinds: frozenset[str]) -> set[str]:
    """Names of the main graph's values that come of a node of these kinds, bodies included."""
    reached: set[ir.Value] = set()
    for node in graph.graph:
        inner = list(_with_bodies(node))
        if any(_decides(n, kinds) for n in inner) or any(v in reached for v in _read(inner)):
            reached.update(node.outputs)
    return {value.name or "" for value in reached}


def before(graph: Graph) -> tuple[str, ...]:
    """Names of float values that decisions are made on and that come of none themselves."""
    decided = behind(graph, SELECTS | ROUNDS | DRAWS)
    outputs = {value.name for value in graph.graph.outputs}
    own = {value for node in graph.graph for value in node.outputs}
    found: dict[str, None] = {}
    for node in graph.graph:
        for inner in _with_bodies(node):
            if not _decides(inner, SELECTS | ROUNDS):
                continue
            for value in inner.inputs:
                if value in own and value is not None and value.dtype in FLOATS:
                    found[value.name or ""] = None
    return tuple(name for name in found if name not in decided and name not in outputs)


def _decides(node: ir.Node, kinds: frozenset[str]) -> bool:
    if node.op_type in kinds:
        return True
    to = node.attributes.get("to") if node.op_type == "Cast" else None
    source = node.inputs[0].dtype if to is not None and node.inputs[0] is not None else None
    whole = to is not None and ir.DataType(to.as_int()).is_integer()
    return whole and source in FLOATS and bool(kinds & ROUNDS)


def _with_bodies(node: ir.Node) -> Iterator[ir.Node]:
    yield node
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield from attribute.as_graph().all_nodes()
        elif attribute.type == ir.AttributeType.GRAPHS:
            for body in attribute.as_graphs():
                yield from body.all_nodes()


def _read(nodes: list[ir.Node]) -> Iterator[ir.Value]:
    return (value for node in nodes for value in node.inputs if value is not None)
