"""Batches: whether a net computes each image by itself, which is what one run per image needs.

The shapes at a batch of two tell which axis of each value counts images. A node mixes images where
that axis is gone behind it or has another size, where it works along it or takes parts of it in an
order of its own, or where a reshape puts others in front.
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
TO_THE_END = (1 << 31) - 1  # what exporters write for "to the end", or more
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
    return _within(node, images[0], doubled)


def _within(node: ir.Node, first: ir.Value, doubled: Mapping[str, Shape]) -> str:
    """How a node mixes the images along the axis that counts them."""
    axis = _counted(first, doubled)[0]
    if node.op_type in ALONG:
        rank = len(shape_of(first) or ())
        along = node.attributes.get_int("axis", DEFAULT_AXES.get(node.op_type, -1))
        if along % max(rank, 1) == axis:
            return "it works along the batch, and ncnn runs one image at a time"
    if node.op_type in PARTS and first is node.inputs[0] and PARTS[node.op_type](node, axis):
        return "it takes or adds images of a batch, and ncnn runs one at a time"
    if node.op_type in RESHAPES:
        before = math.prod((shape_of(first) or ())[:axis])
        after = math.prod(
            (shape_of(node.outputs[0]) or ())[: _counted(node.outputs[0], doubled)[0]]
        )
        if before != after:
            return "it reshapes across the images of a batch"
    elif any(_grown(value, doubled) != _grown(first, doubled) for value in node.outputs):
        return "it changes how many images there are, and ncnn runs one at a time"
    return ""


def _grown(value: ir.Value, doubled: Mapping[str, Shape]) -> int:
    """The size of the axis that counts images."""
    return (shape_of(value) or ())[_counted(value, doubled)[0]]


def _is_cut(node: ir.Node, axis: int) -> bool:
    """Whether a Slice takes less than the whole of an axis, or turns it around.

    An end of 1 is the size of a batch of one, which was folded, or the axis would not grow.
    """
    starts, ends = (_numbers(node, name, i) for name, i in (("starts", 1), ("ends", 2)))
    if starts is None or ends is None:
        return True
    axes = _numbers(node, "axes", 3) or list(range(len(starts)))
    steps = _numbers(node, "steps", 4) or [1] * len(starts)
    return any(
        (start, step) != (0, 1) or 1 < end < TO_THE_END
        for at, start, end, step in zip(axes, starts, ends, steps, strict=True)
        if at % _rank(node) == axis
    )


def _is_padded(node: ir.Node, axis: int) -> bool:
    """Whether a Pad adds to an axis or cuts it."""
    pads = _numbers(node, "pads", 1)
    if pads is None:
        return True
    count = len(pads) // 2
    axes = _numbers(node, "axes", 3) or list(range(count))
    return any(
        at % _rank(node) == axis and (pads[i] or pads[i + count]) for i, at in enumerate(axes)
    )


def _is_gathered(node: ir.Node, axis: int) -> bool:
    """Whether a Gather picks along an axis: its indices are known for a batch of one alone."""
    return node.attributes.get_int("axis", 0) % _rank(node) == axis


def _rank(node: ir.Node) -> int:
    """How many axes the first input has, which is at least the one that counts images."""
    first = node.inputs[0]
    return max(len(shape_of(first) or ()), 1) if first is not None else 1


def _numbers(node: ir.Node, name: str, index: int) -> list[int] | None:
    """Whole numbers of an attribute or an input; None where they are missing or computed."""
    if name in node.attributes:
        return list(node.attributes[name].as_ints())
    array = constant(node.inputs[index]) if index < len(node.inputs) else None
    return None if array is None else [int(i) for i in array.reshape(-1)]


PARTS = {"Slice": _is_cut, "Pad": _is_padded, "Gather": _is_gathered}


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
