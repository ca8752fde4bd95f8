"""The rewriting into a QDQ graph, by onnxruntime.quantization."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes import common

from core import graph as graphs
from core.compress.quantization.stock.partition import rename_ends, restore_ends
from core.compress.quantization.stock.ranges import Range
from core.errors import PassPrecondition
from core.graph import Graph
from core.graph.silence import quiet

Attempt = Callable[[Sequence[ir.Node]], Graph | None]
INFERRED = ("onnx.infer", "onnxruntime.quant")  # tells the quantizer that shapes are known


def write(
    graph: Graph,
    nodes: Sequence[ir.Node],
    found: Mapping[str, Range],
    signed: bool,
    per_channel: bool,
    reduce_range: bool,
) -> tuple[Graph, list[ir.Node]]:
    """A QDQ graph: `nodes` quantized by the ranges in `found`.

    Args:
        graph: the float graph, of opset 13 or later; its inputs and outputs may get other names.
        nodes: those of its nodes that are quantized.
        found: (low, high) of their activations by tensor name.
        signed: int8 activations instead of uint8.
        per_channel: one weight scale per output channel.
        reduce_range: 7-bit weights.

    Returns:
        The graph, and those of `nodes` that the quantizer failed on and that stayed float.

    Raises:
        PassPrecondition: it fails on nodes of which it does each alone.
    """
    ends = (*graph.graph.inputs, *graph.graph.outputs)
    names = rename_ends(graph)
    new = {old: value.name or "" for value, old in zip(ends, names, strict=True)}
    ranges = {new.get(name, name): extremes for name, extremes in found.items()}
    attempt = functools.partial(_attempt, graph, ranges, signed, per_channel, reduce_range)
    failing: list[ir.Node] = []
    result = attempt(nodes)
    if result is None:
        failing = _failing(nodes, attempt)
        result = attempt([node for node in nodes if node not in set(failing)])
    if result is None:
        raise PassPrecondition("onnxruntime's quantizer fails on this model.")
    restore_ends(result, names)
    common.TopologicalSortPass()(result)  # the quantizer's own does not see what a body reads
    return result, failing


def _failing(nodes: Sequence[ir.Node], attempt: Attempt) -> list[ir.Node]:
    """Those of `nodes` that the quantizer fails on, found by halving."""
    if attempt(nodes) is not None:
        return []
    if len(nodes) == 1:
        return list(nodes)
    middle = len(nodes) // 2
    return _failing(nodes[:middle], attempt) + _failing(nodes[middle:], attempt)


def _attempt(
    graph: Graph,
    found: Mapping[str, Range],
    signed: bool,
    per_channel: bool,
    reduce_range: bool,
    nodes: Sequence[ir.Node],
) -> Graph | None:
    """The graph with `nodes` quantized; None where the quantizer fails."""
    if not nodes:
        return graph.clone()
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
        try:
            quantizer.quantize_model()
        except Exception:  # it raises whatever its arithmetic runs into
            return None
        return graphs.parse(quantizer.model.model.SerializeToString(), "the quantized model")
