"""The few liberties that files take and that passes and runtimes trip over, set straight.

- A node name that occurs twice (ONNX allows it, ONNX Runtime refuses it) becomes unique.
- A weight that is listed as a graph input too (IR version 3 demanded it) is a constant only.
- A dimension written as -1 is dynamic.
- IR version 3, in which no weight may be added without a graph input, becomes 4.
"""

from __future__ import annotations

import onnx_ir as ir

from core.graph.values import all_graphs

FIRST_IR_WITH_PURE_INITIALIZERS = 4


def normalise(graph: ir.Model) -> tuple[str, ...]:
    """Set `graph` straight in place; what was done, as sentences for the user."""
    notes = []
    if renamed := _unique_node_names(graph):
        notes.append(f"{renamed} node names occurred more than once and were made unique.")
    if moved := _constants_only(graph):
        notes.append(f"{moved} weights were listed as inputs as well; they are constants now.")
    graph.ir_version = max(graph.ir_version or 0, FIRST_IR_WITH_PURE_INITIALIZERS)
    _dynamic_dims(graph)
    return tuple(notes)


def _unique_node_names(graph: ir.Model) -> int:
    nodes = [node for inner in all_graphs(graph) for node in inner]
    taken = {node.name for node in nodes if node.name}
    seen: set[str] = set()
    renamed = 0
    suffixes: dict[str, int] = {}
    for node in nodes:
        base = node.name or node.op_type
        if node.name and base not in seen:
            seen.add(base)
            continue
        renamed += bool(node.name)
        count = suffixes.get(base, 1)
        while (name := f"{base}_{count}") in taken:
            count += 1
        suffixes[base] = count + 1
        node.name = name
        taken.add(name)
        seen.add(name)
    return renamed


def _constants_only(graph: ir.Model) -> int:
    inputs = graph.graph.inputs
    weights = [value for value in inputs if value.const_value is not None]
    if not weights:
        return 0
    kept = [value for value in inputs if value.const_value is None]
    inputs.clear()
    inputs.extend(kept)
    return len(weights)


def _dynamic_dims(graph: ir.Model) -> None:
    for value in (*graph.graph.inputs, *graph.graph.outputs):
        if value.shape is not None and any(dim == -1 for dim in value.shape):
            value.shape = ir.Shape([None if dim == -1 else dim for dim in value.shape])
