"""Tensors of an upload: what they claim must be what they hold, counted in Python's whole numbers.

Runtimes multiply dimensions in 64 bits, where 2^32 x 2^32 is 0, and trust the result.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import onnx
from onnx import TensorProto

from core.errors import InvalidModel, UnsupportedModel
from core.graph import Values

MAX_RANK = 32
MAX_TENSOR_BYTES = 2 << 30
_BITS: dict[int, int] = {
    TensorProto.BOOL: 8,
    TensorProto.INT2: 2,
    TensorProto.UINT2: 2,
    TensorProto.INT4: 4,
    TensorProto.UINT4: 4,
    TensorProto.FLOAT4E2M1: 4,
    TensorProto.INT8: 8,
    TensorProto.UINT8: 8,
    TensorProto.FLOAT8E4M3FN: 8,
    TensorProto.FLOAT8E4M3FNUZ: 8,
    TensorProto.FLOAT8E5M2: 8,
    TensorProto.FLOAT8E5M2FNUZ: 8,
    TensorProto.FLOAT8E8M0: 8,
    TensorProto.INT16: 16,
    TensorProto.UINT16: 16,
    TensorProto.FLOAT16: 16,
    TensorProto.BFLOAT16: 16,
    TensorProto.INT32: 32,
    TensorProto.UINT32: 32,
    TensorProto.FLOAT: 32,
    TensorProto.INT64: 64,
    TensorProto.UINT64: 64,
    TensorProto.DOUBLE: 64,
    TensorProto.COMPLEX64: 64,
    TensorProto.COMPLEX128: 128,
}
_FIELDS: dict[
    int, tuple[str, int]
] = {  # type -> (field that holds it unless it is raw, entries per element)
    **dict.fromkeys(_BITS, ("int32_data", 1)),
    TensorProto.FLOAT: ("float_data", 1),
    TensorProto.COMPLEX64: ("float_data", 2),
    TensorProto.DOUBLE: ("double_data", 1),
    TensorProto.COMPLEX128: ("double_data", 2),
    TensorProto.INT64: ("int64_data", 1),
    TensorProto.UINT64: ("uint64_data", 1),
    TensorProto.UINT32: ("uint64_data", 1),
    TensorProto.STRING: ("string_data", 1),
}
_STORES = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")


def known_type(data_type: int) -> bool:
    """Whether an element type exists."""
    return data_type in _FIELDS


def size_bytes(tensor: TensorProto, where: str) -> int:
    """Bytes that the dimensions and the type of `tensor` ask for.

    Raises:
        InvalidModel: no such type, negative dimensions, or absurdly many elements.
    """
    if not known_type(tensor.data_type):
        raise InvalidModel(
            f"{where} has the element type {tensor.data_type}, which does not exist."
        )
    if len(tensor.dims) > MAX_RANK:
        raise InvalidModel(f"{where} has {len(tensor.dims)} dimensions; {MAX_RANK} are the limit.")
    if any(dim < 0 for dim in tensor.dims):
        raise InvalidModel(f"{where} has a negative dimension: {list(tensor.dims)}.")
    total: int = (math.prod(tensor.dims) * _BITS.get(tensor.data_type, 8) + 7) // 8
    if total > MAX_TENSOR_BYTES:
        raise InvalidModel(
            f"{where} claims the shape {list(tensor.dims)}, {total:,} bytes; "
            f"{MAX_TENSOR_BYTES:,} are the limit."
        )
    return total


def check_tensor(tensor: TensorProto, where: str, values: Values) -> None:
    """Hold a tensor to its own dimensions.

    Args:
        tensor: the tensor.
        where: the words that name it.
        values: what placeholders stand for.

    Raises:
        InvalidModel: it holds more or less than it claims, or twice.
    """
    expected = size_bytes(tensor, where)
    if tensor.HasField("segment"):
        raise InvalidModel(f"{where} is stored in segments, which no runtime reads.")
    content = values.of(tensor.raw_data)
    raw = tensor.HasField("raw_data") and len(tensor.raw_data if content is None else content)
    used = [name for name in _STORES if len(getattr(tensor, name))]
    if raw and used:
        raise InvalidModel(f"{where} holds its values twice.")
    field, entries = _FIELDS[tensor.data_type]
    if raw:
        if tensor.data_type == TensorProto.STRING or raw != expected:
            raise InvalidModel(
                f"{where} holds {raw:,} bytes; its shape {list(tensor.dims)} needs {expected:,}."
            )
        return
    elements = math.prod(tensor.dims)
    bits = _BITS.get(tensor.data_type, 8)
    wanted = elements * entries if bits >= 8 else -(-elements * bits // 8)
    if used not in ([], [field]) or len(getattr(tensor, field)) != wanted:
        held = sum(len(getattr(tensor, name)) for name in used)
        raise InvalidModel(
            f"{where} holds {held:,} values; its shape {list(tensor.dims)} needs {elements:,}."
        )


def all_tensors(model: onnx.ModelProto) -> Iterator[tuple[TensorProto, str]]:
    """Every tensor of a model with the words that name it.

    Raises:
        UnsupportedModel: sparse tensors.
    """
    yield from _of_graph(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from _of_node(node)


def _of_graph(graph: onnx.GraphProto) -> Iterator[tuple[TensorProto, str]]:
    if graph.sparse_initializer:
        raise _sparse(graph.sparse_initializer[0].values.name)
    for tensor in graph.initializer:
        yield tensor, f"Tensor {tensor.name[:80]!r}"
    for node in graph.node:
        yield from _of_node(node)


def _of_node(node: onnx.NodeProto) -> Iterator[tuple[TensorProto, str]]:
    where = f"A tensor of node {(node.name or node.op_type)[:80]!r}"
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t, where
        for tensor in attribute.tensors:
            yield tensor, where
        if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
            raise _sparse(node.name)
        if attribute.HasField("g"):
            yield from _of_graph(attribute.g)
        for graph in attribute.graphs:
            yield from _of_graph(graph)


def _sparse(name: str) -> UnsupportedModel:
    return UnsupportedModel(
        f"Tensor {name[:80]!r} is stored sparse, which most runtimes do not read.",
        "Export the model with dense weights; zeros shrink when the file is zipped.",
    )
