"""Reshape to rows -> Flatten, which says that the first axis stays what it is."""

from __future__ import annotations

import onnx_ir as ir

from core.graph import constant
from core.passes.adapt.base import Draft, Rewrite, each, rank, size

ROWS = 2  # axes of what a Flatten gives


def made(node: ir.Node, draft: Draft) -> ir.Value | None:
    """A Flatten behind the first axis, where the target is (first axis, all the rest)."""
    x = node.inputs[0]
    target = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    if x is None or target is None or target.size != ROWS or (rank(x) or 0) < ROWS:
        return None
    first, rest = (int(number) for number in target)
    keeps = first == 0 and not node.attributes.get_int("allowzero", 0)
    if not keeps and (first < 1 or first != size(x, 0)):
        keeps = first == -1 and rest == _rest(x)
        if not keeps:
            return None
    if rest not in (-1, _rest(x)):
        return None
    return draft.add("Flatten", x, axis=1)


def _rest(x: ir.Value) -> int | None:
    """Numbers in all axes but the first."""
    product = 1
    for axis in range(1, rank(x) or 0):
        found = size(x, axis)
        if not found:
            return None
        product *= found
    return product


REWRITE = Rewrite("Reshape as Flatten", each(frozenset({"Reshape"}), made), 30)
