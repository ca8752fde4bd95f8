"""What a layer shall reproduce: the original's tensor before the next activation function.

Behind a layer y = W x + b may stand a batch norm (one scale and shift per channel), then a residual
Add of another branch. The aim is then the sum, since that is what goes on: with the batch norm
a y + c and the other branch s, the target of the layer is

    y* = (z - s' - c) / a

where z is the original's sum and s' the other branch as the rewritten graph computes it. So the
layer also makes good what was lost on the branch (shortcut-aware targets). It can only do so if the
branch is computed before it; otherwise the branch, being later, makes good what this layer loses.

Where a Relu follows the sum, a target below zero is as good as any other below zero: `bounds` says
between which values a target may lie, and it is moved to the prediction as far as they allow.
Alternating fit and move is a majorisation of the error behind the Relu, so it never grows.

Source: He, Zhang, Sun 2017, arXiv:1707.06168, section 3.3 (residual compensation); Zhang, Zou, He,
Sun 2015, arXiv:1505.06798, section 3.2 (response reconstruction through the Relu).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from core.analysis.shapes import Facts, Shape
from core.analysis.values import constant_tensor
from core.reconstruction.layers import Layer
from core.reconstruction.shelf import Array

SMALLEST = 1e-3  # of the largest: a batch norm that silences a channel says nothing of its input


@dataclass(frozen=True, eq=False)
class Aim:
    """The tensor that decides how well a layer does.

    Attributes:
        tensor: its name; the layer's own output if nothing follows that is known.
        scale, shift: of the batch norm in between, (outputs,); ones and zeros without one.
        other: name of the branch that is added; empty if there is none.
        rectified: whether a Relu follows at once and nothing else reads the tensor.
    """

    tensor: str
    scale: Array
    shift: Array
    other: str = ""
    rectified: bool = False

    def targets(self, wanted: Array, other: Array | None) -> Array:
        """Targets of the layer for wanted values of the tensor, (rows, outputs)."""
        shift, scale = self.shift.astype(np.float32), self.scale.astype(np.float32)
        rest = wanted - shift if other is None else wanted - other - shift
        return np.asarray(rest / scale, np.float32)

    def bounds(self, wanted: Array, other: Array | None, targets: Array) -> tuple[Array, Array]:
        """Least and greatest output of the layer that is as good as the target, (rows, outputs).

        Both are the target but where a Relu makes a zero of it.

        Args:
            wanted: of the tensor, (rows, outputs).
            other: the branch that is added.
            targets: for these.
        """
        if not self.rectified:
            return targets, targets
        dead, rises = wanted <= 0, self.scale > 0
        edge = self.targets(np.zeros((1, wanted.shape[1]), np.float32), other)
        if rises.all():
            return np.where(dead, np.float32(-np.inf), targets), np.where(dead, edge, targets)
        least = np.where(rises, np.float32(-np.inf), edge)
        most = np.where(rises, edge, np.float32(np.inf))
        return np.where(dead, least, targets), np.where(dead, most, targets)


def aim(layer: Layer, order: dict[str, int], known: Facts) -> Aim:
    """Follow the layer's output to the next sum or activation.

    Args:
        layer: of the rewritten graph.
        order: position of each tensor's node in that graph.
        known: shapes of that graph.
    """
    outputs = len(layer.bias())
    scale, shift = np.ones(outputs), np.zeros(outputs)
    value = _output(layer)
    follower = _only_user(value)
    if follower is not None and follower.op_type == "BatchNormalization":
        normed = _batch_norm(follower, outputs)
        if normed is None:
            return Aim(value.name or "", scale, shift)
        (scale, shift), value = normed, follower.outputs[0]
        follower = _only_user(value)
    here = order[layer.output]
    other = _other(follower, value, known)
    if follower is not None and other is not None and order.get(other.name or "", -1) < here:
        value = follower.outputs[0]
        after = _only_user(value)
        rectified = after is not None and after.op_type == "Relu"
        return Aim(value.name or "", scale, shift, other.name or "", rectified)
    rectified = follower is not None and follower.op_type == "Relu"
    return Aim(value.name or "", scale, shift, "", rectified)


def plain(layer: Layer) -> Aim:
    """The layer's own output, whatever follows."""
    outputs = len(layer.bias())
    return Aim(layer.output, np.ones(outputs), np.zeros(outputs))


def _output(layer: Layer) -> ir.Value:
    node = layer.node
    if node.outputs[0].name == layer.output:
        return node.outputs[0]
    return next(iter(node.outputs[0].uses())).node.outputs[0]


def _only_user(value: ir.Value) -> ir.Node | None:
    uses = list(value.uses())
    return uses[0].node if len(uses) == 1 and not value.is_graph_output() else None


def _other(node: ir.Node | None, value: ir.Value, known: Facts) -> ir.Value | None:
    """The second activation of an Add of two tensors of one shape."""
    if node is None or node.op_type != "Add" or len(node.inputs) != 2:
        return None
    other = node.inputs[1] if node.inputs[0] is value else node.inputs[0]
    if other is None or other is value or constant_tensor(other) is not None:
        return None
    shapes = [known.shape(v) for v in (value, other)]
    return other if shapes[0] is not None and _sizes(shapes[0]) == _sizes(shapes[1]) else None


def _sizes(shape: Shape | None) -> Shape | None:
    """All but the batch."""
    return None if shape is None else shape[1:]


def _batch_norm(node: ir.Node, outputs: int) -> tuple[Array, Array] | None:
    parts = [constant_tensor(v) if v is not None else None for v in node.inputs[1:5]]
    if any(p is None or p.size != outputs for p in parts) or len(node.outputs) > 1:
        return None
    gamma, beta, mean, variance = (p.numpy().astype(np.float64) for p in parts if p is not None)
    scale = gamma / np.sqrt(np.maximum(variance, 0) + node.attributes.get_float("epsilon", 1e-5))
    shift = beta - mean * scale
    least = SMALLEST * max(float(np.abs(scale).max()), 1e-12)
    return np.where(scale < 0, -1, 1) * np.maximum(np.abs(scale), least), shift
