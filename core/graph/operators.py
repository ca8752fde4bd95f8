"""Operator sets: the operators of ONNX that several modules treat alike."""

from __future__ import annotations

import onnx_ir as ir

STANDARD = ("", "ai.onnx")  # the domain of the standard operators, in both of its spellings

CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})
PRODUCTS = frozenset({"Gemm", "MatMul"})
WEIGHTED = CONVOLUTIONS | PRODUCTS
BOUNDING = frozenset({"Relu", "Clip"})
RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform"}
    | {"RandomUniformLike"}
)
QUANTIZERS = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})
INTEGER_LAYERS = frozenset({"QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"})
QUANTIZED = QUANTIZERS | INTEGER_LAYERS


def is_standard(node: ir.Node, operators: frozenset[str]) -> bool:
    """Whether a node is one of these operators, and not another domain's of the same name."""
    return node.op_type in operators and node.domain in STANDARD


def is_quantized(model: ir.Model) -> bool:
    """Whether any part of a model, bodies and functions included, computes with integers."""
    bodies = (model.graph, *(function.graph for function in model.functions.values()))
    return any(node.op_type in QUANTIZED for body in bodies for node in body.all_nodes())
