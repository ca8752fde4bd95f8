"""Slice with a step over height or width -> MaxPool of one pixel with that stride.

Source: the same picture of every step-th pixel; ncnn and several converters have no stepped slice.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from core.graph import constant
from core.passes.adapt.base import Draft, Rewrite, each, is_float, rank, sizes

PLANE = 2  # axes before height and width
END = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Range:
    """What is taken of one axis."""

    axis: int
    start: int
    end: int
    step: int


def made(node: ir.Node, draft: Draft) -> ir.Value | None:
    """The slice of other axes, then the pool."""
    x, axes = node.inputs[0], rank(node.inputs[0])
    ranges = read(node)
    if x is None or axes not in (3, 4) or ranges is None or not is_float(x):
        return None
    steps = {r.axis: r.step for r in ranges}
    stepped = [r for r in ranges if r.step != 1]
    if not stepped or any(r.step < 1 or r.axis < PLANE for r in stepped):
        return None
    for r in ranges:
        if r.start != 0 or r.end < END:
            x = draft.part(x, r.axis, r.start, r.end)
    strides = [steps.get(axis, 1) for axis in range(PLANE, axes)]
    return draft.add("MaxPool", x, kernel_shape=[1] * len(strides), strides=strides)


def read(node: ir.Node) -> list[Range] | None:
    """What a Slice takes, by axis; None where it is computed while the model runs."""
    axes = rank(node.inputs[0])
    if axes is None or len(node.inputs) < 3:
        return None
    given = [constant(value) for value in node.inputs[1:] if value is not None]
    if any(array is None for array in given) or any(v is None for v in node.inputs[1:]):
        return None
    lists = [array.reshape(-1).tolist() for array in given if array is not None]
    starts, ends = lists[0], lists[1]
    which = lists[2] if len(lists) > 2 else list(range(len(starts)))
    steps = lists[3] if len(lists) > 3 else [1] * len(starts)
    known = sizes(node.inputs[0])
    found = []
    for start, end, axis, step in zip(starts, ends, which, steps, strict=True):
        axis += axes if axis < 0 else 0
        whole = known is not None and step > 0 and end >= known[axis]
        found.append(Range(axis, start, END if whole else end, step))
    return found


REWRITE = Rewrite("Stepped Slice as MaxPool", each(frozenset({"Slice"}), made), 20)
