"""Shapes: inferred anew after a rewrite, frozen where they are dynamic.

Inference runs on a copy without the large weights (they go in as inputs of the same type), so its
cost does not grow with the model. What it cannot tell stays unknown: a stale shape is worse than
none. Types survive, since a pass changes few of them and needs them all.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from core.errors import InvalidModel
from core.graph.operators import STANDARD
from core.records import TensorSpec

LARGEST_SHAPE_CONSTANT = 4096  # elements; anything larger is a weight, which no shape depends on
LARGEST_INPUT = 1 << 31  # elements
_INFERENCE_FAILURES = (
    onnx.shape_inference.InferenceError,
    onnx.checker.ValidationError,
    RuntimeError,
    ValueError,
    TypeError,
    ir.serde.SerdeError,
    DecodeError,
)


AS = {"GroupNormalization": "InstanceNormalization"}  # onnx has no rule for it; their shapes agree


def infer_shapes(graph: ir.Model) -> None:
    """Fill in the types and shapes of all values in place; what cannot be inferred is unknown."""
    before = _forget(graph.graph)
    try:
        with without_weights(graph):
            proto = ir.to_proto(graph)
            for output in proto.graph.output:
                output.type.tensor_type.ClearField("shape")
            for node in proto.graph.node:
                node.op_type = AS.get(node.op_type, node.op_type)
        inferred = onnx.shape_inference.infer_shapes(proto, data_prop=True)
        _adopt(graph.graph, inferred.graph)
    except _INFERENCE_FAILURES:
        pass
    _remember(before)


def output_types(graph: ir.Model) -> dict[str, int]:
    """Element type of each output as it is computed, whatever is declared; 0 where unknown.

    Raises:
        InvalidModel: inference fails.
    """
    with without_weights(graph):
        proto = ir.to_proto(graph)
    for output in proto.graph.output:
        output.ClearField("type")
    try:
        inferred = onnx.shape_inference.infer_shapes(proto)
    except _INFERENCE_FAILURES as error:
        raise InvalidModel(f"The types of the model cannot be inferred: {error}") from None
    return {value.name: value.type.tensor_type.elem_type for value in inferred.graph.output}


def _forget(graph: ir.Graph) -> list[tuple[ir.Value, ir.TypeProtocol | None, ir.Shape | None]]:
    before = []
    outputs = set(graph.outputs)
    for node in graph:
        for value in node.outputs:
            keep = value in outputs or node.domain not in STANDARD
            before.append((value, value.type, value.shape if keep else None))
            if value not in outputs and node.domain in STANDARD:
                value.shape = None
                value.type = None
        for inner in _subgraphs(node):
            before += _forget(inner)
    return before


def _remember(before: list[tuple[ir.Value, ir.TypeProtocol | None, ir.Shape | None]]) -> None:
    for value, kind, shape in before:
        if value.type is None:
            value.type = kind
        if value.shape is None:
            value.shape = shape


@contextlib.contextmanager
def without_weights(graph: ir.Model) -> Iterator[None]:
    """Turn large initializers into inputs for a while."""
    main = graph.graph
    kept = list(main.initializers.values())
    count = len(main.inputs)
    large = [
        value
        for value in kept
        if value.const_value is not None
        and value.const_value.size > LARGEST_SHAPE_CONSTANT
        and not value.is_graph_input()
    ]
    typed = [(value, value.type, value.shape) for value in large]
    try:
        for value in large:
            tensor = value.const_value
            main.initializers.pop(value.name or "")
            value.type, value.shape = ir.TensorType(tensor.dtype), ir.Shape(tensor.shape)  # type: ignore[union-attr, arg-type]
            main.inputs.append(value)
        yield
    finally:
        while len(main.inputs) > count:
            main.inputs.pop()  # unlike del, this also makes the value no input again
        main.initializers.clear()
        for value in kept:
            main.initializers.add(value)
        for value, kind, shape in typed:
            value.type, value.shape = kind, shape


def _adopt(graph: ir.Graph, proto: onnx.GraphProto) -> None:
    found = {info.name: info.type for info in (*proto.value_info, *proto.output)}
    outputs = set(graph.outputs)
    for node, node_proto in zip(graph, proto.node, strict=True):
        for value in node.outputs:
            if value.name in found:
                _take(value, found[value.name], declared=value in outputs)
        inner_protos = [
            g for a in node_proto.attribute for g in ((a.g,) if a.HasField("g") else a.graphs)
        ]
        for inner, inner_proto in zip(_subgraphs(node), inner_protos, strict=True):
            _adopt(inner, inner_proto)


def _take(value: ir.Value, proto: onnx.TypeProto, declared: bool) -> None:
    kind = ir.serde.deserialize_type_proto_for_type(proto)
    shape = ir.serde.deserialize_type_proto_for_shape(proto)
    value.type = kind or value.type
    if shape is None:
        return
    if declared and value.shape is not None and len(value.shape) == len(shape):
        # The interface keeps its names: "N" says more than the inference's own symbol.
        pairs = zip(shape, value.shape, strict=True)
        shape = ir.Shape([new if isinstance(new, int) else old for new, old in pairs])
    value.shape = shape


def _subgraphs(node: ir.Node) -> list[ir.Graph]:
    found: list[ir.Graph] = []
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH and not attribute.is_ref():
            found.append(attribute.as_graph())
        elif attribute.type == ir.AttributeType.GRAPHS and not attribute.is_ref():
            found += attribute.as_graphs()
    return found


def dynamic_dims(graph: ir.Model) -> tuple[str, ...]:
    """The names of the inputs' dynamic dimensions; one without a name is called INPUT:AXIS."""
    names = (d for spec in input_specs(graph) for d in spec.shape if isinstance(d, str))
    return tuple(dict.fromkeys(names))


def input_specs(graph: ir.Model) -> tuple[TensorSpec, ...]:
    """The inputs that a caller must feed."""
    return tuple(
        _spec(value, [_dim_name(value, axis) for axis in range(len(value.shape or ()))])
        for value in graph.graph.inputs
        if value.const_value is None
    )


def output_specs(graph: ir.Model) -> tuple[TensorSpec, ...]:
    """The outputs, with "?" for a dimension that nobody named."""
    return tuple(_spec(value, [*_known_dims(value)]) for value in graph.graph.outputs)


def _spec(value: ir.Value, dims: list[int | str]) -> TensorSpec:
    kind = value.type
    if isinstance(kind, ir.TensorType):
        return TensorSpec(value.name or "", _numpy_name(kind.dtype), tuple(dims))
    return TensorSpec(value.name or "", "unknown" if kind is None else str(kind).lower(), ())


def _numpy_name(dtype: ir.DataType) -> str:
    if dtype in (ir.DataType.STRING, ir.DataType.UNDEFINED):
        return dtype.name.lower()
    return dtype.numpy().name


def _dim_name(value: ir.Value, axis: int) -> int | str:
    dim = (value.shape or ir.Shape([]))[axis]
    return dim if isinstance(dim, int) else dim.value or f"{value.name}:{axis}"


def _known_dims(value: ir.Value) -> Iterator[int | str]:
    for dim in value.shape or ():
        yield dim if isinstance(dim, int) else dim.value or "?"


def freeze(graph: ir.Model, dims: Mapping[str, int]) -> None:
    """Give dynamic dimensions their sizes in place; all shapes follow.

    Args:
        graph: the model.
        dims: sizes by the names that `dynamic_dims` gives.

    Raises:
        InvalidModel: no such dimension, or not a size.
    """
    known = dynamic_dims(graph)
    for name, size in dims.items():
        if name not in known:
            listed = ", ".join(known) or "none"
            raise InvalidModel(f"No input has a dynamic dimension {name!r}; it has: {listed}.")
        if size < 1:
            raise InvalidModel(f"Dimension {name!r} cannot be {size}; give it at least 1.")
    for value in graph.graph.inputs:
        if value.shape is not None:
            named = [_dim_name(value, axis) for axis in range(len(value.shape))]
            sizes = [
                dims.get(d, old) if isinstance(d, str) else d
                for d, old in zip(named, value.shape, strict=True)
            ]
            if math.prod(s for s in sizes if isinstance(s, int)) > LARGEST_INPUT:
                raise InvalidModel(f"Input {value.name!r} would be larger than 2^31 elements.")
            value.shape = ir.Shape(sizes)
    for value in graph.graph.outputs:
        if value.shape is not None:
            value.shape = ir.Shape(
                [d if isinstance(d, int) else dims.get(d.value or "", d) for d in value.shape]
            )
    infer_shapes(graph)
