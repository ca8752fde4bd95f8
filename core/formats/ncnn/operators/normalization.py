"""Normalisation: by stored statistics, or by those of what is normalised."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from core.formats.ncnn.attributes import Rule, given
from core.formats.ncnn.layers import Weight
from core.formats.ncnn.net import Array, Blob, Net
from core.formats.ncnn.operators.elementwise import DIV, MAX
from core.formats.ncnn.operators.reduction import REDUCTIONS, reduced
from core.formats.ncnn.refusal import Refused
from core.formats.ncnn.sizes import Shape, along
from core.graph.batch_norm import affine

SMALLEST = 1e-37  # normal float32
FIRST_GROUPS_OF_CHANNELS = 21  # before, a GroupNormalization had one scale for each group


def batch_norm(net: Net, node: ir.Node) -> None:
    """A batch norm that no layer takes over: each channel scaled and shifted."""
    shape = net.shape(node.inputs[0])
    found = affine(node, shape[1] if len(shape) > 1 else 1)
    if found is None:
        raise Refused("its statistics are computed while the model runs")
    form = shape[1:] if shape[0] == 1 else shape
    if shape[0] != 1:
        raise Refused(f"it normalises {shape[0]} images that come of one")
    source = net.formed(node.inputs[0], form)
    weights = [Weight(array.astype(np.float32)) for array in (found.scale, found.shift)]
    made = net.add("Scale", node.name or "", (source,), form, {0: shape[1], 1: 1}, weights)
    net.put(node.outputs[0], made)


def layer_norm(net: Net, node: ir.Node) -> None:
    """LayerNormalization over the last axes."""
    if any(value.uses() or value.name in net.outputs for value in node.outputs[1:]):
        raise Refused("its mean or deviation is read")
    shape = net.shape(node.inputs[0])
    axis = node.attributes.get_int("axis", -1) % len(shape)
    size, rows = math.prod(shape[axis:]), math.prod(shape[:axis])
    scale = net.weight(node.inputs[1], "scale")
    more = given(node, 2)
    shift = np.zeros(1, np.float32) if more is None else net.weight(more, "shift")
    if scale.size not in (1, size) or shift.size not in (1, size):
        raise Refused("its scale is not one number for each that it normalises")
    epsilon = node.attributes.get_float("epsilon", 1e-5)
    net.put(
        node.outputs[0], normalised(net, node, node.inputs[0], (rows, size), scale, shift, epsilon)
    )


def normalised(
    net: Net, node: ir.Node, value: ir.Value | None, form: Shape, scale: Array, shift: Array,
    epsilon: float,
) -> Blob:  # fmt: skip
    """Rows of a value, each with mean 0 and deviation 1, then scaled."""
    wide = [np.broadcast_to(array.reshape(-1), (form[1],)) for array in (scale, shift)]
    source = net.formed(value, form)
    weights = [Weight(np.ascontiguousarray(array)) for array in wide]
    parameters = {0: form[1], 1: epsilon, 2: 1}
    return net.add("LayerNorm", node.name or "", (source,), form, parameters, weights)


def instance_norm(net: Net, node: ir.Node) -> None:
    """InstanceNormalization: each channel by its own statistics."""
    shape = net.shape(node.inputs[0])
    if shape[0] != 1:
        raise Refused(f"it normalises {shape[0]} images that come of one")
    scale, shift = (net.weight(v, "scale") for v in node.inputs[1:3])
    form = (shape[1], 1, math.prod(shape[2:])) if len(shape) != 4 else shape[1:]
    epsilon = node.attributes.get_float("epsilon", 1e-5)
    source = net.formed(node.inputs[0], form)
    weights = [Weight(scale.reshape(-1)), Weight(shift.reshape(-1))]
    parameters = {0: shape[1], 1: epsilon, 2: 1}
    made = net.add("InstanceNorm", node.name or "", (source,), form, parameters, weights)
    net.put(node.outputs[0], made)


def group_norm(net: Net, node: ir.Node) -> None:
    """GroupNormalization."""
    shape = net.shape(node.inputs[0])
    if shape[0] != 1:
        raise Refused(f"it normalises {shape[0]} images that come of one")
    groups = node.attributes.get_int("num_groups")
    scale, shift = (net.weight(v, "scale").reshape(-1) for v in node.inputs[1:3])
    if net.opset < FIRST_GROUPS_OF_CHANNELS:
        scale, shift = (np.repeat(array, shape[1] // groups) for array in (scale, shift))
    form = (shape[1], 1, math.prod(shape[2:])) if len(shape) != 4 else shape[1:]
    source = net.formed(node.inputs[0], form)
    epsilon = node.attributes.get_float("epsilon", 1e-5)
    parameters = {0: groups, 1: shape[1], 2: epsilon, 3: 1}
    weights = [Weight(scale), Weight(shift)]
    made = net.add("GroupNorm", node.name or "", (source,), form, parameters, weights)
    net.put(node.outputs[0], made)


def local_response(net: Net, node: ir.Node) -> None:
    """LRN across channels."""
    shape, attributes = net.shape(node.inputs[0]), node.attributes
    size = attributes.get_int("size")
    if len(shape) != 4 or shape[0] != 1 or size % 2 == 0:
        raise Refused("ncnn normalises images by an odd number of channels")
    source = net.formed(node.inputs[0], shape[1:])
    parameters = {
        0: 0, 1: size, 2: attributes.get_float("alpha", 1e-4),
        3: attributes.get_float("beta", 0.75), 4: attributes.get_float("bias", 1.0),
    }  # fmt: skip
    net.put(node.outputs[0], net.add("LRN", node.name or "", (source,), shape[1:], parameters))


def unit_length(net: Net, node: ir.Node) -> None:
    """LpNormalization: divided by its own length along an axis."""
    shape = net.shape(node.inputs[0])
    form, place = along(shape, node.attributes.get_int("axis", -1))
    kind = REDUCTIONS["ReduceL1" if node.attributes.get_int("p", 2) == 1 else "ReduceL2"]
    blob, name = Blob(net.formed(node.inputs[0], form), form), node.name or ""
    length = reduced(net, f"{name}_length", kind, blob, (place,))
    more = {0: MAX, 1: 1, 2: SMALLEST}  # nothing by nothing is nothing
    length = net.add("BinaryOp", f"{name}_some", (length.name,), length.form, more)
    sources = (blob.name, length.name)
    net.put(node.outputs[0], net.add("BinaryOp", name, sources, form, {0: DIV}))


OPERATORS: Mapping[str, Rule] = {
    "BatchNormalization": batch_norm, "LayerNormalization": layer_norm, "LRN": local_response,
    "InstanceNormalization": instance_norm, "GroupNormalization": group_norm,
    "LpNormalization": unit_length,
}  # fmt: skip
