"""Quantization: weights as codes where ncnn has the layer in int8, else as their numbers.

A pair of QuantizeLinear and DequantizeLinear in front of such layers is part of them. Any other
pair rounds floats to its grid, in float: the same numbers, at no gain.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from core.formats.ncnn.attributes import Rule
from core.formats.ncnn.net import Blob, Net
from core.formats.ncnn.operators.elementwise import DIV, MUL, ROUND, with_number
from core.formats.ncnn.quantized import integers, step_of
from core.formats.ncnn.refusal import Refused, Unknown

LOWEST, HIGHEST = -128.0, 127.0
LOWEST_CODE = (
    "Int8 layers take -127 for their lowest code, which is ncnn's; the ONNX file has -128."
)


def quantize(net: Net, node: ir.Node) -> None:
    """QuantizeLinear to signed codes around zero: numbers, until what reads them is known.

    Raises:
        Refused: ncnn has no such codes.
    """
    if step_of(node) is None:
        raise Refused("its codes are not signed ones around zero, and ncnn's int8 has no others")
    value = node.outputs[0]
    readers = [use.node for use in value.uses()]
    if value.name in net.outputs or any(one.op_type != "DequantizeLinear" for one in readers):
        raise Refused("its codes are read by other than a DequantizeLinear")
    net.put(value, net.blob(node.inputs[0]))


def dequantize(net: Net, node: ir.Node) -> None:
    """DequantizeLinear of constants, which who reads them asks for, or of rounded activations.

    Raises:
        Refused: it is of neither.
    """
    end, source = node.outputs[0], node.inputs[0]
    if net.array(end) is not None:
        return
    maker = None if source is None else source.producer()
    step = step_of(node)
    quantized = maker is not None and maker.op_type == "QuantizeLinear"
    if maker is not None and quantized and step_of(maker) is None:
        raise Unknown("its codes could not be written")
    if maker is None or not quantized or step is None or step != step_of(maker):
        raise Refused("its codes are not those of a QuantizeLinear of the same scale around zero")
    blob = net.blob(source)
    if end.name in net.outputs or any(integers(use.node) is None for use in end.uses()):
        blob = rounded(net, node.name or "", blob, step)
    else:
        net.notes[LOWEST_CODE] = None
    net.put(end, blob)


def rounded(net: Net, name: str, blob: Blob, step: float) -> Blob:
    """Numbers of a grid: divided by its step, rounded to even, bounded and multiplied again."""
    codes = with_number(net, f"{name}_codes", DIV, blob, step)
    whole = net.add("UnaryOp", f"{name}_whole", (codes.name,), blob.form, {0: ROUND})
    bounds = {0: LOWEST, 1: HIGHEST}
    bounded = net.add("Clip", f"{name}_bounded", (whole.name,), blob.form, bounds)
    return with_number(net, name, MUL, bounded, step)


OPERATORS: Mapping[str, Rule] = {"DequantizeLinear": dequantize, "QuantizeLinear": quantize}
