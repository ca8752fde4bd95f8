"""Resize, axis by axis: y = x @ M along each axis whose size changes.

Every mode of ONNX (nearest, linear, cubic, with all their coordinate transformations) is linear in
x and separable over the axes. The matrix of an axis is what ONNX's reference implementation makes
of the identity; it is kept, since the sizes of a net seldom change.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from core.compress.distill.operators.call import Array, Call, Tensor
from core.errors import UnsupportedModel

ALONG_ONE_AXIS = frozenset(
    {"mode", "coordinate_transformation_mode", "nearest_mode", "cubic_coeff_a"}
    | {"exclude_outside", "extrapolation_value", "antialias"}
)
OPSET = 19


def resize(call: Call) -> Tensor:
    """Resize of opset 10 (scales behind x) and later (roi, scales, sizes behind x).

    Raises:
        UnsupportedModel: a region of interest, or sizes that keep the aspect ratio.
    """
    x = call.tensor()
    if call.get("coordinate_transformation_mode", "") == "tf_crop_and_resize":
        raise UnsupportedModel("Resize with a region of interest is not known to training.")
    if call.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise UnsupportedModel("Resize that keeps the aspect ratio is not known to training.")
    scales = call.array(1 if call.opset < 11 else 2)
    sizes = call.array(3) if call.opset >= 11 else None
    axes = call.ints("axes") or list(range(x.dim()))
    attributes = dict(call.attributes)
    if call.opset < 11:
        attributes |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return _along(call, x, axes, scales, sizes, attributes)


def upsample(call: Call) -> Tensor:
    """Upsample of opsets 7 to 9: asymmetric coordinates, rounded down."""
    x = call.tensor()
    given = call.attributes.get("scales", call.array(1))
    attributes = {
        "mode": call.get("mode", "nearest"),
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    }
    return _along(call, x, list(range(x.dim())), np.asarray(given), None, attributes)


def _along(
    call: Call,
    x: Tensor,
    axes: Sequence[int],
    scales: Array | None,
    sizes: Array | None,
    attributes: Mapping[str, Any],
) -> Tensor:
    how = tuple(sorted((k, v) for k, v in attributes.items() if k in ALONG_ONE_AXIS))
    for position, axis in enumerate(axes):
        before = int(x.shape[axis])
        size = int(sizes[position]) if sizes is not None and sizes.size else None
        scale = float(scales[position]) if size is None and scales is not None else None
        if size == before or scale == 1.0:
            continue
        matrix = call.torch.from_numpy(_matrix(before, scale, size, how))
        x = call.torch.matmul(x.transpose(axis, -1), matrix).transpose(axis, -1)
    return x


@functools.lru_cache(maxsize=64)
def _matrix(
    before: int, scale: float | None, size: int | None, how: tuple[tuple[str, Any], ...]
) -> Array:
    """(before, after): what Resize makes of each unit vector."""
    names = ["x", "", "scales", ""] if size is None else ["x", "", "", "sizes"]
    node = onnx.helper.make_node("Resize", names, ["y"], axes=[1], **dict(how))
    feeds: dict[str, Array] = {"x": np.eye(before, dtype=np.float32)}
    feeds |= (
        {"scales": np.array([scale], np.float32)}
        if size is None
        else {"sizes": np.array([size], np.int64)}
    )
    kinds = {"x": onnx.TensorProto.FLOAT, "scales": onnx.TensorProto.FLOAT}
    inputs = [
        onnx.helper.make_tensor_value_info(n, kinds.get(n, onnx.TensorProto.INT64), None)
        for n in feeds
    ]
    output = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    graph = onnx.helper.make_graph([node], "resize", inputs, [output])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)])
    found: Any = ReferenceEvaluator(model).run(None, feeds)
    return np.ascontiguousarray(found[0], np.float32)
