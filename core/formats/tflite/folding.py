"""Constant folding: what a graph of known sizes computes of nothing but constants and sizes.

Exporters work out the target of a Reshape while the model runs. Once every size is known, so is
that. Quantized constants stay as they are: their codes are what is shipped.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from core.graph import constant, infer_shapes
from core.graph.operators import QUANTIZERS, RANDOM, STANDARD
from core.graph.values import origin

Array = np.ndarray[Any, Any]
ROUNDS = 12
LARGEST = 1 << 26  # elements of what is computed here
KEPT = RANDOM | QUANTIZERS | {"Constant"}


def fold(model: ir.Model) -> None:
    """Fold in place until nothing changes."""
    for _ in range(ROUNDS):
        infer_shapes(model)
        if not _round(model):
            return
    infer_shapes(model)


def _round(model: ir.Model) -> bool:
    changed = False
    for node in list(model.graph):
        if node.domain not in STANDARD or len(node.outputs) != 1:
            continue
        found = _sizes(node) if node.op_type in ("Shape", "Size") else _computed(node, model)
        if found is not None and not node.outputs[0].is_graph_output():
            _replace(model.graph, node, found)
            changed = True
    return changed


def _sizes(node: ir.Node) -> Array | None:
    """What Shape or Size says of a tensor whose sizes are known."""
    source = node.inputs[0]
    if source is None or source.shape is None:
        return None
    dims = [dim for dim in source.shape if isinstance(dim, int)]
    if len(dims) != len(source.shape):
        return None
    if node.op_type == "Size":
        return np.array(int(np.prod(dims)), np.int64)
    start, end = (node.attributes.get(name) for name in ("start", "end"))
    first = start.as_int() if start is not None else None
    last = end.as_int() if end is not None else None
    return np.array(dims[first:last], np.int64)


def _computed(node: ir.Node, model: ir.Model) -> Array | None:
    """The output of a node whose inputs are all constants."""
    if node.op_type in KEPT or any(a.type in _GRAPHS for a in node.attributes.values()):
        return None
    inputs = [value for value in node.inputs if value is not None]
    arrays = [constant(origin(value)) for value in inputs]
    if not arrays or any(array is None for array in arrays):
        return None
    if node.op_type == "Identity":
        return None
    shape = node.outputs[0].shape
    if (
        shape is not None
        and np.prod([d for d in shape if isinstance(d, int)], dtype=float) > LARGEST
    ):
        return None
    return _evaluated(node, model, inputs, [a for a in arrays if a is not None])


_GRAPHS = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)


def _evaluated(
    node: ir.Node, model: ir.Model, inputs: list[ir.Value], arrays: list[Array]
) -> Array | None:
    """The node as ONNX's reference evaluator computes it; None where it does not."""
    from onnx.reference import ReferenceEvaluator

    infos = {
        value.name: onnx.helper.make_tensor_value_info(
            value.name or "", onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for value, array in zip(inputs, arrays, strict=True)
    }
    output = onnx.helper.make_empty_tensor_value_info(node.outputs[0].name or "")
    graph = onnx.helper.make_graph([ir.to_proto(node)], "one", list(infos.values()), [output])
    opset = onnx.helper.make_opsetid("", model.graph.opset_imports.get("", 1))
    made = onnx.helper.make_model(graph, opset_imports=[opset])
    feeds = {value.name or "": array for value, array in zip(inputs, arrays, strict=True)}
    try:
        (found,) = ReferenceEvaluator(made).run(None, feeds)
    except Exception:  # what the evaluator does not know stays a node, and is refused as one
        return None
    return np.asarray(found) if isinstance(found, np.ndarray | np.generic) else None


def _replace(graph: ir.Graph, node: ir.Node, array: Array) -> None:
    output = node.outputs[0]
    tensor = ir.tensor(np.asarray(array), name=output.name)
    value = ir.Value(
        name=output.name, shape=ir.Shape(np.shape(array)), type=ir.TensorType(tensor.dtype)
    )
    value.const_value = tensor
    output.replace_all_uses_with(value)
    graph.remove(node, safe=True)
    graph.initializers[output.name or ""] = value
