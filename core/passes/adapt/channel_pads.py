"""Pad of channels with a constant -> Concat with constants."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from core.graph import constant
from core.passes.adapt.base import Draft, Rewrite, each, is_float, sizes

CHANNELS = 1
MOST = 1 << 20  # constants that a file may grow by, for one node


def made(node: ir.Node, draft: Draft) -> ir.Value | None:
    """Constants of the padded size before and behind, where nothing but channels is padded."""
    x, shape = node.inputs[0], sizes(node.inputs[0])
    pads = _pads(node)
    mode = node.attributes.get_string("mode", "constant")
    if x is None or shape is None or pads is None or mode != "constant" or not is_float(x):
        return None
    before, behind = pads[: len(shape)], pads[len(shape) :]
    padded = [axis for axis in range(len(shape)) if before[axis] or behind[axis]]
    value = _value(node)
    if padded != [CHANNELS] or value is None or min(before + behind) < 0:
        return None
    if math.prod(shape) // max(shape[CHANNELS], 1) * max(before + behind) > MOST:
        return None
    parts = [x]
    for place, count in ((0, before[CHANNELS]), (len(parts), behind[CHANNELS])):
        if count:
            block = (shape[0], count, *shape[2:])
            filled = np.full(block, value, x.dtype.numpy() if x.dtype else np.float32)
            parts.insert(0 if place == 0 else len(parts), draft.constant(filled))
    return draft.add("Concat", *parts, axis=CHANNELS)


def _pads(node: ir.Node) -> list[int] | None:
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        return None  # some axes alone
    if "pads" in node.attributes:
        return [int(pad) for pad in node.attributes["pads"].as_ints()]
    array = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    return None if array is None else [int(pad) for pad in array]


def _value(node: ir.Node) -> float | None:
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return float(node.attributes.get_float("value", 0.0) or 0.0)
    array = constant(node.inputs[2])
    return None if array is None else float(array.reshape(-1)[0])


REWRITE = Rewrite("Channel Pad as Concat", each(frozenset({"Pad"}), made), 30)
