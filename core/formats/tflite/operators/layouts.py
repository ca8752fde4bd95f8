"""Shapes and orders of axes: Reshape, Transpose and their kin, most of which move no data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from core.formats.tflite import layout
from core.formats.tflite.attributes import given, integer, integers, text
from core.formats.tflite.net import Net
from core.formats.tflite.refusal import Refused


def reshape(net: Net, node: ir.Node) -> None:
    """RESHAPE of the data as it lies where that comes to the same, else of ONNX's order."""
    x, out = net.given(node.inputs[0]), node.outputs[0]
    target = net.shape(out)
    order = layout.reshaped(x.shape, target, x.order)
    if order is None:
        x = net.ordered(x, layout.gathered(x.shape, target, x.order))
        order = layout.reshaped(x.shape, target, x.order) or layout.plain(len(target))
    net.viewed(out, x, target, order)


def transpose(net: Net, node: ir.Node) -> None:
    """Nothing yet: the data stays, its axes have other names; who needs an order asks for it."""
    x, out = net.given(node.inputs[0]), node.outputs[0]
    perm = integers(node, "perm") or list(reversed(range(len(x.shape))))
    shape = tuple(x.shape[axis] for axis in perm)
    net.put(out, replace(x, shape=shape, order=layout.transposed(x.order, perm)))


def identity(net: Net, node: ir.Node) -> None:
    """The same value."""
    net.put(node.outputs[0], net.given(node.inputs[0]))


def dropout(net: Net, node: ir.Node) -> None:
    """Nothing, when a model predicts."""
    if any(net.is_read(output) for output in node.outputs[1:]):
        raise Refused("its mask is read")
    training = given(node, 2)
    if training is not None and net.known(training, "training mode").any():
        raise Refused("it drops at random, as in training")
    identity(net, node)


def expand(net: Net, node: ir.Node) -> None:
    """BROADCAST_TO."""
    x, target = net.real(node.inputs[0]), net.shape(node.outputs[0])
    wide = (1,) * (len(target) - len(x.shape)) + x.shape
    order = layout.widened(x.order, len(target))
    if wide == target:
        net.viewed(node.outputs[0], x, target, order)
        return
    y = net.made(node.outputs[0], order)
    shape = net.listed(np.array(y.placed, np.int32))
    net.file.op("BROADCAST_TO", [x.tensor, shape], [y.tensor])


def depth_to_space(net: Net, node: ir.Node) -> None:
    """DEPTH_TO_SPACE, behind a Gather where ONNX lays out the depth column by column."""
    x = net.given(node.inputs[0])
    x = net.ordered(x, layout.channels_last(4))
    size, mode = integer(node, "blocksize", 1), text(node, "mode", "DCR")
    if mode == "CRD":
        depth = x.shape[1] // size**2
        places = np.arange(x.shape[1]).reshape(depth, size, size).transpose(1, 2, 0)
        mixed = net.fresh(x.shape, x.order, x.kind, f"{node.name}_mixed", x.grid)
        index = net.listed(places.ravel().astype(np.int32))
        net.file.op("GATHER", [x.tensor, index], [mixed.tensor], axis=3)
        x = replace(mixed, coded=x.coded)
    y = net.made(node.outputs[0], x.order, kind=x.kind, grid=x.grid, coded=x.coded)
    net.file.op("DEPTH_TO_SPACE", [x.tensor], [y.tensor], blockSize=size)


def space_to_depth(net: Net, node: ir.Node) -> None:
    """SPACE_TO_DEPTH."""
    x = net.ordered(net.given(node.inputs[0]), layout.channels_last(4))
    y = net.made(node.outputs[0], x.order, kind=x.kind, grid=x.grid, coded=x.coded)
    net.file.op("SPACE_TO_DEPTH", [x.tensor], [y.tensor], blockSize=integer(node, "blocksize", 1))


OPERATORS: Mapping[str, Callable[[Net, ir.Node], None]] = {
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), reshape),
    "Transpose": transpose,
    "Identity": identity,
    "Dropout": dropout,
    "Expand": expand,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
}
