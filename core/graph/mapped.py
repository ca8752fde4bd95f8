"""Weights that stay in the file: arrays over its mapped bytes, in the place of parsed messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from core.graph.operators import STANDARD
from core.graph.skeleton import Values

Array = np.ndarray[Any, Any]
WHOLE_BYTE = 8  # bits; elements of fewer are unpacked, which is a copy


def as_array(content: memoryview, tensor: ir.TensorProtocol) -> Array:
    """The array of a tensor whose bytes are `content`."""
    kind = np.dtype(tensor.dtype.numpy())
    if kind.byteorder == "=" and kind.itemsize > 1 and kind.kind in "fiuc":
        kind = kind.newbyteorder("<")
    return np.frombuffer(content, kind).reshape(sizes(tensor))


def sizes(tensor: ir.TensorProtocol) -> list[int]:
    """The dimensions of a tensor, all of which are numbers."""
    return [dim for dim in tensor.shape if isinstance(dim, int)]


def settle(proto: onnx.ModelProto, values: Values) -> None:
    """Leave placeholders in initializers only.

    A large Constant becomes an initializer, which is the same to every reader. What is stored in
    bits, or is an attribute of another node, takes its values back.
    """
    _settle(proto.graph, values)
    for function in proto.functions:
        for node in function.node:
            _settle_node(node, values)


def _settle(graph: onnx.GraphProto, values: Values) -> None:
    outputs = {value.name for value in graph.output}
    moved = []
    for index, node in enumerate(graph.node):
        tensor = _large_constant(node, values)
        if tensor is not None and node.output[0] not in outputs:
            tensor.name = node.output[0]
            graph.initializer.append(tensor)
            moved.append(index)
        else:
            _settle_node(node, values)
    for index in reversed(moved):
        del graph.node[index]
    for tensor in graph.initializer:
        placeholder = values.of(tensor.raw_data) is not None
        if placeholder and ir.DataType(tensor.data_type).bitwidth < WHOLE_BYTE:
            _put_back(tensor, values)


def _large_constant(node: onnx.NodeProto, values: Values) -> onnx.TensorProto | None:
    if node.op_type != "Constant" or node.domain not in STANDARD or len(node.attribute) != 1:
        return None
    tensor: onnx.TensorProto = node.attribute[0].t
    return tensor if values.of(tensor.raw_data) is not None else None


def _settle_node(node: onnx.NodeProto, values: Values) -> None:
    for attribute in node.attribute:
        for tensor in _tensors(attribute):
            _put_back(tensor, values)
        if attribute.HasField("g"):
            _settle(attribute.g, values)
        for graph in attribute.graphs:
            _settle(graph, values)


def _tensors(attribute: onnx.AttributeProto) -> Iterator[onnx.TensorProto]:
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors


def _put_back(tensor: onnx.TensorProto, values: Values) -> None:
    content = values.of(tensor.raw_data)
    if content is not None:
        tensor.raw_data = bytes(content)
