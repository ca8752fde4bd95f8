"""Batch normalisation at inference: an affine map of each channel, if its parameters are constants.

scale = gamma / sqrt(variance + epsilon), shift = beta - mean * scale, in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from core.graph.values import fixed
from core.records import Note

Array = np.ndarray[Any, Any]
FIRST_OPSET = 7  # before, the mode was told by `is_test` and the layout of the inputs differed
PARAMETERS = ("scale", "shift", "mean", "variance")


@dataclass(frozen=True)
class Affine:
    """y = scale * x + shift, per channel of axis 1; both float64 of shape (C,)."""

    scale: Array
    shift: Array

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.scale.size)

    def without_shift(self) -> Affine:
        """The same scale alone."""
        return Affine(self.scale, np.zeros_like(self.shift))


def affine(node: ir.Node, channels: int | None = None) -> Affine | None:
    """What a batch norm of a main graph computes; None if that cannot be told before it runs.

    Args:
        node: a batch norm.
        channels: that it must have, if that is known.
    """
    opset = node.graph.opset_imports.get("", 1) if node.graph is not None else 1
    found = read(node, opset)
    if isinstance(found, Note) or channels not in (None, found.channels):
        return None
    return found


def read(node: ir.Node, opset: int) -> Affine | Note:
    """What a batch norm computes, or why that cannot be told before it runs."""
    if reason := _not_inference(node, opset):
        return reason
    arrays = []
    for name, value in zip(PARAMETERS, node.inputs[1:5], strict=False):
        array = fixed(value)
        if isinstance(array, Note):
            return Note.of("norm.parameter", parameter=name, why=array)
        arrays.append(array.astype(np.float64).reshape(-1))
    if len(arrays) != 4 or len({array.size for array in arrays}) != 1:
        return Note.of("norm.misfit")
    gamma, beta, mean, variance = arrays
    epsilon = node.attributes.get_float("epsilon", 1e-5)
    with np.errstate(all="ignore"):
        scale = gamma / np.sqrt(variance + epsilon)
        shift = beta - mean * scale
    if not (np.isfinite(scale).all() and np.isfinite(shift).all()):
        return Note.of("norm.not_finite")
    return Affine(scale, shift)


def _not_inference(node: ir.Node, opset: int) -> Note | None:
    if opset < FIRST_OPSET:
        return Note.of("norm.old_opset", opset=opset, first=FIRST_OPSET)
    if node.attributes.get_int("training_mode", 0):
        return Note.of("norm.training")
    if not node.attributes.get_int("spatial", 1):
        return Note.of("norm.not_spatial")
    extra = [out for out in node.outputs[1:] if out.name]
    if extra and opset < 14:
        return Note.of("norm.training_outputs")
    if any(out.uses() or out.is_graph_output() for out in extra):
        return Note.of("norm.statistics_used")
    return None
