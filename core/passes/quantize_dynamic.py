"""Store the weights of MatMul and Gemm as int8 and quantize their inputs while the model runs.

Convolutions stay float: quantized this way they run slower than before on every backend here. A
Gemm becomes MatMul and Add first: alpha A B + beta C = A (alpha B) + (beta C). The rewriting is
done by onnxruntime.quantization, which also splits the Gemms that stay float.

Source: Jacob et al. 2018, arXiv:1712.05877.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import onnx_ir as ir

from core import graph as graphs
from core.analysis.edits import add_initializer
from core.calibration.services import Services
from core.errors import PassPrecondition, UnsupportedModel
from core.graph.operators import PRODUCTS, STANDARD, is_quantized
from core.graph.opset import raised
from core.graph.silence import quiet
from core.graph.values import float32_weight
from core.passes.base import Graph, Pass, Report, adopt, lift_constants, parameter
from core.records import Note

OPSET = 11  # the first with DynamicQuantizeLinear


@dataclass(frozen=True)
class QuantizeDynamic(Pass):
    """Int8 weights for fully connected layers; no calibration needed."""

    label: ClassVar[str] = "Quantize dynamically"
    help: ClassVar[str] = (
        "Stores fully connected layers in int8, no images needed. Convolutions stay float, so a "
        "convolutional net hardly gains time."
    )
    gives: ClassVar[str] = "int8 for MatMul and Gemm"
    limits: ClassVar[str] = "not for convolutions"
    order: ClassVar[int] = 70
    for_size: ClassVar[bool] = True
    family: ClassVar[str] = "Precision"
    answers: ClassVar[Mapping[str, Mapping[str, Any]]] = {"advice.large_dense": {}}
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"int8 dynamic": {}}
    presets_say: ClassVar[Mapping[str, str]] = {
        "int8 dynamic": "Fully connected layers alone, with ranges found anew in every call: needs "
        "no images, and leaves convolutions float."
    }

    exclude: tuple[str, ...] = parameter(
        (), "Leave alone", "Names of layers that stay float.", expert=True
    )

    def requires(self, graph: Graph) -> None:
        """Refuse what is quantized already and what has no fully connected layer."""
        if is_quantized(graph):
            raise PassPrecondition("The model is already quantized.")
        if not any(_is_dense(node) for node in graph.graph):
            raise PassPrecondition(
                "The model has no MatMul or Gemm with float32 weights; use static quantization."
            )

    def apply(self, graph: Graph, report: Report, services: Services) -> None:
        """Hand the model to onnxruntime.quantization and take over what it wrote."""
        known = {node.name for node in graph.graph}
        for name in self.exclude:
            report.skip(name, Note.of("as_asked" if name in known else "no_such_layer"))
        try:
            source = raised(graph, OPSET)
        except UnsupportedModel as error:
            raise PassPrecondition(error.message) from None
        lift_constants(source)
        chosen = [name for node in list(source.graph) if (name := self._ready(node, report))]
        if not chosen:
            report.note(Note.of("nothing_to_quantize"))
            return
        adopt(graph, _quantize(source, chosen))
        report.changed = sum(node.op_type == "MatMulInteger" for node in graph.graph)
        report.note(Note.of("dynamic.quantized", layers=report.changed))

    def _ready(self, node: ir.Node, report: Report) -> str:
        """The name of `node` if it can be quantized, as a MatMul; empty if it stays float."""
        if node.op_type not in PRODUCTS or node.domain not in STANDARD:
            return ""
        if node.name in self.exclude:
            return ""
        reason = None if _is_dense(node) else Note.of("dynamic.not_constant")
        if reason is None and node.op_type == "Gemm":
            reason = _split(node)
        if reason:
            report.skip(node.name, reason)
        return "" if reason else node.name or ""


def _is_dense(node: ir.Node) -> bool:
    weight = float32_weight(node, PRODUCTS)
    return weight is not None and weight.ndim >= 2


def _split(gemm: ir.Node) -> Note | None:
    """Turn a Gemm into a MatMul of the same name and an Add; the reason if that cannot be."""
    root, bias = gemm.graph, gemm.inputs[2] if len(gemm.inputs) > 2 else None
    alpha, beta = (gemm.attributes.get_float(name, 1.0) for name in ("alpha", "beta"))
    weight, added = graphs.constant(gemm.inputs[1]), graphs.constant(bias)
    if gemm.attributes.get_int("transA", 0):
        return Note.of("dynamic.transposed_input")
    if bias is not None and added is None and beta != 1.0:
        return Note.of("dynamic.bias_computed")
    if weight is None or not isinstance(root, ir.Graph):
        return Note.of("dynamic.not_constant")
    if gemm.attributes.get_int("transB", 0) or alpha != 1.0:
        across = weight.T if gemm.attributes.get_int("transB", 0) else weight
        stem = f"{gemm.inputs[1].name}_factor" if gemm.inputs[1] else "factor"
        gemm.replace_input_with(1, add_initializer(root, stem, across * np.float32(alpha)))
    if bias is not None and added is not None and beta != 1.0:
        bias = add_initializer(root, f"{bias.name}_scaled", added * np.float32(beta))
    _replace(root, gemm, bias)
    return None


def _replace(root: ir.Graph, gemm: ir.Node, bias: ir.Value | None) -> None:
    """Put a MatMul of the inputs of `gemm`, and an Add of `bias`, in its place."""
    output, name = gemm.outputs[0], gemm.outputs[0].name
    new = [ir.Node("", "MatMul", list(gemm.inputs[:2]), name=gemm.name)]
    if bias is not None:
        new[0].outputs[0].name = f"{name}_product"
        new.append(ir.Node("", "Add", [new[0].outputs[0], bias], name=f"{gemm.name}_bias"))
    root.insert_before(gemm, new)
    for node in new:
        node.outputs[0].type, node.outputs[0].shape = output.type, output.shape
    output.replace_all_uses_with(new[-1].outputs[0], replace_graph_outputs=True)
    output.name, new[-1].outputs[0].name = None, name
    root.remove(gemm, safe=True)


def _quantize(graph: Graph, names: list[str]) -> Graph:
    with tempfile.TemporaryDirectory(prefix="lathe-") as folder, quiet():
        from onnxruntime.quantization import QuantType, quantize_dynamic

        path = Path(folder) / "quantized.onnx"
        quantize_dynamic(
            onnx.ModelProto.FromString(graphs.serialize(graph)),
            path,
            op_types_to_quantize=sorted(PRODUCTS),
            weight_type=QuantType.QInt8,
            nodes_to_quantize=names,
        )
        return graphs.parse(path.read_bytes(), "the quantized model")


PASS = QuantizeDynamic
