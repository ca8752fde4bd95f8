"""Residual targets: a layer reproduces the original's tensor before the next activation function.

Behind a layer y = W x + b may stand a batch norm (one scale and shift per channel), then a residual
Add of another branch. The aim is then the sum, since that is what goes on: with the batch norm
a y + c and the other branch s, the target of the layer is

    y* = (z - s' - c) / a

where z is the original's sum and s' the other branch as the rewritten graph computes it. So the
layer also makes good what was lost on the branch (shortcut-aware targets). It can only do so if the
branch is computed before it; otherwise the branch, being later, makes good what this layer loses.

Where a Relu follows the sum, a target below zero is as good as any other below zero, and where a
Clip follows, one above its limit as any other there: `bounds` says between which values a target
may lie, and it is moved to the prediction as far as they allow. Alternating fit and move is a
majorisation of the error behind the activation, so it never grows.

Source: He, Zhang, Sun 2017, arXiv:1707.06168, section 3.3 (residual compensation); Zhang, Zou, He,
Sun 2015, arXiv:1505.06798, section 3.2 (response reconstruction through the Relu).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from core.analysis.shapes import Facts, Shape
from core.analysis.values import constant_tensor
from core.compress.graph_executor.spill_cache import Array
from core.compress.refit.linear_layers import Layer
from core.graph.batch_norm import affine
from core.graph.operators import STANDARD

SMALLEST = 1e-3  # of the largest: a batch norm that silences a channel says nothing of its input


@dataclass(frozen=True, eq=False)
class ResidualTarget:
    """The tensor that decides how well a layer does.

    Attributes:
        tensor: its name; the layer's own output if nothing follows that is known.
        scale, shift: of the batch norm in between, (outputs,); ones and zeros without one.
        other: name of the branch that is added; empty if there is none.
        floor, ceiling: at and beyond which what follows at once gives the same, whatever the
            tensor is, and nothing else reads it: 0 and infinity of a Relu.
    """

    tensor: str
    scale: Array
    shift: Array
    other: str = ""
    floor: float = -np.inf
    ceiling: float = np.inf

    @property
    def rectified(self) -> bool:
        """Whether some targets are as good as others."""
        return self.floor > -np.inf or self.ceiling < np.inf

    def targets(self, wanted: Array, other: Array | None) -> Array:
        """Targets of the layer for wanted values of the tensor, (rows, outputs)."""
        shift, scale = self.shift.astype(np.float32), self.scale.astype(np.float32)
        rest = wanted - shift if other is None else wanted - other - shift
        return np.asarray(rest / scale, np.float32)

    def bounds(self, wanted: Array, other: Array | None, targets: Array) -> tuple[Array, Array]:
        """Least and greatest output of the layer that is as good as the target, (rows, outputs).

        Both are the target but where a Relu or a Clip makes its limit of it.

        Args:
            wanted: of the tensor, (rows, outputs).
            other: the branch that is added.
            targets: for these.
        """
        if not self.rectified:
            return targets, targets
        low, high = targets, targets
        if self.floor > -np.inf:
            low, high = self._beyond(wanted <= self.floor, self.floor, -1, other, (low, high))
        if self.ceiling < np.inf:
            low, high = self._beyond(wanted >= self.ceiling, self.ceiling, 1, other, (low, high))
        return low, high

    def _beyond(
        self,
        flat: Array,
        limit: float,
        side: int,
        other: Array | None,
        bounds: tuple[Array, Array],
    ) -> tuple[Array, Array]:
        """Bounds opened where the wanted value lies at a limit or beyond, on one side of it."""
        edge = self.targets(np.full((1, flat.shape[1]), limit, np.float32), other)
        upwards = self.scale * side > 0  # a batch norm may turn the sign
        low, high = bounds
        least = np.where(upwards, edge, np.float32(-np.inf))
        most = np.where(upwards, np.float32(np.inf), edge)
        return np.where(flat, least, low), np.where(flat, most, high)


def residual_target(layer: Layer, order: dict[str, int], known: Facts) -> ResidualTarget:
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
            return ResidualTarget(value.name or "", scale, shift)
        (scale, shift), value = normed, follower.outputs[0]
        follower = _only_user(value)
    here = order[layer.output]
    other = _other(follower, value, known)
    if follower is not None and other is not None and order.get(other.name or "", -1) < here:
        value = follower.outputs[0]
        return ResidualTarget(
            value.name or "", scale, shift, other.name or "", *_limits(_only_user(value))
        )
    return ResidualTarget(value.name or "", scale, shift, "", *_limits(follower))


def _limits(node: ir.Node | None) -> tuple[float, float]:
    """Beyond which an activation is flat."""
    if node is None or node.domain not in STANDARD:
        return -np.inf, np.inf
    if node.op_type == "Relu":
        return 0.0, np.inf
    if node.op_type == "HardSwish":
        return -3.0, np.inf
    if node.op_type != "Clip":
        return -np.inf, np.inf
    return _limit(node, 1, "min", -np.inf), _limit(node, 2, "max", np.inf)


def _limit(node: ir.Node, position: int, name: str, none: float) -> float:
    """One end of a Clip, an attribute or an input by opset; `none` where it is not known."""
    if name in node.attributes:
        return float(node.attributes[name].as_float())
    value = node.inputs[position] if position < len(node.inputs) else None
    tensor = constant_tensor(value) if value is not None else None
    return none if tensor is None else float(tensor.numpy())


def plain(layer: Layer) -> ResidualTarget:
    """The layer's own output, whatever follows."""
    outputs = len(layer.bias())
    return ResidualTarget(layer.output, np.ones(outputs), np.zeros(outputs))


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
    norm = affine(node, outputs)
    if norm is None or len(node.outputs) > 1:
        return None
    size = np.abs(norm.scale)
    least = SMALLEST * max(float(size.max()), 1e-12)
    return np.where(norm.scale < 0, -1, 1) * np.maximum(size, least), norm.shift
