"""Concat with parts of no elements -> without them."""

from __future__ import annotations

import onnx_ir as ir

from core.passes.adapt.base import Draft, Rewrite, each, sizes


def made(node: ir.Node, draft: Draft) -> ir.Value | None:
    """The Concat of the parts that hold something."""
    full = [value for value in node.inputs if value is not None and 0 not in (sizes(value) or ())]
    if len(full) == len(node.inputs) or not full:
        return None
    axis = node.attributes.get_int("axis", 0) or 0
    return draft.add("Concat", *full, axis=axis) if len(full) > 1 else draft.add("Identity", *full)


REWRITE = Rewrite("Concat without empty parts", each(frozenset({"Concat"}), made), 12)
