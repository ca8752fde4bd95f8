"""Split -> one Slice for each part."""

from __future__ import annotations

import itertools

import onnx_ir as ir

from core.graph import constant
from core.passes.adapt.base import Draft, Rewrite, each, rank, size


def made(node: ir.Node, draft: Draft) -> list[ir.Value] | None:
    """The parts, where their sizes are known."""
    x, axes = node.inputs[0], rank(node.inputs[0])
    axis = node.attributes.get_int("axis", 0) or 0
    if x is None or axes is None:
        return None
    axis += axes if axis < 0 else 0
    lengths = _lengths(node, size(x, axis))
    if lengths is None or len(lengths) != len(node.outputs):
        return None
    bounds = [0, *itertools.accumulate(lengths)]
    return [draft.part(x, axis, low, high) for low, high in itertools.pairwise(bounds)]


def _lengths(node: ir.Node, length: int | None) -> list[int] | None:
    if "split" in node.attributes:
        return [int(part) for part in node.attributes["split"].as_ints()]
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        array = constant(node.inputs[1])
        return None if array is None else [int(part) for part in array]
    if length is None:
        return None
    count = len(node.outputs)
    part = -(-length // count)  # the last one is shorter
    lengths = [part] * (count - 1) + [length - part * (count - 1)]
    return lengths if lengths[-1] > 0 else None


REWRITE = Rewrite("Split as Slice", each(frozenset({"Split"}), made), 14)
