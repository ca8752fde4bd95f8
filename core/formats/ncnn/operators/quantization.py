"""Quantization: codes of weights become the numbers that they stand for."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from core.formats.ncnn.attributes import Rule
from core.formats.ncnn.net import Net
from core.formats.ncnn.refusal import Refused


def dequantize(net: Net, node: ir.Node) -> None:
    """DequantizeLinear of constants, which who reads them asks for."""
    if net.array(node.outputs[0]) is None:
        quantize(net, node)


def quantize(net: Net, node: ir.Node) -> None:
    """QuantizeLinear, which is not written.

    Raises:
        Refused: always.
    """
    del net, node
    raise Refused("it rounds activations, and integer layers are not written")


OPERATORS: Mapping[str, Rule] = {"DequantizeLinear": dequantize, "QuantizeLinear": quantize}
