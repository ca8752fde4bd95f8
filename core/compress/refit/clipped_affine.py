"""Clipped affine map of each channel: y = min(max(a x + b, low), high).

A batch norm, a Relu, a Clip and sums or products with constants come to this, in any order in
which all that is linear comes first. Two passes over the numbers make it, and no runtime is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from core.analysis.values import constant_tensor
from core.compress.graph_executor.spill_cache import Array
from core.graph.batch_norm import affine


@dataclass(frozen=True, eq=False)
class ClippedAffine:
    """What becomes of each channel.

    Attributes:
        scale, shift: a and b, (channels,).
        low, high: bounds; infinite where there are none.
    """

    scale: Array
    shift: Array
    low: float = -np.inf
    high: float = np.inf

    def __call__(self, rows: Array) -> Array:
        """Of rows (n, channels)."""
        made = self._line(rows)
        return np.clip(made, self.low, self.high, out=made) if self._is_bent else made

    def sloped(self, rows: Array) -> tuple[Array, Array]:
        """The same, and the slope at each."""
        made, scale = self._line(rows), self.scale.astype(np.float32)
        if not self._is_bent:
            return made, np.broadcast_to(scale, rows.shape)
        slope = ((made > self.low) & (made < self.high)) * scale
        return np.clip(made, self.low, self.high, out=made), slope

    @property
    def _is_bent(self) -> bool:
        return bool(np.isfinite(self.low) or np.isfinite(self.high))

    def _line(self, rows: Array) -> Array:
        if (self.scale == 1).all() and not self.shift.any():
            return rows.copy()
        made = rows * self.scale.astype(np.float32)
        made += self.shift.astype(np.float32)
        return made


def clipped_affine(nodes: Sequence[ir.Node], start: str, channels: int) -> ClippedAffine | None:
    """What nodes in a row come to; None if it is no such line.

    Args:
        nodes: in order.
        start: the tensor that goes in.
        channels: of it.
    """
    now, made = start, ClippedAffine(np.ones(channels), np.zeros(channels))
    for node in nodes:
        rule = RULES.get(node.op_type)
        after = rule(node, now, made) if rule is not None else None
        if after is None:
            return None
        now, made = node.outputs[0].name or "", after
    return made


def _identity(node: ir.Node, now: str, made: ClippedAffine) -> ClippedAffine | None:
    return made if _reads(node, now) else None


def _relu(node: ir.Node, now: str, made: ClippedAffine) -> ClippedAffine | None:
    return _bounded(made, 0.0, np.inf) if _reads(node, now) else None


def _clip(node: ir.Node, now: str, made: ClippedAffine) -> ClippedAffine | None:
    given = [*node.inputs[1:], None, None][:2]
    known = [None if v is None else _constant(v) for v in given]
    if not _reads(node, now) or any(
        v is not None and (k is None or k.size != 1) for v, k in zip(given, known, strict=True)
    ):
        return None
    ends = (node.attributes.get_float("min", -np.inf), node.attributes.get_float("max", np.inf))
    low, high = (e if k is None else float(k.item()) for k, e in zip(known, ends, strict=True))
    return _bounded(made, low, high)


def _norm(node: ir.Node, now: str, made: ClippedAffine) -> ClippedAffine | None:
    norm = affine(node, len(made.scale)) if _reads(node, now) else None
    return None if norm is None else _moved(made, norm.scale, norm.shift)


def _sum(node: ir.Node, now: str, made: ClippedAffine) -> ClippedAffine | None:
    other = _other(node, now, len(made.scale))
    if other is None:
        return None
    number, first = other
    if node.op_type == "Sub":
        return _moved(made, 1.0, -number) if first else _moved(made, -1.0, number)
    return _moved(made, 1.0, number)


def _product(node: ir.Node, now: str, made: ClippedAffine) -> ClippedAffine | None:
    other = _other(node, now, len(made.scale))
    if other is None or (node.op_type == "Div" and not (other[1] and other[0].all())):
        return None
    return _moved(made, 1 / other[0] if node.op_type == "Div" else other[0], 0.0)


def _reads(node: ir.Node, now: str) -> bool:
    return node.inputs[0] is not None and node.inputs[0].name == now


def _other(node: ir.Node, now: str, channels: int) -> tuple[Array, bool] | None:
    """The constant that goes with the tensor, and whether the tensor comes first."""
    first = _reads(node, now)
    given, other = node.inputs if first else reversed(node.inputs)
    number = None if other is None else _constant(other)
    if given is None or given.name != now or number is None or number.size not in (1, channels):
        return None
    return number.reshape(-1).astype(np.float64), first


def _constant(value: ir.Value) -> Array | None:
    tensor = constant_tensor(value)
    return None if tensor is None else np.asarray(tensor.numpy())


def _moved(made: ClippedAffine, scale: Array | float, shift: Array | float) -> ClippedAffine | None:
    """With another line behind; behind a bend there is none."""
    if np.isfinite(made.low) or np.isfinite(made.high):
        return None
    return replace(made, scale=made.scale * scale, shift=made.shift * scale + shift)


def _bounded(made: ClippedAffine, low: float, high: float) -> ClippedAffine | None:
    """With other bounds behind; ends that cross are left to the runtime."""
    ends = max(made.low, low), min(made.high, high)
    return replace(made, low=ends[0], high=ends[1]) if ends[0] < ends[1] else None


RULES: dict[str, Callable[[ir.Node, str, ClippedAffine], ClippedAffine | None]] = {
    "Identity": _identity,
    "Relu": _relu,
    "Clip": _clip,
    "BatchNormalization": _norm,
    "Add": _sum,
    "Sub": _sum,
    "Mul": _product,
    "Div": _product,
}
