"""Resize: as ncnn interpolates where that is what the node says, else as matrix products.

A resize is linear and separable: each axis is multiplied by a matrix of its own, whatever the mode.
ncnn's Interp is taken only where its rows are the node's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from core.formats.ncnn.attributes import Rule, flag, floats_only, given
from core.formats.ncnn.net import Array, Blob, Net
from core.formats.ncnn.refusal import Refused
from core.formats.ncnn.sizes import Shape, around

NEAREST, LINEAR, CUBIC = 1, 2, 3
MODES = {"nearest": NEAREST, "linear": LINEAR, "bilinear": LINEAR, "cubic": CUBIC}
NCNN_CUBIC = -0.75
LARGEST_MATRIX = 1 << 24  # elements
CLOSE = 1e-5
FIRST_RESIZE_WITH_MODES = 11
OLD = "old"  # rounding before that, as ONNX Runtime does it: up where it shrinks, else down


@dataclass(frozen=True)
class Sampling:
    """How a node finds what its output is made of.

    Attributes:
        kind: nearest, linear or cubic.
        transform: from a place in the output to one in the input.
        rounding: of the place, for the nearest.
        cubic: the coefficient of the cubic kernel.
        exclude: whether weights outside of the input count nothing.
    """

    kind: int
    transform: str
    rounding: str
    cubic: float
    exclude: bool

    @classmethod
    def of(cls, node: ir.Node, opset: int) -> Sampling:
        """What a node says, in a graph of this opset: a node itself rarely knows its own.

        Raises:
            Refused: it is none of these.
        """
        attributes = node.attributes
        old = node.op_type == "Upsample" or opset < FIRST_RESIZE_WITH_MODES
        mode = attributes.get_string("mode", "nearest")
        transform = attributes.get_string("coordinate_transformation_mode", "half_pixel")
        if mode not in MODES or flag(node, "antialias"):
            raise Refused(f"it resizes in mode {mode!r} with antialiasing or beyond ncnn's")
        if transform == "tf_crop_and_resize":
            raise Refused("it crops while it resizes")
        return cls(
            MODES[mode],
            "asymmetric" if old else transform,
            OLD if old else attributes.get_string("nearest_mode", "round_prefer_floor"),
            attributes.get_float("cubic_coeff_a", NCNN_CUBIC),
            flag(node, "exclude_outside"),
        )

    def matrix(self, size: int, out: int, scale: float) -> Array:
        """What one axis is multiplied with: float64 of shape (out, size), rows of sum 1."""
        places = self._places(size, out, scale)
        found = np.zeros((out, size))
        if self.kind == NEAREST:
            old = "ceil" if scale < 1 else "floor"
            rounded = _rounded(places, old if self.rounding == OLD else self.rounding)
            found[np.arange(out), np.clip(rounded, 0, size - 1)] = 1
            return found
        first = np.floor(places).astype(int)
        part = places - first
        taps = {0: 1 - part, 1: part} if self.kind == LINEAR else _cubic(part, self.cubic)
        for step, weight in taps.items():
            at = first + step
            inside = (at >= 0) & (at < size)
            counted = np.where(inside, weight, 0) if self.exclude else weight
            np.add.at(found, (np.arange(out), np.clip(at, 0, size - 1)), counted)
        return np.asarray(found / found.sum(axis=1, keepdims=True))

    def _places(self, size: int, out: int, scale: float) -> Array:
        index = np.arange(out, dtype=np.float64)
        if self.transform == "align_corners":
            return index * ((size - 1) / (out - 1)) if out > 1 else index * 0
        if self.transform == "asymmetric":
            return index / scale
        if self.transform == "pytorch_half_pixel" and out == 1:
            return index * 0
        if self.transform == "half_pixel_symmetric":
            centre = size / 2 * (1 - out / (size * scale))
            return centre + (index + 0.5) / scale - 0.5
        return (index + 0.5) / scale - 0.5


def _rounded(places: Array, rounding: str) -> Array:
    found: Mapping[str, Array] = {
        "floor": np.floor(places),
        "ceil": np.ceil(places),
        "round_prefer_floor": np.ceil(places - 0.5),
        "round_prefer_ceil": np.floor(places + 0.5),
    }
    return found[rounding].astype(int)


def _cubic(part: Array, a: float) -> dict[int, Array]:
    def near(x: Array) -> Array:
        return np.asarray(((a + 2) * x - (a + 3)) * x * x + 1)

    def far(x: Array) -> Array:
        return np.asarray(((a * x - 5 * a) * x + 8 * a) * x - 4 * a)

    return {-1: far(1 + part), 0: near(part), 1: near(1 - part), 2: far(2 - part)}


def resize(net: Net, node: ir.Node) -> None:
    """Resize and Upsample."""
    floats_only(net, node)
    shape, out = net.shape(node.inputs[0]), net.shape(node.outputs[0])
    sampling = Sampling.of(node, net.opset)
    scales = _scales(net, node, shape, out)
    changed = [axis for axis in range(len(shape)) if shape[axis] != out[axis]]
    matrices = {axis: sampling.matrix(shape[axis], out[axis], scales[axis]) for axis in changed}
    blob, name = net.blob(node.inputs[0]), node.name or ""
    image = (
        len(shape) in (3, 4)
        and math.prod(shape[:-3]) == 1
        and min(changed, default=2) >= len(shape) - 2
    )
    if image and len(shape) == 4:
        for kind, corners in ((sampling.kind, 0), (sampling.kind, 1)):
            if all(_is_ncnns(matrices[axis], kind, corners) for axis in changed):
                source = net.as_form(blob, shape[1:])
                parameters = {0: kind, 3: out[2], 4: out[3], 6: corners}
                net.put(node.outputs[0], net.add("Interp", name, (source,), out[1:], parameters))
                return
    for axis in changed:
        blob = _multiplied(net, name, blob, shape, axis, matrices[axis])
        shape = (*shape[:axis], out[axis], *shape[axis + 1 :])
    if changed:
        net.notes[f"Resize {name!r} is written as matrix products: ncnn has no such mode."] = None
    net.put(node.outputs[0], blob)


def _scales(net: Net, node: ir.Node, shape: Shape, out: Shape) -> list[float]:
    """How much larger each axis becomes, as the node says it."""
    ratio = [b / a for a, b in zip(shape, out, strict=True)]
    if "scales" in node.attributes:
        return [float(s) for s in node.attributes["scales"].as_floats()]
    value = given(node, 1 if len(node.inputs) == 2 else 2)
    array = None if value is None else net.array(value)
    axes = node.attributes.get_ints("axes", list(range(len(shape))))
    if array is None or array.size != len(axes):
        return ratio
    for axis, scale in zip(axes, array.reshape(-1), strict=True):
        ratio[axis] = float(scale)
    return ratio


def _is_ncnns(matrix: Array, kind: int, corners: int) -> bool:
    """Whether an axis is resized as ncnn's Interp does it."""
    out, size = matrix.shape
    if kind == NEAREST:
        step = np.float32(size / out)
        index = np.minimum((np.arange(out, dtype=np.float32) * step).astype(int), size - 1)
        return not corners and bool((matrix[np.arange(out), index] == 1).all())
    transform = "align_corners" if corners else "half_pixel"
    own = Sampling(kind, transform, "", NCNN_CUBIC, False).matrix(size, out, out / size)
    return bool(np.abs(own - matrix).max() < CLOSE)


def _multiplied(net: Net, name: str, blob: Blob, shape: Shape, axis: int, matrix: Array) -> Blob:
    """A blob with one axis multiplied by a matrix.

    Raises:
        Refused: the matrix would be too large.
    """
    if matrix.size > LARGEST_MATRIX:
        raise Refused(f"its matrix of {matrix.shape} would be too large, and ncnn has no such mode")
    form = around(shape, axis)
    left = net.constant(matrix, (1, *matrix.shape), f"{name}_matrix_{axis}")
    out = (form[0], matrix.shape[0], form[2])
    return net.add("MatMul", name, (left.name, net.as_form(blob, form)), out)


OPERATORS: Mapping[str, Rule] = {"Resize": resize, "Upsample": resize}
