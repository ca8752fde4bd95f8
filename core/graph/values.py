"""Constants of a graph and the graphs inside a graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx_ir as ir

from core.graph.operators import STANDARD, WEIGHTED, is_standard
from core.records import Note


def constant(value: ir.Value | None) -> np.ndarray[Any, Any] | None:
    """The array behind an initializer or a Constant node's output; None if it is computed."""
    if value is None or (value.const_value is None and value.is_graph_input()):
        return None
    if value.const_value is not None:
        return np.asarray(value.const_value.numpy())
    node = value.producer()
    if node is None or node.op_type != "Constant" or node.domain not in STANDARD:
        return None
    tensor = ir.convenience.get_const_tensor(value)
    return None if tensor is None else np.asarray(tensor.numpy())


def origin(value: ir.Value | None) -> ir.Value | None:
    """The value behind any Identity nodes, which exporters put around shared weights."""
    while value is not None:
        node = value.producer()
        if node is None or node.op_type != "Identity" or node.domain not in STANDARD:
            return value
        value = node.inputs[0]
    return None


def fixed(value: ir.Value | None) -> np.ndarray[Any, Any] | Note:
    """The constant behind `value`, or why there is none."""
    source = origin(value)
    array = constant(source)
    if source is not None and source.is_graph_input():
        return Note.of("constant.input", input=source.name)
    return Note.of("constant.computed") if array is None else array


def float32_weight(
    node: ir.Node, operators: frozenset[str] = WEIGHTED
) -> np.ndarray[Any, Any] | None:
    """The constant float32 weights of a layer of one of these kinds; None if it has no such."""
    if not is_standard(node, operators) or len(node.inputs) < 2:
        return None
    array = constant(origin(node.inputs[1]))
    return array if array is not None and array.dtype == np.float32 else None


def all_graphs(model: ir.Model) -> Iterator[ir.Graph]:
    """The main graph, every subgraph and every function of a model."""
    yield from model.graphs()
    for function in model.functions.values():
        yield function.graph
        yield from function.graph.subgraphs()
