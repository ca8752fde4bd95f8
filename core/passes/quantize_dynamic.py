"""Store the weights of MatMul and Gemm as int8 and quantize their inputs while the model runs.

Convolutions stay float: quantized this way they run slower than before on every backend here. The
rewriting is done by onnxruntime.quantization.

Source: Jacob et al. 2018, arXiv:1712.05877.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import onnx
import onnx_ir as ir

from core import graph as graphs
from core.errors import PassPrecondition, UnsupportedModel
from core.graph.opset import raised
from core.passes.base import (
    STANDARD,
    Graph,
    Pass,
    Report,
    Statistics,
    adopt,
    origin,
    parameter,
    quiet,
)

OPSET = 11  # the first with DynamicQuantizeLinear
OPERATORS = ("MatMul", "Gemm")
QUANTIZED = frozenset(
    {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "ConvInteger"}
    | {"QLinearMatMul", "MatMulInteger"}
)


@dataclass(frozen=True)
class QuantizeDynamic(Pass):
    """Int8 weights for fully connected layers; no calibration needed."""

    label: ClassVar[str] = "Quantize dynamically"
    help: ClassVar[str] = (
        "Stores fully connected layers in int8, no images needed. Convolutions stay float, so a "
        "convolutional net hardly gains time."
    )
    order: ClassVar[int] = 70

    exclude: tuple[str, ...] = parameter(
        (), "Leave alone", "Names of layers that stay float.", expert=True
    )

    def requires(self, graph: Graph) -> None:
        """Refuse what is quantized already and what has no fully connected layer."""
        nodes = [node for inner in graphs.all_graphs(graph) for node in inner]
        if any(node.op_type in QUANTIZED for node in nodes):
            raise PassPrecondition("The model is already quantized.")
        if not any(_is_dense(node) for node in graph.graph):
            raise PassPrecondition(
                "The model has no MatMul or Gemm with float32 weights; use static quantization."
            )

    def apply(self, graph: Graph, report: Report, statistics: Statistics) -> None:
        """Hand the model to onnxruntime.quantization and take over what it wrote."""
        chosen = [n.name or "" for n in graph.graph if _is_dense(n) and n.name not in self.exclude]
        for name in self.exclude:
            report.skip(name, "left alone as asked")
        if not chosen:
            report.note("No layer is left to quantize.")
            return
        try:
            source = raised(graph, OPSET)
        except UnsupportedModel as error:
            raise PassPrecondition(error.message) from None
        adopt(graph, _quantize(source, chosen))
        report.changed = len(chosen)
        report.note(f"{len(chosen)} fully connected layers now have int8 weights.")


def _is_dense(node: ir.Node) -> bool:
    if node.op_type not in OPERATORS or node.domain not in STANDARD:
        return False
    weight = origin(node.inputs[1])
    array = graphs.constant(weight)
    return array is not None and array.dtype.name == "float32" and array.ndim >= 2


def _quantize(graph: Graph, names: list[str]) -> Graph:
    with tempfile.TemporaryDirectory(prefix="lathe-") as folder, quiet():
        from onnxruntime.quantization import QuantType, quantize_dynamic

        path = Path(folder) / "quantized.onnx"
        quantize_dynamic(
            onnx.ModelProto.FromString(graphs.serialize(graph)),
            path,
            op_types_to_quantize=list(OPERATORS),
            weight_type=QuantType.QInt8,
            nodes_to_quantize=names,
        )
        return graphs.parse(path.read_bytes(), "the quantized model")


PASS = QuantizeDynamic
