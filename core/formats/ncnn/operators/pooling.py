"""Pooling: maxima and means of windows, or of whole images."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from core.formats.ncnn.attributes import Rule, flag
from core.formats.ncnn.layers import Parameter
from core.formats.ncnn.net import Net
from core.formats.ncnn.refusal import Refused
from core.formats.ncnn.sizes import Shape
from core.graph.windows import window

MAXIMUM, MEAN = 0, 1
KIND, GLOBAL, MODE, COUNTS_PADS = 0, 4, 5, 6
AS_TOLD = 1  # mode: windows lie as the pads say, none is added
# Parameters of an axis, the innermost first: kernel, stride, pad before, pad after.
AXES = ((1, 2, 3, 14), (11, 12, 13, 15), (21, 22, 23, 16))
SUFFIX = {1: "1D", 2: "", 3: "3D"}


def pool(net: Net, node: ir.Node) -> None:
    """MaxPool and AveragePool; rounded up where the node says so."""
    if any(value.uses() or value.name in net.outputs for value in node.outputs[1:]):
        raise Refused("the places of its maxima are read")
    spatial = _image(net, node)[2:]
    placed = window(node, node.attributes.get_ints("kernel_shape"), spatial)
    if any(step != 1 for step in placed.dilations):
        raise Refused("its window is dilated")
    more = (0,) * len(spatial)
    if flag(node, "ceil_mode"):
        more = placed.rounded_up(spatial)
    mean = node.op_type == "AveragePool"
    counts = mean and flag(node, "count_include_pad")
    if counts and any(more):
        raise Refused("its means count some of its padding and some not")
    after = tuple(pad + extra for pad, extra in zip(placed.after, more, strict=True))
    parameters: dict[int, Parameter] = {KIND: int(mean), MODE: AS_TOLD, COUNTS_PADS: int(counts)}
    rows = list(zip(placed.kernel, placed.strides, placed.before, after, strict=True))
    for keys, values in zip(AXES, reversed(rows), strict=False):
        parameters |= dict(zip(keys, values, strict=True))
    _layer(net, node, parameters, net.shape(node.outputs[0])[1:])


def whole(net: Net, node: ir.Node) -> None:
    """GlobalMaxPool and GlobalAveragePool: one number for each channel."""
    shape = _image(net, node)
    kind = MEAN if node.op_type == "GlobalAveragePool" else MAXIMUM
    _layer(net, node, {KIND: kind, GLOBAL: 1}, (shape[1],))


def _image(net: Net, node: ir.Node) -> Shape:
    shape = net.shape(node.inputs[0])
    if len(shape) - 2 not in SUFFIX:
        raise Refused(f"ncnn has no pooling over {len(shape) - 2} axes")
    if shape[0] != 1:
        raise Refused(f"it pools {shape[0]} images that come of one, and ncnn one at a time")
    return shape


def _layer(net: Net, node: ir.Node, parameters: Mapping[int, Parameter], form: Shape) -> None:
    shape = net.shape(node.inputs[0])
    source = net.formed(node.inputs[0], shape[1:])
    kind = f"Pooling{SUFFIX[len(shape) - 2]}"
    net.put(node.outputs[0], net.add(kind, node.name or "", (source,), form, parameters))


OPERATORS: Mapping[str, Rule] = {
    "MaxPool": pool, "AveragePool": pool, "GlobalMaxPool": whole, "GlobalAveragePool": whole,
}  # fmt: skip
