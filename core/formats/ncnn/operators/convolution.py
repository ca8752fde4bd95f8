"""Convolutions and transposed convolutions of one, two or three axes, grouped or not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from core.formats.ncnn.attributes import Rule, given
from core.formats.ncnn.layers import Parameter, Weight
from core.formats.ncnn.net import Array, Net
from core.formats.ncnn.operators.product import inner_product
from core.formats.ncnn.quantized import PLAIN_KERNEL, TERM, Integers, integers
from core.formats.ncnn.refusal import Refused
from core.formats.ncnn.sizes import Shape
from core.formats.ncnn.tail import tail
from core.graph.windows import Window, window

# Parameters of an axis, the innermost first: kernel, dilation, stride, pad before, pad after.
AXES = ((1, 2, 3, 4, 15), (11, 12, 13, 14, 16), (21, 22, 23, 24, 17))
OUTPUTS, BIAS, SIZE, GROUPS = 0, 5, 6, 7
MORE_BEHIND = (18, 19, 20)  # elements that a transposed convolution adds behind an axis
SUFFIX = {1: "1D", 2: "", 3: "3D"}


def convolution(net: Net, node: ir.Node) -> None:
    """Conv, with the batch norm and the activation behind it."""
    weight = net.weight(node.inputs[1], "weight")
    shape = _image(net, node, weight.ndim)
    bias = _bias(net, node)
    groups = node.attributes.get_int("group", 1)
    placed = window(node, weight.shape[2:], shape[2:])
    point = math.prod(shape[2:]) == weight[0, 0].size == groups == 1
    if point and not any(map(sum, placed.pads)):
        inner_product(net, node, weight.reshape(weight.shape[:2]), bias, (shape[1],))
        return
    kept = integers(node)
    after = tail(net, node, weight.shape[0], norms=kept is None)
    weight, bias = after.folded(weight, bias)
    parameters = {OUTPUTS: weight.shape[0], **_window(placed), **after.parameters}
    form = (weight.shape[0], *placed.out(shape[2:]))
    _layer(net, node, "Convolution", after.end, weight, bias, groups, parameters, form, kept)


def transposed(net: Net, node: ir.Node) -> None:
    """ConvTranspose, with the batch norm and the activation behind it."""
    weight = net.weight(node.inputs[1], "weight")
    shape = _image(net, node, weight.ndim)
    groups = node.attributes.get_int("group", 1)
    channels = weight.shape[1] * groups
    parts = weight.reshape(groups, -1, *weight.shape[1:]).swapaxes(1, 2)
    weight = parts.reshape(channels, -1, *weight.shape[2:])  # channels of the output first
    more = list(node.attributes.get_ints("output_padding", [0] * len(shape[2:])))
    placed = _placed(node, weight.shape[2:], shape[2:], more, net.shape(node.outputs[0])[2:])
    after = tail(net, node, channels)
    weight, bias = after.folded(weight, _bias(net, node))
    behind = dict(zip(MORE_BEHIND, more[::-1], strict=False))
    _layer(net, node, "Deconvolution", after.end, weight, bias, groups, {
        OUTPUTS: channels, **_window(placed), **behind, **after.parameters,
    }, (channels, *net.shape(node.outputs[0])[2:]))  # fmt: skip


def _image(net: Net, node: ir.Node, rank: int) -> Shape:
    """The shape of the input of a convolution.

    Raises:
        Refused: ncnn has no convolution for it.
    """
    shape = net.shape(node.inputs[0])
    if len(shape) != rank or rank - 2 not in SUFFIX:
        raise Refused(f"ncnn has no convolution over {len(shape) - 2} axes")
    if shape[0] != 1:
        raise Refused(f"it convolves {shape[0]} images that come of one, and ncnn one at a time")
    return shape


def _bias(net: Net, node: ir.Node) -> Array | None:
    value = given(node, 2)
    return None if value is None else net.weight(value, "bias").reshape(-1)


def _placed(
    node: ir.Node, kernel: Sequence[int], spatial: Shape, more: Sequence[int], out: Shape
) -> Window:
    """The window of a transposed convolution with its pads, which follow where they are not told.

    Raises:
        Refused: its output is larger than all that it computes.
    """
    rank = len(kernel)
    attributes = node.attributes
    strides = tuple(attributes.get_ints("strides", [1] * rank))
    dilations = tuple(attributes.get_ints("dilations", [1] * rank))
    pads = list(attributes.get_ints("pads", [0] * 2 * rank))
    automatic = attributes.get_string("auto_pad", "NOTSET")
    if "output_shape" in attributes or automatic.startswith("SAME"):
        for axis in range(rank):
            reach = (kernel[axis] - 1) * dilations[axis] + 1
            total = (spatial[axis] - 1) * strides[axis] + more[axis] + reach - out[axis]
            if total % 2 and automatic == "NOTSET":
                raise Refused("it leaves open on which side its output is cut")
            small = total // 2
            first = small if automatic == "SAME_UPPER" else total - small
            pads[axis], pads[axis + rank] = first, total - first
    if min(pads, default=0) < 0:
        raise Refused("its output is larger than what it computes")
    return Window(tuple(kernel), strides, dilations, tuple(pads[:rank]), tuple(pads[rank:]))


def _window(placed: Window) -> dict[int, Parameter]:
    """The parameters of a window."""
    found: dict[int, Parameter] = {}
    rows = zip(
        placed.kernel, placed.dilations, placed.strides, placed.before, placed.after, strict=True
    )
    for keys, values in zip(AXES, reversed(list(rows)), strict=False):
        found |= dict(zip(keys, values, strict=True))
    return found


def _layer(
    net: Net, node: ir.Node, kind: str, end: ir.Value, weight: Array, bias: Array | None,
    groups: int, parameters: Mapping[int, Parameter], form: Shape, kept: Integers | None = None,
) -> None:  # fmt: skip
    shape = net.shape(node.inputs[0])
    given: dict[int, Parameter] = {**parameters, BIAS: int(bias is not None), SIZE: weight.size}
    if groups > 1:
        kind, given[GROUPS] = f"{kind}DepthWise", groups
    weights = [Weight(np.ascontiguousarray(weight), tagged=True)]
    weights += [] if bias is None else [Weight(bias)]
    if kept is not None:
        given |= {TERM: 1, **PLAIN_KERNEL}
        weights = kept.weights(bias, groups if groups > 1 else len(weight))
    source = net.formed(node.inputs[0], shape[1:])
    name = f"{kind}{SUFFIX[len(shape) - 2]}"
    net.put(end, net.add(name, node.name or "", (source,), form, given, weights))


OPERATORS: Mapping[str, Rule] = {"Conv": convolution, "ConvTranspose": transposed}
