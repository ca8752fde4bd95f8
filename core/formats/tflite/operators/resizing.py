"""Resize and Upsample: TFLite's own where it samples the same places, else sums of Gathers.

Every mode is, for each axis by itself, a weighted sum of a few source places. Both ONNX's and
TFLite's are computed as such; where no setting of TFLite's gives ONNX's, the sums are written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from core.formats.tflite import layout
from core.formats.tflite.attributes import given, integer, integers, real, text
from core.formats.tflite.net import Net, Stored
from core.formats.tflite.refusal import Refused

Array = np.ndarray[Any, Any]
SETTINGS: tuple[dict[str, bool], ...] = ({"halfPixelCenters": True}, {"alignCorners": True}, {})
SAME_WEIGHT = 1e-6


@dataclass(frozen=True)
class Axis:
    """How one axis is resampled: for each target place, source places and their weights."""

    places: Array
    weights: Array

    def __eq__(self, other: object) -> bool:
        """Whether both give the same numbers."""
        return isinstance(other, Axis) and bool(
            np.allclose(self.matrix(), other.matrix(), rtol=0, atol=SAME_WEIGHT)
        )

    __hash__ = None  # type: ignore[assignment]

    def matrix(self) -> Array:
        """Weights by target and source place."""
        size = int(self.places.max()) + 1
        found = np.zeros((len(self.places), max(size, self._size)))
        for tap in range(self.places.shape[1]):
            np.add.at(found, (np.arange(len(found)), self.places[:, tap]), self.weights[:, tap])
        return found

    _size: int = 0


def resize(net: Net, node: ir.Node) -> None:
    """RESIZE_NEAREST_NEIGHBOR, RESIZE_BILINEAR, or each axis by Gathers."""
    x, out = net.given(node.inputs[0]), node.outputs[0]
    target, mode = net.shape(out), text(node, "mode", "nearest")
    if integer(node, "antialias", 0) or mode not in ("nearest", "linear", "cubic"):
        raise Refused("it is smoothed before it is made smaller" if mode != "crop" else mode)
    if text(node, "coordinate_transformation_mode", "") == "tf_crop_and_resize":
        raise Refused("it crops and resizes at once")
    scales = _scales(net, node, x.shape, target)
    changed = [a for a in range(len(target)) if target[a] != x.shape[a] or scales[a] != 1.0]
    if mode != "nearest":
        x = net.numbers(x)
    axes = {a: _onnx(net, node, x.shape[a], target[a], scales[a]) for a in changed}
    if not changed:
        net.put(out, x)
        return
    if (
        len(target) == 4
        and set(changed) <= {2, 3}
        and mode != "cubic"
        and _own(net, out, x, axes, mode)
    ):
        return
    for axis, how in axes.items():
        x = _resampled(net, node, x, axis, how)
    net.put(out, x)


def _scales(
    net: Net, node: ir.Node, shape: tuple[int, ...], target: tuple[int, ...]
) -> list[float]:
    """Scale of each axis, as the node says it or as its sizes have it."""
    value = given(node, 2) if node.op_type == "Resize" and net.opset >= 11 else given(node, 1)
    found = [float(s) for s in net.known(value, "scale").ravel()] if value is not None else []
    axes = integers(node, "axes") or list(range(len(shape)))
    if not found and "scales" in node.attributes:
        found = list(node.attributes["scales"].as_floats())
    by_size = [t / s for s, t in zip(shape, target, strict=True)]
    for axis, scale in zip(axes, found, strict=False):
        by_size[axis % len(shape)] = scale
    return by_size


def _onnx(net: Net, node: ir.Node, size: int, target: int, scale: float) -> Axis:
    """What ONNX says of one axis."""
    old = node.op_type == "Upsample" or net.opset < 11
    how = text(node, "coordinate_transformation_mode", "asymmetric" if old else "half_pixel")
    mode = text(node, "mode", "nearest")
    nearest = text(node, "nearest_mode", "floor" if old else "round_prefer_floor")
    at = _coordinates(how, size, target, scale)
    if mode == "nearest":
        rounded = {
            "floor": np.floor(at), "ceil": np.ceil(at),
            "round_prefer_floor": np.ceil(at - 0.5), "round_prefer_ceil": np.floor(at + 0.5),
        }[nearest]  # fmt: skip
        places = np.clip(rounded, 0, size - 1).astype(int)[:, None]
        return Axis(places, np.ones(places.shape), size)
    if mode == "linear":
        return _linear(at, size)
    return _cubic(at, size, real(node, "cubic_coeff_a", -0.75),
                  bool(integer(node, "exclude_outside", 0)))  # fmt: skip


def _coordinates(how: str, size: int, target: int, scale: float) -> Array:
    """Source coordinate of each target place, in the float32 that ONNX Runtime computes it in."""
    at, step, half = np.arange(target, dtype=np.float32), np.float32(scale), np.float32(0.5)
    if how == "asymmetric":
        return at / step
    if how == "align_corners":
        last = np.float32(target - 1)
        return at * np.float32(size - 1) / last if target > 1 else at * 0
    if how == "pytorch_half_pixel" and target == 1:
        return at * 0
    if how == "half_pixel_symmetric":
        adjusted = np.float32(target) / (step * np.float32(size))
        return np.float32(size) * half * (1 - adjusted) + (at + half) / step - half
    if how in ("half_pixel", "pytorch_half_pixel"):
        return (at + half) / step - half
    raise Refused(f"its coordinates {how} are not known here")


def _linear(at: Array, size: int) -> Axis:
    held = np.clip(at, 0, size - 1)
    low = np.floor(held).astype(int)
    high = np.minimum(low + 1, size - 1)
    share = held - low
    return Axis(np.stack([low, high], 1), np.stack([1 - share, share], 1), size)


def _cubic(at: Array, size: int, a: float, exclude: bool) -> Axis:
    base = np.floor(at).astype(int)
    t = at - base
    far, near = t + 1, t
    rows = [
        ((a * far - 5 * a) * far + 8 * a) * far - 4 * a,
        ((a + 2) * near - (a + 3)) * near * near + 1,
        ((a + 2) * (1 - t) - (a + 3)) * (1 - t) * (1 - t) + 1,
        ((a * (2 - t) - 5 * a) * (2 - t) + 8 * a) * (2 - t) - 4 * a,
    ]
    weights = np.stack(rows, 1)
    places = base[:, None] + np.arange(-1, 3)
    if exclude:
        weights = np.where((places < 0) | (places >= size), 0, weights)
        weights /= weights.sum(1, keepdims=True)
    return Axis(np.clip(places, 0, size - 1), weights, size)


def _tflite(mode: str, size: int, target: int, **setting: bool) -> Axis:
    """What TFLite's kernel makes of one axis in one setting."""
    corners, half = setting.get("alignCorners", False), setting.get("halfPixelCenters", False)
    scale = np.float32((size - 1) / (target - 1) if corners and target > 1 else size / target)
    at = np.arange(target, dtype=np.float32)
    if mode == "linear":
        return _linear(((at + np.float32(0.5)) * scale - np.float32(0.5)) if half else at * scale,
                       size)  # fmt: skip
    moved = (at + np.float32(0.5)) * scale if half else at * scale
    places = np.floor(moved + np.float32(0.5)) if corners else np.floor(moved)
    found = np.clip(places, 0, size - 1).astype(int)[:, None]
    return Axis(found, np.ones(found.shape), size)


def _own(net: Net, out: ir.Value, x: Stored, axes: Mapping[int, Axis], mode: str) -> bool:
    """Write TFLite's operator if one of its settings samples as ONNX does; whether it was."""
    target = net.shape(out)
    for setting in SETTINGS:
        same = all(
            (axes[a] if a in axes else _tflite(mode, n, n))
            == _tflite(mode, n, target[a], **setting)
            for a, n in ((2, x.shape[2]), (3, x.shape[3]))
        )
        if same:
            break
    else:
        return False
    x = net.ordered(x, layout.channels_last(4))
    code = "RESIZE_NEAREST_NEIGHBOR" if mode == "nearest" else "RESIZE_BILINEAR"
    y = net.made(out, x.order, kind=x.kind, grid=x.grid, coded=x.coded)
    sizes = net.listed(np.array(target[2:], np.int32))
    net.file.op(code, [x.tensor, sizes], [y.tensor], **setting)
    return True


def _resampled(net: Net, node: ir.Node, x: Stored, axis: int, how: Axis) -> Stored:
    """One axis by as many Gathers as it has taps, weighted and summed."""
    shape = tuple(len(how.places) if a == axis else n for a, n in enumerate(x.shape))
    total: Stored | None = None
    for tap in range(how.places.shape[1]):
        part = net.fresh(shape, x.order, x.kind, f"{node.name}_{axis}_{tap}", x.grid)
        places = net.listed(how.places[:, tap].astype(np.int32))
        net.file.op("GATHER", [x.tensor, places], [part.tensor], axis=x.axis(axis))
        if how.places.shape[1] == 1:
            return Stored(part.tensor, shape, x.order, x.kind, x.grid, x.coded)
        column = [-1 if a == axis else 1 for a in x.order]
        weights = net.listed(how.weights[:, tap].astype(np.float32).reshape(column))
        scaled = net.fresh(shape, x.order, x.kind, f"{node.name}_{axis}_{tap}_weighted")
        net.file.op("MUL", [part.tensor, weights], [scaled.tensor])
        if total is not None:
            summed = net.fresh(shape, x.order, x.kind, f"{node.name}_{axis}_{tap}_sum")
            net.file.op("ADD", [total.tensor, scaled.tensor], [summed.tensor])
            scaled = summed
        total = scaled
    if total is None:
        raise Refused("it samples nothing")
    return total


OPERATORS: Mapping[str, Callable[[Net, ir.Node], None]] = {"Resize": resize, "Upsample": resize}
