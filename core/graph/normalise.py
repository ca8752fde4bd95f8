"""The few liberties that files take and that passes and runtimes trip over, set straight.

- A node name that occurs twice (ONNX allows it, ONNX Runtime refuses it) becomes unique.
- A weight that is listed as a graph input too (IR version 3 demanded it) is a constant only.
- A dimension written as -1 is dynamic. One whose name names nothing ("?", as Paddle writes for all
  of them), and a name that stands for the batch and for another axis of the same input, name no
  dimension: these go by INPUT:AXIS, so that each can be given a size of its own.
- A weight that goes through Transpose, Reshape or Identity each time the model runs is stored as it
  is used (exporters that fold no constants leave it to the runtime): else it is no layer's weight.
- The standard operators imported as "ai.onnx" are imported under their shorter name "".
- IR version 3, in which no weight may be added without a graph input, becomes 4.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from core.graph.operators import STANDARD
from core.graph.values import all_graphs, constant

Array = np.ndarray[Any, Any]

FIRST_IR_WITH_PURE_INITIALIZERS = 4
PLACEHOLDERS = frozenset({"?", "*", "-1", "none", "unknown", "dynamic"})  # whatever their case
LONG = "ai.onnx"
MOVES = frozenset({"Identity", "Transpose", "Reshape"})


def normalise(graph: ir.Model) -> tuple[str, ...]:
    """Set `graph` straight in place; what was done, as sentences for the user."""
    notes = []
    _one_name_of_the_standard(graph)
    if renamed := _unique_node_names(graph):
        notes.append(f"{renamed} node names occurred more than once and were made unique.")
    if moved := _constants_only(graph):
        notes.append(f"{moved} weights were listed as inputs as well; they are constants now.")
    if stored := _as_used(graph.graph):
        notes.append(f"{stored} weights were rearranged in every run; they are stored as used now.")
    graph.ir_version = max(graph.ir_version or 0, FIRST_IR_WITH_PURE_INITIALIZERS)
    _dynamic_dims(graph)
    if unnamed := _unname(graph):
        notes.append(
            "Dimensions without a name of their own are called INPUT:AXIS, from 0: "
            f"{', '.join(unnamed)}."
        )
    return tuple(notes)


def _one_name_of_the_standard(graph: ir.Model) -> None:
    """Everything asks for the opset of "", which ONNX lets a file call "ai.onnx" as well."""
    bodies = [graph.graph, *(function.graph for function in graph.functions.values())]
    for imports in (graph.opset_imports, *(body.opset_imports for body in bodies)):
        if LONG in imports:
            imports.setdefault("", imports[LONG])
            del imports[LONG]


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


def _unname(graph: ir.Model) -> list[str]:
    """Take placeholders from the dimensions of inputs and outputs; what the inputs' go by now."""
    shapes = [[_text(d) for d in v.shape] for v in graph.graph.inputs if v.shape is not None]
    twice = {shape[0] for shape in shapes if shape and shape[0] in shape[1:]}
    nothing = {name for name in twice if name} | PLACEHOLDERS
    found = []
    for value in (*graph.graph.inputs, *graph.graph.outputs):
        named = [
            _text(dim).casefold() in nothing or _text(dim) in nothing for dim in value.shape or ()
        ]
        if not any(named) or value.shape is None:
            continue
        pairs = zip(value.shape, named, strict=True)
        value.shape = ir.Shape([None if bad else dim for dim, bad in pairs])
        if value.is_graph_input():
            found += [f"{value.name}:{axis}" for axis, bad in enumerate(named) if bad]
    return found


def _text(dim: int | ir.SymbolicDim) -> str:
    """The name of an open dimension; empty for one without and for a number."""
    return "" if isinstance(dim, int) else dim.value or ""


def _as_used(main: ir.Graph) -> int:
    """Replace weights that are only moved by what comes of it; how many.

    A weight that others read as well is let be, lest the file grow.
    """
    found = 0
    for node in list(main):
        source = node.inputs[0] if node.inputs else None
        array = constant(source) if node.domain in STANDARD and node.op_type in MOVES else None
        if source is None or array is None or array.dtype.kind != "f":
            continue
        output = node.outputs[0]
        alone = len(source.uses()) == 1 and not source.is_graph_output()
        moved = _moved(node, array) if alone or node.op_type == "Identity" else None
        if moved is None or output.is_graph_output():
            continue
        if node.op_type == "Identity":
            output.replace_all_uses_with(source)
            main.remove(node, safe=True)
        else:
            _store(main, node, moved)
        found += 1
    return found


def _moved(node: ir.Node, array: Array) -> Array | None:
    """What the node makes of a constant; None where that is known only in a run."""
    if node.op_type == "Transpose":
        perm = node.attributes.get("perm")
        return np.transpose(array, None if perm is None else list(perm.as_ints()))
    if node.op_type == "Identity":
        return array
    target = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    if target is None or "allowzero" in node.attributes:
        return None
    sizes = [array.shape[i] if d == 0 and i < array.ndim else d for i, d in enumerate(target)]
    fits = -1 in sizes or np.prod(sizes) == array.size
    return array.reshape([int(d) for d in sizes]) if fits else None


def _store(main: ir.Graph, node: ir.Node, moved: Array) -> None:
    """Put a constant in the place of a node that moves one, under the name of its output."""
    output, source = node.outputs[0], node.inputs[0]
    name = output.name or ""
    tensor = ir.tensor(np.ascontiguousarray(moved), name=name)
    value = ir.Value(name=name, shape=ir.Shape(moved.shape), type=ir.TensorType(tensor.dtype))
    value.const_value = tensor
    output.replace_all_uses_with(value)
    main.remove(node, safe=True)
    main.initializers[name] = value
    maker = source.producer() if source is not None else None
    if maker is not None:
        main.remove(maker, safe=True)
    elif source is not None and source.name:
        del main.initializers[source.name]
