"""The edits that folding makes: constants replaced, nodes bypassed; shared weights stay."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from core.analysis.edits import add_initializer
from core.records import Note

Array = np.ndarray[Any, Any]
BLOCK_ELEMENTS = 1 << 20  # 8 MB of float64


@dataclass
class FoldPlan:
    """New constants for inputs of nodes, computed whole before anything is touched.

    Attributes:
        constants: (node, position) -> the array that replaces or adds that input.
        unit_beta: Gemm nodes whose beta is now part of their C.
        shift: what is still to be added per channel behind the layer; None if nothing.
    """

    constants: dict[tuple[ir.Node, int], Array] = field(default_factory=dict)
    unit_beta: list[ir.Node] = field(default_factory=list)
    shift: Array | None = None


def cast(array: Array, like: Array) -> Array | Note:
    """`array` in the type of `like`, or why it does not fit."""
    return scaled(array, np.float64(1), like) if array.dtype != like.dtype else _finite(array)


def scaled(array: Array, factor: Array | np.float64, like: Array) -> Array | Note:
    """`array` * `factor` in the type of `like`, or why it does not fit.

    The arithmetic is in float64, block after block of the first axis: in it, a large weight would
    take three times its memory.
    """
    shape = np.broadcast_shapes(array.shape, np.shape(factor))
    if shape != array.shape or not shape:
        array = np.broadcast_to(array, shape)
    factor = np.broadcast_to(factor, shape)
    result = np.empty(shape, like.dtype)
    rows = max(1, BLOCK_ELEMENTS * shape[0] // max(1, array.size)) if shape else 1
    for start in range(0, shape[0] if shape else 1, rows):
        block = slice(start, start + rows) if shape else ()
        with np.errstate(over="ignore"):
            result[block] = array[block].astype(np.float64) * factor[block]
        if isinstance(_finite(result[block]), Note):
            return _overflow(like)
    return result


def _finite(array: Array) -> Array | Note:
    """The array itself, or why it does not fit its type."""
    wide = array if array.dtype.kind == "f" else array.astype(np.float64)
    fits = bool(np.isfinite(wide).all())
    return array if fits else _overflow(array)


def _overflow(like: Array) -> Note:
    return Note.of("fold.overflow", type=like.dtype.name)


def carry_out(root: ir.Graph, plan: FoldPlan) -> None:
    """Write the constants of `plan`."""
    for (node, position), array in plan.constants.items():
        _feed(root, node, position, array)
    for node in plan.unit_beta:
        node.attributes.pop("beta", None)


def _feed(root: ir.Graph, node: ir.Node, position: int, array: Array) -> None:
    old = node.inputs[position] if position < len(node.inputs) else None
    if old is not None and _own(old):
        old.const_value = ir.tensor(array, name=old.name)
        old.shape = ir.Shape(array.shape)
        return
    if position >= len(node.inputs):
        node.resize_inputs(position + 1)
    stem = f"{old.name}_folded" if old is not None else f"{node.outputs[0].name}_bias"
    node.replace_input_with(position, add_initializer(root, stem, array))
    drop(old)


def _own(value: ir.Value) -> bool:
    """Whether `value` is an initializer that one single node uses."""
    shared = len(value.uses()) != 1 or value.is_graph_output() or value.is_graph_input()
    return value.is_initializer() and not shared


def drop(value: ir.Value | None) -> None:
    """Remove what computes `value` if nothing uses it any more, and what fed that, and so on."""
    if value is None or value.uses() or value.is_graph_output() or value.is_graph_input():
        return
    if value.is_initializer():
        if isinstance(value.graph, ir.Graph):
            value.graph.initializers.pop(value.name or "", None)
        return
    node = value.producer()
    if node is None or any(v.uses() or v.is_graph_output() for v in node.outputs):
        return
    _remove(node)


def _remove(node: ir.Node) -> None:
    inputs = list(node.inputs)
    if node.graph is not None:
        node.graph.remove(node, safe=True)
    for value in inputs:
        drop(value)


def bypass(node: ir.Node) -> None:
    """Take `node` out: what used its output uses its first input; a model output keeps its name."""
    source, output = node.inputs[0], node.outputs[0]
    if source is None:
        raise ValueError(f"{node.name} has no input")
    name, exposed = output.name, output.is_graph_output()
    output.replace_all_uses_with(source, replace_graph_outputs=True)
    if exposed:
        source.name, source.type, source.shape = name, output.type, output.shape
    for position in range(1, len(node.inputs)):
        value = node.inputs[position]
        node.replace_input_with(position, None)
        drop(value)
    if node.graph is not None:
        node.graph.remove(node, safe=True)


def add_shift(root: ir.Graph, node: ir.Node, shift: Array) -> None:
    """Turn the batch norm `node` into an Add of `shift`."""
    output = node.outputs[0]
    added = ir.Node("", "Add", [node.inputs[0], None], name=node.name)
    added.replace_input_with(1, add_initializer(root, f"{output.name}_shift", shift))
    if not isinstance(node.graph, ir.Graph):
        raise ValueError(f"{node.name} is in no graph")
    node.graph.insert_before(node, added)
    new = added.outputs[0]
    new.type, new.shape = output.type, output.shape
    name = output.name
    output.replace_all_uses_with(new, replace_graph_outputs=True)
    output.name = None
    new.name = name
    parameters = list(node.inputs[1:])
    node.graph.remove(node, safe=True)
    for value in parameters:
        drop(value)
