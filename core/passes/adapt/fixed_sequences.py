"""Sequences of known length -> the tensors in them: SequenceAt, ConcatFromSequence, SequenceLength.

A sequence that SequenceConstruct makes, or SplitToSequence in parts of known sizes, is a list of
tensors; who reads it is given these.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from core.graph import Graph, constant
from core.graph.operators import is_standard
from core.passes.adapt.base import Draft, Rewrite, each, rank, size

READERS = frozenset({"SequenceAt", "ConcatFromSequence", "SequenceLength"})
LONGEST = 64


def made(node: ir.Node, draft: Draft) -> ir.Value | None:
    """What a reader of a sequence reads, where the sequence is known."""
    parts = _parts(node.inputs[0], draft)
    if parts is None:
        return None
    if node.op_type == "SequenceLength":
        count = draft.constant(np.asarray(len(parts), np.int64))
        return draft.add("Identity", count)
    if node.op_type == "SequenceAt":
        place = constant(node.inputs[1])
        index = None if place is None else int(place.reshape(-1)[0])
        fits = index is not None and -len(parts) <= index < len(parts)
        return draft.add("Identity", parts[index]) if fits and index is not None else None
    axis = node.attributes.get_int("axis", 0) or 0
    if not node.attributes.get_int("new_axis", 0):
        return draft.add("Concat", *parts, axis=axis)
    axes = rank(node.outputs[0])
    if axis < 0 and axes is None:
        return None
    axis = axis % axes if axes else axis
    return draft.add("Concat", *(draft.wider(part, axis) for part in parts), axis=axis)


def _parts(value: ir.Value | None, draft: Draft) -> list[ir.Value] | None:
    """The tensors in a sequence."""
    node = value.producer() if value is not None else None
    if node is None or node.graph is not draft.node.graph:
        return None
    if is_standard(node, frozenset({"SequenceConstruct"})):
        return [part for part in node.inputs if part is not None]
    if not is_standard(node, frozenset({"SplitToSequence"})) or node.inputs[0] is None:
        return None
    x, axes = node.inputs[0], rank(node.inputs[0])
    axis = (node.attributes.get_int("axis", 0) or 0) % axes if axes else 0
    length = size(x, axis)
    if axes is None or length is None:
        return None
    lengths = _lengths(node, length)
    if lengths is None or len(lengths) > LONGEST:
        return None
    split = len(node.inputs) > 1 and node.inputs[1] is not None
    keeps = split or node.attributes.get_int("keepdims", 1) != 0
    found, start = [], 0
    for part in lengths:
        piece = draft.part(x, axis, start, start + part)
        found.append(piece if keeps else draft.narrower(piece, axis))
        start += part
    return found


def _lengths(node: ir.Node, length: int) -> list[int] | None:
    if len(node.inputs) < 2 or node.inputs[1] is None:
        return [1] * length
    given = constant(node.inputs[1])
    if given is None:
        return None
    if given.ndim:
        return [int(part) for part in given]
    step = int(given)
    return [min(step, length - start) for start in range(0, length, step)] if step > 0 else None


def apply(graph: Graph) -> int:
    """Rewrite every reader, then drop what nobody reads any more."""
    from onnx_ir.passes import common

    count = each(READERS, made)(graph)
    if count:
        common.RemoveUnusedNodesPass()(graph)
    return count


REWRITE = Rewrite("Sequences as tensors", apply, 6)
