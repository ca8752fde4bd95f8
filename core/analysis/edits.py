"""The small rewrites that cutting channels needs besides slicing weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

Array = np.ndarray[Any, Any]


def add_initializer(graph: ir.Graph, stem: str, array: Array) -> ir.Value:
    """A new initializer of `graph` with a name that is not taken."""
    taken = names(graph)
    name, count = stem, 0
    while name in taken:
        count += 1
        name = f"{stem}_{count}"
    tensor = ir.tensor(np.asarray(array, order="C"), name=name)  # a scalar stays a scalar
    value = ir.Value(
        name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor
    )
    graph.register_initializer(value)
    return value


def names(graph: ir.Graph) -> set[str]:
    """Every value name of the main graph and of the bodies in it."""
    found = {v.name or "" for v in graph.inputs} | set(graph.initializers)
    for node in graph.all_nodes():
        found.update(v.name or "" for v in (*node.inputs, *node.outputs) if v is not None)
    return found


def set_input(node: ir.Node, position: int, array: Array) -> ir.Value:
    """Feed `node` a constant of its own, and drop the Constant node that this leaves unused."""
    graph = node.graph
    if not isinstance(graph, ir.Graph):
        raise ValueError(f"{node.name} is in no graph")
    old = node.inputs[position] if position < len(node.inputs) else None
    if position >= len(node.inputs):
        node.resize_inputs(position + 1)
    stem = f"{old.name if old is not None else node.outputs[0].name}_cut"
    value = add_initializer(graph, stem, array)
    node.replace_input_with(position, value)
    if old is not None:
        sweep(graph, old)
    return value


def set_constant(value: ir.Value, array: Array) -> None:
    """Change an initializer, or the Constant node behind `value`, for everything that uses it."""
    tensor = ir.tensor(np.ascontiguousarray(array), name=value.name)
    producer = value.producer()
    if producer is not None:
        producer.attributes.clear()
        producer.attributes["value"] = ir.AttrTensor("value", tensor)
    if value.const_value is not None:
        value.const_value = tensor
    value.type = ir.TensorType(tensor.dtype)
    value.shape = ir.Shape(array.shape)


def sweep(graph: ir.Graph, value: ir.Value) -> None:
    """Remove what computed `value` if nothing uses it any more, and what fed that, and so on."""
    if value.uses() or value.is_graph_output() or value.is_graph_input():
        return
    producer = value.producer()
    if producer is None:
        if value.is_initializer():
            graph.initializers.pop(value.name or "", None)
        return
    if any(v.uses() or v.is_graph_output() for v in producer.outputs):
        return
    feeds = [v for v in producer.inputs if v is not None]
    graph.remove(producer, safe=True)
    for feed in feeds:
        sweep(graph, feed)


def override(node: ir.Node, position: int, known: Array, changes: dict[int, int]) -> None:
    """Rewrite elements of a vector input: a new constant, or Where over its run-time part.

    Args:
        node: the node to feed.
        position: which input.
        known: what is known of it; symbols (str) are computed while the model runs.
        changes: index -> new number.
    """
    elements = [changes.get(i, e) for i, e in enumerate(known.tolist())]
    runtime = [isinstance(e, str) for e in elements]
    numbers = np.array([0 if r else e for e, r in zip(elements, runtime, strict=True)], np.int64)
    graph, old = node.graph, node.inputs[position]
    if not any(runtime) or old is None or not isinstance(graph, ir.Graph):
        set_input(node, position, numbers)
        return
    stem = f"{node.outputs[0].name}_size"
    mask = add_initializer(graph, f"{stem}_runtime", np.array(runtime))
    fixed = add_initializer(graph, f"{stem}_fixed", numbers)
    taken = names(graph)
    name = next(n for i in range(len(taken) + 1) if (n := f"{stem}_{i}") not in taken)
    kind = ir.TensorType(ir.DataType.INT64)
    out = ir.Value(name=name, shape=ir.Shape([len(elements)]), type=kind)
    where = ir.Node("", "Where", [mask, old, fixed], name=name, outputs=[out])
    graph.insert_before(node, where)
    node.replace_input_with(position, where.outputs[0])


def set_ints(node: ir.Node, name: str, numbers: list[int]) -> None:
    """Give `node` a list attribute."""
    node.attributes[name] = ir.AttrInt64s(name, numbers)


def set_int(node: ir.Node, name: str, number: int) -> None:
    """Give `node` a number attribute."""
    node.attributes[name] = ir.AttrInt64(name, number)
