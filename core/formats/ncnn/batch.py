"""Batches: whether a net computes each image by itself, which is what one run per image needs.

The shapes at a batch of two tell which axis of each value counts images. A node mixes images where
that axis is gone behind it, where it works along it, or where a reshape puts others in front.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import onnx_ir as ir

from core.formats.base.prepared import Prepared, shape_of
from core.formats.ncnn.refusal import Obstacle
from core.formats.ncnn.sizes import Shape
from core.graph import constant

ALONG = frozenset(
    {"Softmax", "LogSoftmax", "Concat", "ArgMax", "ArgMin", "LpNormalization"}
    | {"CumSum", "TopK", "Split"}
)
DEFAULT_AXES = {"Concat": 1, "ArgMax": 0, "ArgMin": 0, "Split": 0}
RESHAPES = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze"})


def mixing(found: Prepared) -> Iterator[Obstacle]:
    """The first node behind which images of a batch are mixed, or an output that has none."""
    if not found.doubled:
        return
    for node in found.graph.graph:
        reason = _mixes(node, found.doubled)
        if reason:
            yield Obstacle(node, reason)
            return
    for output in found.graph.graph.outputs:
        counted = _counted(output, found.doubled)
        maker = output.producer()
        if counted not in ((0,), ()) and maker is not None:
            yield Obstacle(
                maker, f"it counts the images of {output.name!r} along axis {counted[0]}"
            )


def _mixes(node: ir.Node, doubled: Mapping[str, Shape]) -> str:
    """How a node mixes images; empty where it does not."""
    images = [value for value in node.inputs if value is not None and _counted(value, doubled)]
    if not images or any(_unknown(v, doubled) for v in (*node.inputs, *node.outputs)):
        return ""
    for value in node.outputs:
        counted = _counted(value, doubled)
        if not counted:
            return "it mixes the images of a batch, and ncnn runs one at a time"
        if len(counted) > 1:
            return "it multiplies the images of a batch with each other"
    axis = _counted(images[0], doubled)[0]
    if node.op_type in ALONG:
        rank = len(shape_of(images[0]) or ())
        along = node.attributes.get_int("axis", DEFAULT_AXES.get(node.op_type, -1))
        if along % max(rank, 1) == axis:
            return "it works along the batch, and ncnn runs one image at a time"
    if node.op_type in RESHAPES:
        before = math.prod((shape_of(images[0]) or ())[:axis])
        after = math.prod(
            (shape_of(node.outputs[0]) or ())[: _counted(node.outputs[0], doubled)[0]]
        )
        if before != after:
            return "it reshapes across the images of a batch"
    return ""


def _counted(value: ir.Value, doubled: Mapping[str, Shape]) -> tuple[int, ...]:
    """The axes of a value that grow with the batch."""
    if constant(value) is not None:
        return ()
    one, two = shape_of(value), doubled.get(value.name or "")
    if one is None or two is None or len(one) != len(two):
        return ()
    return tuple(axis for axis, (a, b) in enumerate(zip(one, two, strict=True)) if a != b)


def _unknown(value: ir.Value | None, doubled: Mapping[str, Shape]) -> bool:
    if value is None or not value.name or constant(value) is not None:
        return False
    return shape_of(value) is None or value.name not in doubled


def counts_images(value: ir.Value, found: Prepared) -> bool:
    """Whether the first axis of an output counts images."""
    return _counted(value, found.doubled) == (0,)
