"""Which nodes and tensors are quantized, and the rewriting itself by onnxruntime.quantization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnx_ir as ir

from core import graph as graphs
from core.passes.base import STANDARD, Graph, origin, quiet
from core.passes.quantize_static.ranges import Range

WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
OPERATORS = WEIGHTED | frozenset(
    {"Add", "Mul", "Relu", "Clip", "LeakyRelu", "Sigmoid", "MaxPool", "AveragePool"}
    | {"GlobalAveragePool", "Concat", "Resize", "Pad", "Reshape", "Transpose", "Squeeze"}
    | {"Unsqueeze", "Flatten", "Split", "Slice"}
)
INFERRED = ("onnx.infer", "onnxruntime.quant")  # tells the quantizer that shapes are known


def is_weighted(node: ir.Node) -> bool:
    """Whether `node` is a layer with float32 weights."""
    if node.op_type not in WEIGHTED or node.domain not in STANDARD:
        return False
    array = graphs.constant(origin(node.inputs[1]))
    return array is not None and array.dtype == np.float32


def quantizable(graph: Graph, excluded: frozenset[str]) -> list[ir.Node]:
    """The nodes to quantize: of a known kind, and before (or at) the last layer with weights."""
    leads: set[ir.Node] = set()
    for node in reversed(graph.graph):
        users = (user for output in node.outputs for user, _ in output.uses())
        if is_weighted(node) or any(user in leads for user in users):
            leads.add(node)
    return [
        node
        for node in graph.graph
        if node in leads
        and node.op_type in OPERATORS
        and node.domain in STANDARD
        and node.name not in excluded
        and (node.op_type not in WEIGHTED or is_weighted(node))
    ]


def activations(graph: Graph, nodes: Sequence[ir.Node]) -> list[str]:
    """The float32 tensors at the inputs and outputs of `nodes`, but for constants."""
    found: dict[str, None] = {}
    for node in nodes:
        for value in (*node.inputs, *node.outputs):
            if value is None or value.dtype != ir.DataType.FLOAT or not value.name:
                continue
            if graphs.constant(origin(value)) is None:
                found[value.name] = None
    return list(found)


def write(
    graph: Graph,
    nodes: Sequence[ir.Node],
    found: Mapping[str, Range],
    signed: bool,
    per_channel: bool,
    reduce_range: bool,
) -> Graph:
    """A QDQ graph: `nodes` quantized by the ranges in `found`.

    Args:
        graph: the float graph, of opset 13 or later.
        nodes: those of its nodes that are quantized.
        found: (low, high) of their activations by tensor name.
        signed: int8 activations instead of uint8.
        per_channel: one weight scale per output channel.
        reduce_range: 7-bit weights.
    """
    with quiet():
        from onnxruntime.quantization import CalibrationMethod, QuantType
        from onnxruntime.quantization.calibrate import TensorData, TensorsData
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

        proto = onnx.shape_inference.infer_shapes(
            onnx.ModelProto.FromString(graphs.serialize(graph))
        )
        proto.metadata_props.add(key=INFERRED[0], value=INFERRED[1])
        data = {
            name: TensorData(lowest=np.array(low, np.float32), highest=np.array(high, np.float32))
            for name, (low, high) in found.items()
        }
        quantizer = QDQQuantizer(
            proto,
            per_channel,
            reduce_range,
            QuantType.QInt8,
            QuantType.QInt8 if signed else QuantType.QUInt8,
            TensorsData(CalibrationMethod.MinMax, data),
            [node.name for node in nodes],
            [],
            sorted({node.op_type for node in nodes}),
            {},
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()
        result = quantizer.model.model
    return graphs.parse(result.SerializeToString(), "the quantized model")
