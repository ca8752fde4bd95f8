"""Shape, element type and, where it is small and known, content of every value of a graph.

One walk in topological order: ONNX's own inference node by node, fed with the shape chains that
`values` evaluates on the way; so a Pad or Reshape whose amounts are computed from shapes does not
end the inference as it does when shapes are inferred before constants are folded. A dimension that
is not known gets a symbol of its own, so that "the same unknown" can be told from "another one".
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnx_ir as ir

from core.analysis.values import LARGEST, Dim, Known, constant_tensor, evaluate
from core.graph.operators import STANDARD

Shape = tuple[Dim, ...]

_UNARY = (
    "Relu Clip Sigmoid Tanh HardSigmoid HardSwish LeakyRelu Elu Selu Softplus Softsign Erf Gelu",
    "Mish Abs Neg Exp Log Sqrt Floor Ceil Round Identity Softmax LogSoftmax Dropout PRelu",
    "BatchNormalization InstanceNormalization QuantizeLinear DequantizeLinear",
)
_KEEPS_SHAPE = frozenset(" ".join(_UNARY).split())
_ELEMENTWISE = frozenset({"Add", "Sub", "Mul", "Div", "Min", "Max"})
_FAILURES = (
    onnx.defs.SchemaError,
    onnx.shape_inference.InferenceError,
    onnx.checker.ValidationError,
    KeyError,
    ValueError,
    TypeError,
    RuntimeError,
)


@dataclass
class Facts:
    """What is known of each value; keys are the values, since names may repeat in subgraphs."""

    shapes: dict[ir.Value, Shape] = field(default_factory=dict)
    types: dict[ir.Value, ir.DataType] = field(default_factory=dict)
    known: dict[ir.Value, Known] = field(default_factory=dict)

    def shape(self, value: ir.Value | None) -> Shape | None:
        """Dimensions, symbols where dynamic; None if not even the rank is known."""
        return self.shapes.get(value) if value is not None else None

    def content(self, value: ir.Value | None) -> Known | None:
        """The elements, if they are few and known before the model runs."""
        return self.known.get(value) if value is not None else None


def facts(graph: ir.Model, batch: int | None = None) -> Facts:
    """Walk `graph` and its subgraphs once.

    Args:
        graph: the model; its nodes must be in topological order.
        batch: what a dynamic first dimension of an input counts as; None keeps it dynamic.
    """
    result = Facts()
    for value in graph.graph.inputs:
        _declare(result, value, batch)
    opsets = {domain: version for domain, version in graph.graph.opset_imports.items()}
    _walk(graph.graph, result, opsets)
    return result


def symbol(value: ir.Value, axis: int) -> str:
    """The name of an unknown dimension."""
    return f"?{value.name}.{axis}"


def _declare(result: Facts, value: ir.Value, batch: int | None) -> None:
    if value.dtype is not None:
        result.types[value] = value.dtype
    if value.shape is None:
        return
    dims = [
        d if isinstance(d, int) else (d.value or symbol(value, i))
        for i, d in enumerate(value.shape)
    ]
    if batch is not None and dims and not isinstance(dims[0], int):
        dims[0] = batch
    result.shapes[value] = tuple(dims)


def _walk(graph: ir.Graph, result: Facts, opsets: Mapping[str, int]) -> None:
    for value in graph.initializers.values():
        if value.const_value is not None:
            _learn(result, value, value.const_value)
    for node in graph:
        if node.op_type == "Constant" and node.domain in STANDARD:
            tensor = constant_tensor(node.outputs[0])
            if tensor is not None:
                _learn(result, node.outputs[0], tensor)
            continue
        bodies = list(subgraphs(node))
        for inner in bodies:
            for value in inner.inputs:
                _declare(result, value, None)
            _walk(inner, result, opsets)
        if bodies:
            _merge(node, bodies, result)
        else:
            _visit(node, result, opsets)


def _merge(node: ir.Node, bodies: Sequence[ir.Graph], result: Facts) -> None:
    for i, value in enumerate(node.outputs):
        ends = [body.outputs[i] for body in bodies if i < len(body.outputs)]
        found = {result.shape(end) for end in ends}
        if node.op_type == "If" and len(found) == 1 and None not in found:
            result.shapes[value] = found.pop() or ()
            result.types[value] = result.types.get(ends[0], ir.DataType.FLOAT)
        else:
            _declare(result, value, None)


def subgraphs(node: ir.Node) -> Iterator[ir.Graph]:
    """The bodies that a control-flow node carries."""
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield attribute.as_graph()
        elif attribute.type == ir.AttributeType.GRAPHS:
            yield from attribute.as_graphs()


def _learn(result: Facts, value: ir.Value, tensor: ir.TensorProtocol) -> None:
    result.shapes[value] = tuple(int(d) for d in tensor.shape.numpy())
    result.types[value] = tensor.dtype
    if tensor.size <= LARGEST and tensor.dtype != ir.DataType.STRING:
        result.known[value] = tensor.numpy()


def _visit(node: ir.Node, result: Facts, opsets: Mapping[str, int]) -> None:
    first = node.inputs[0] if node.inputs else None
    if node.domain in STANDARD:
        values = [result.content(v) for v in node.inputs]
        content = evaluate(node, values, result.shape(first))
        if content is not None:
            result.known[node.outputs[0]] = content
        if node.op_type in _KEEPS_SHAPE and first in result.shapes and len(node.outputs) == 1:
            result.shapes[node.outputs[0]] = result.shapes[first]
            typed = _typed_by(node)
            if typed in result.types:
                result.types[node.outputs[0]] = result.types[typed]
                return
        if node.op_type == "Reshape" and _reshape(node, result):
            return
        if node.op_type == "Resize" and _resize(node, result):
            return
        if node.op_type in _ELEMENTWISE and first is not None and _same(node, result):
            return
    _infer(node, result, opsets)


def _resize(node: ir.Node, result: Facts) -> bool:
    """Sizes given outright, some of them perhaps symbols: ONNX takes only whole constants."""
    sizes = result.content(node.inputs[3]) if len(node.inputs) > 3 else None
    first = node.inputs[0]
    plain = node.attributes.get_string("keep_aspect_ratio_policy", "stretch") == "stretch"
    if sizes is None or not sizes.size or first not in result.types:
        return False
    if "axes" in node.attributes or not plain:
        return False
    result.shapes[node.outputs[0]] = tuple(sizes.tolist())
    result.types[node.outputs[0]] = result.types[first]
    return True


def _same(node: ir.Node, result: Facts) -> bool:
    shapes = {result.shape(v) for v in node.inputs}
    if len(shapes) != 1 or None in shapes or node.inputs[0] not in result.types:
        return False
    result.shapes[node.outputs[0]] = result.shapes[node.inputs[0]]
    result.types[node.outputs[0]] = result.types[node.inputs[0]]
    return True


def _typed_by(node: ir.Node) -> ir.Value | None:
    """The input whose element type the output has."""
    position = {"QuantizeLinear": 2, "DequantizeLinear": 1}.get(node.op_type, 0)
    return node.inputs[position] if position < len(node.inputs) else None


def _reshape(node: ir.Node, result: Facts) -> bool:
    data, target = node.inputs[0], result.content(node.inputs[1]) if len(node.inputs) > 1 else None
    shape = result.shape(data)
    if shape is None or target is None or data is None:
        return False
    copies = not node.attributes.get_int("allowzero", 0)
    result.shapes[node.outputs[0]] = reshaped(shape, target.tolist(), copies, node.outputs[0])
    if data in result.types:
        result.types[node.outputs[0]] = result.types[data]
    return True


def reshaped(shape: Shape, target: Sequence[Dim], copies: bool, out: ir.Value) -> Shape:
    """The shape that Reshape makes of `shape`; `copies` says that a 0 keeps the dimension."""
    dims: list[Dim] = [
        shape[i] if copies and d == 0 and i < len(shape) else d for i, d in enumerate(target)
    ]
    if -1 in dims:
        at = dims.index(-1)
        dims[at] = quotient(shape, dims[:at] + dims[at + 1 :]) or symbol(out, at)
    return tuple(dims)


def quotient(above: Iterable[Dim], below: Iterable[Dim]) -> Dim | None:
    """Product of `above` by product of `below`, if that is a number or a single symbol."""
    upper, lower = Counter(above), Counter(below)
    upper, lower = upper - lower, lower - upper
    symbols = [s for s in upper.elements() if isinstance(s, str)]
    if any(isinstance(s, str) for s in lower) or len(symbols) > 1:
        return None
    number = math.prod(d for d in upper.elements() if isinstance(d, int))
    divisor = math.prod(d for d in lower.elements() if isinstance(d, int))
    if divisor == 0 or number % divisor:
        return None
    if symbols:
        return symbols[0] if number == divisor else None
    return number // divisor


def _infer(node: ir.Node, result: Facts, opsets: Mapping[str, int]) -> None:
    try:
        domain = "" if node.domain == "ai.onnx" else node.domain
        schema = onnx.defs.get_schema(node.op_type, opsets.get(domain, opsets.get("", 1)), domain)
        types = {
            v.name or "": _type(v, result)
            for v in node.inputs
            if v is not None and v in result.types
        }
        data = {
            v.name or "": onnx.numpy_helper.from_array(np.ascontiguousarray(result.known[v]))
            for v in node.inputs
            if v is not None and v in result.known and result.known[v].dtype != object
        }
        imports = [onnx.helper.make_opsetid(d, v) for d, v in opsets.items()]
        found = onnx.shape_inference.infer_node_outputs(
            schema, ir.serde.serialize_node(node), types, data, opset_imports=imports
        )
    except _FAILURES:
        found = {}
    for value in node.outputs:
        proto = found.get(value.name or "")
        if proto is not None and proto.HasField("tensor_type"):
            _keep(value, proto.tensor_type, result)
        elif value.shape is not None and value not in result.shapes:
            _declare(result, value, None)


def _type(value: ir.Value, result: Facts) -> onnx.TypeProto:
    return onnx.helper.make_tensor_type_proto(int(result.types[value]), result.shape(value))


def _keep(value: ir.Value, proto: onnx.TypeProto.Tensor, result: Facts) -> None:
    if proto.elem_type:
        result.types[value] = ir.DataType(proto.elem_type)
    if proto.HasField("shape"):
        result.shapes[value] = tuple(
            d.dim_value if d.HasField("dim_value") else (d.dim_param or symbol(value, i))
            for i, d in enumerate(proto.shape.dim)
        )
